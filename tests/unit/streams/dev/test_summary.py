"""The end of a run in numbers: what counts as well done, and nothing left out."""

from __future__ import annotations

import io

from rich.console import Console

from streams.dev.figures import Figures
from streams.dev.summary import Summary, drawn, summarize


def summary(wanted: int | None = 3, completed: int = 3, failed: int = 0, submitted: int = 3) -> Summary:
    figures = Figures("default")
    figures.outcomes.update({"completed": completed, "failed": failed})
    figures.failures.extend([("t9", "no paper")] * failed)
    figures.submitted = {f"t{number}": 0 for number in range(submitted - completed - failed)}
    return summarize(
        figures, run="r", agents=2, wanted=wanted, submitted=submitted, seconds=1.5, worker_starts=2
    )


def text_of(what: Summary) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(drawn(what))
    return console.export_text()


def test_a_run_is_ok_only_if_every_task_that_was_wanted_completed() -> None:
    assert summary().ok
    assert not summary(completed=2, failed=1).ok
    assert not summary(completed=2).ok
    assert not summary(wanted=4).ok
    assert summary(wanted=None).ok


def test_json_accounts_for_each_task() -> None:
    tasks = summary(completed=1, failed=1).on_wire()["tasks"]
    assert isinstance(tasks, dict)
    assert tasks["completed"] + tasks["failed"] + tasks["open"] == tasks["submitted"] == 3


def test_people_see_what_failed_and_how_to_find_out_about_what_is_open() -> None:
    text = text_of(summary(completed=1, failed=1))
    assert "1 completed, 1 failed, 1 not ended of 3" in text
    assert "t9  no paper" in text
    assert "coordinator explain task t0" in text
    assert "started 2 times" in text
