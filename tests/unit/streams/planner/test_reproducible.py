"""The planner and the fold say the same on every processor, with every numpy, and under every hash seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.corpus import digest_of, expected, logs
from tests.support.decisions import made_by
from tests.support.processors import printed_without

SEEDS = [1, 2]
OLDEST_NUMPY = "2.0.2"
"""Of those that the project runs with."""
PROGRAM = """
import numpy
from tests.golden.corpus import digests
from tests.support.decisions import made_by
print(numpy.__version__, *(made_by(seed)[0] for seed in {seeds}), *digests())
"""


@pytest.fixture(scope="module")
def lives() -> list[tuple[str, dict[str, int]]]:
    return [made_by(seed) for seed in SEEDS]


@pytest.fixture
def digests(lives: list[tuple[str, dict[str, int]]]) -> list[str]:
    return [*(digest for digest, _ in lives), *(digest_of(expected(log)) for log in logs())]


def test_all_kinds_of_decisions_are_in_it(lives: list[tuple[str, dict[str, int]]]) -> None:
    found = set().union(*(counts for _, counts in lives))
    assert found >= {"assign_task", "form_coalition", "repair_coalition", "preempt_task", "move_task"}
    assert found >= {
        "throttle",
        "drift",
        "breaker_opened",
        "agent_throttled",
        "task_failed",
        "task_completed",
    }
    assert "dead_letter" not in found


@pytest.mark.parametrize("features", ["X86_V4 AVX512_ICL AVX512_SPR", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_on_another_processor_and_under_another_hash_seed(digests: list[str], features: str) -> None:
    _, *said = printed_without(features, PROGRAM.format(seeds=SEEDS)).split()
    assert said == digests


def test_with_the_oldest_numpy(digests: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(tmp_path)]
    done = subprocess.run([*command, f"numpy=={OLDEST_NUMPY}"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"numpy {OLDEST_NUMPY} could not be had: {done.stderr.strip()[-300:]}")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM.format(seeds=SEEDS)}"
    version, *said = printed_without("", program).split()
    assert (version, said) == (OLDEST_NUMPY, digests)
