"""What it costs to explain why tasks wait. ``python bench/explain.py --help`` tells how.

A fleet of many agents of many shapes, as many of them at work as can be, and tasks that wait. Printed are
microseconds of CPU for each explanation: of a task alone, and of all that are pending.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer

from bench.program import fail
from bench.rounds import Log
from models.fleet.explain import explain, survey
from models.fleet.rows import TaskRow
from streams.cli.console import print_json
from streams.planner import WaterFillPlanner, encode_plan, snapshot

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def build(agents: int, tasks: int, seed: int) -> Log:
    """Agents of hundreds of shapes, all that can be placed placed, and more tasks of dozens of classes."""
    chance = random.Random(seed)
    log = Log()
    for number in range(agents):
        skills = [chance.choice("abcdef"), chance.choice("ghijkl")]
        labels = {"rack": str(chance.randrange(7))}
        slots = chance.choice([1, 2, 4])
        log.fact("agent_registered", agent_id=f"a{number}", capabilities=skills, slots=slots, labels=labels)
    for number in range(tasks):
        skill, labels = chance.choice("abcdef"), {"rack": str(chance.randrange(7))}
        log.fact(
            "task_submitted",
            task_id=f"t{number}",
            requires={"capabilities": [skill], "labels": labels if number % 2 else {}},
        )
        if number % 20 == 0:
            log.fact("agent_cordoned", agent_id=f"a{number % agents}")
    while True:
        seen = snapshot(log.fold, "default")
        assert seen is not None
        plan = WaterFillPlanner().plan(seen, seen.policy)
        if plan is None:
            return log
        log.append(encode_plan(plan))


@app.command()
def main(
    agents: Annotated[int, typer.Option(min=1, help="How many agents.")] = 10_000,
    tasks: Annotated[
        int, typer.Option(min=1, help="How many tasks: more than all can take at once.")
    ] = 30_000,
    seed: Annotated[int, typer.Option(help="What the fleet is made from.")] = 1,
    json: Annotated[bool, typer.Option(help="Print JSON, for scripts.")] = False,
) -> None:
    """Explain why tasks wait: one alone, as when somebody asks, and all of them, as when all are shown."""
    log = build(agents, tasks, seed)
    state = log.fold.state
    fleet = state.fleets["default"]
    pending = [task for task in state.tables.tasks.rows.values() if task.state == "pending"]
    if not pending:
        fail("no task waits; give more --tasks")
    some = random.Random(seed).sample(pending, min(1_000, len(pending)))
    now = state.clock.log_time
    figures = {
        "agents": agents,
        "shapes": len(fleet.shapes),
        "pending": len(pending),
        "alone_us": _microseconds(lambda task: survey(fleet, task, now), some),
        "all_us": _microseconds(lambda task: explain(log.fold, "default", task.task_id), pending),
    }
    if json:
        print_json(figures)
        return
    for name, value in figures.items():
        print(f"{name:10} {value:>10,}")


def _microseconds(work: Callable[[TaskRow], object], tasks: Sequence[TaskRow]) -> float:
    """CPU time for each task, the median of three passes."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        for task in tasks:
            work(task)
        times.append((time.process_time() - begun) / len(tasks) * 1e6)
    return round(median(times), 1)


if __name__ == "__main__":
    app()
