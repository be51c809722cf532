"""How often checkpoints are taken: every interval, less often where they would take the time to fold."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.engine import Engine, EngineSettings


@pytest.mark.parametrize(
    ("behind", "spent", "pause"),
    [(False, 0.8, 1.0), (True, 0.0, 1.0), (True, 0.05, 1.0), (True, 0.3, 3.0), (True, 2.0, 5.0)],
)
def test_checkpoints_take_a_tenth_of_the_time_of_a_worker_that_is_behind(
    tmp_path: Path, behind: bool, spent: float, pause: float
) -> None:
    engine = Engine(EngineSettings(bootstrap_servers="nowhere:1", data_dir=tmp_path, checkpoint_interval=1.0))
    table: Any = SimpleNamespace(
        tasks={0: None, 1: None},
        caught_up=lambda partition: partition == 0 or not behind,
        checkpoint_seconds=spent,
    )
    engine.tables["agents"] = table
    assert engine._checkpoint_pause() == pytest.approx(pause)
