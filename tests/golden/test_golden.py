"""What was recorded by any released version is read, folded, decided and found again as it was then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from models.codec import object_in
from streams.audit.archive import Archive
from tests.golden.corpus import ROOT, digest_of, expected, found_in, logs
from tests.golden.life import Life

HASH_SEEDS = range(21) if os.environ.get("COORDINATOR_LONG_TESTS") else (0, 1, 20)
NAMES = [str(log.relative_to(ROOT)) for log in logs()]


def test_there_are_logs_of_this_version_and_one_of_them_has_a_wrong_decision() -> None:
    assert NAMES[-2:] == ["0.1/life", "0.1/wrong-decision"]


@pytest.mark.parametrize("log", logs(), ids=NAMES)
def test_what_is_found_in_it_is_what_was_found_when_it_was_made(log: Path) -> None:
    assert found_in(Archive.open(log)) == expected(log)


def test_the_lives_are_verified_and_the_wrong_decision_is_found_where_it_stands() -> None:
    for log in logs():
        report = expected(log)["report"]
        if log.name != "wrong-decision":
            assert report["verified"]
            assert not report["findings"]
            continue
        assert not report["verified"]
        (finding,) = report["findings"]
        assert (finding["check"], finding["verdict"], finding["reason"]) == ("plans", "DIVERGENT", "differs")
        ((should,), (is_there,)) = finding["fields"]["directives"]
        assert should["agent_id"] != is_there["agent_id"]
        assert {**should, "agent_id": None} == {**is_there, "agent_id": None}


def test_the_life_of_the_newest_log_can_be_lived_once_more() -> None:
    """Whoever changes what the coordinator says has to write new logs, and say so."""
    again = Life(seed=7, agents=12).live(seconds=60)
    assert digest_of(found_in(again)) == digest_of(expected(ROOT / NAMES[-2]))


def test_all_that_may_happen_happens_in_it() -> None:
    kinds: Counter[str] = Counter()
    for records in Life(seed=7, agents=12).live(seconds=60).topics.values():
        for record in records:
            value = object_in(record.value) or {}
            kinds[str(value.get("type"))] += 1
            entries = value.get("directives")
            kinds.update(entry["type"] for entry in entries if isinstance(entry, dict)) if entries else None
    assert kinds.keys() >= {
        *("assign_task", "withdraw_task", "join_coalition", "leave_coalition", "drain", "resume", "throttle"),
        *("form_coalition", "repair_coalition", "preempt_task"),
        *("task_completed", "task_failed", "task_cancelled", "performance_report"),
        *("agent_lost", "agent_recovered", "agent_suspected", "window_closed", "rejected", "dead_letter"),
        *("breaker_opened", "agent_throttled", "throttle_lifted", "drift", "overload", "no_eligible_agent"),
        *("coalition_degraded", "deadline_at_risk", "directive_unanswered", "policy_accepted"),
    }


@pytest.mark.parametrize("seed", HASH_SEEDS)
def test_under_another_hash_seed_it_is_the_same(seed: int) -> None:
    program = "from tests.golden.corpus import digests; print(*digests())"
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest_of(expected(log)) for log in logs()]
