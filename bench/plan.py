"""How well and how fast tasks are placed: our planner beside baselines and the optimum, on one instance.

``python bench/plan.py --help`` tells how. The instance is a JSON file, or is made from a seed:
``{"agents": [{"agent_id", "capabilities": […], "slots", "used", "speed", "zone"}], "tasks": [{"task_id",
"capabilities": […], "size", "zone", "priority"}]}``. All costs are those of :mod:`models.objective`, counted task
by task by code that shares nothing with the planner.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench import bounds, instances, rounds
from bench.baselines import BASELINES, Placement
from bench.instances import BadInstance, Instance
from bench.program import AsJson, cpu_milliseconds, fail
from models.objective import DEFAULT_WEIGHTS
from streams.cli.console import print_json
from streams.planner.waterfill import Agents, Demand, fill

QUICK, THOROUGH = 25_000_000, 100_000_000
"""Work units."""

PLANNERS = {"ours": QUICK, "ours-thorough": THOROUGH}
WORKER = "worker"
"""The row that is asked for by name only: round after round, through the fleet fold, which takes its time."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


@dataclass(frozen=True, slots=True)
class Fleet:
    """The agents of an instance as the planner works on them. A worker keeps them so from plan to plan."""

    names: list[str]
    agents: Agents
    zones: NDArray[np.str_]
    has: dict[str, NDArray[np.bool_]]
    """For each capability whether each agent has it."""

    @staticmethod
    def of(instance: Instance) -> Fleet:
        names = sorted(instance.agents)
        fleet = [instance.agents[name] for name in names]
        having: dict[str, list[int]] = {}
        for position, agent in enumerate(fleet):
            for capability in agent.capabilities:
                having.setdefault(capability, []).append(position)
        has = {capability: np.zeros(len(fleet), np.bool_) for capability in having}
        for capability, positions in having.items():
            has[capability][positions] = True
        return Fleet(
            names,
            Agents(
                slots=np.array([agent.slots for agent in fleet], np.int64),
                used=np.array([agent.used for agent in fleet], np.int64),
                slowness=np.array([agent.slowness for agent in fleet], np.int64),
            ),
            np.array([agent.zone or "" for agent in fleet], np.str_),
            has,
        )


def demands_of(instance: Instance, fleet: Fleet) -> tuple[list[Demand], list[list[str]]]:
    """What the tasks want, and each demand's tasks."""
    classes: dict[tuple[frozenset[str], float, str | None, int], list[str]] = {}
    for task in instance.tasks:
        key = (task.capabilities, task.size, task.zone, task.priority)
        classes.setdefault(key, []).append(task.task_id)
    nobody = np.zeros(len(fleet.names), np.bool_)
    eligible: dict[frozenset[str], NDArray[np.int64]] = {}
    for capabilities, *_ in classes:
        if capabilities not in eligible:
            able = np.ones(len(fleet.names), np.bool_)
            for capability in capabilities:
                able &= fleet.has.get(capability, nobody)
            eligible[capabilities] = np.flatnonzero(able)
    wanted = {zone for _, _, zone, _ in classes if zone}
    penalties = {zone: (fleet.zones != zone) * DEFAULT_WEIGHTS.wrong_zone for zone in wanted}
    demands = [
        Demand(eligible[capabilities], len(tasks), size, penalties.get(zone), priority)
        for (capabilities, size, zone, priority), tasks in classes.items()
    ]
    return demands, list(classes.values())


def ours(instance: Instance, budget: int, fleet: Fleet | None = None) -> Placement:
    """The water-fill, from parsed instance to a name for each task."""
    fleet = fleet or Fleet.of(instance)
    demands, tasks = demands_of(instance, fleet)
    placement: Placement = {}
    for ids, places in zip(tasks, fill(fleet.agents, demands, budget), strict=True):
        holders: list[str | None] = [fleet.names[place] for place in places.tolist()]
        placement.update(zip(ids, holders + [None] * (len(ids) - len(holders)), strict=True))
    return placement


def measured(
    place: Callable[[], Placement], instance: Instance, repetitions: int
) -> tuple[Placement, dict[str, Any]]:
    """A placement, and what it costs: figures as ``--json`` prints them."""
    placement, times = cpu_milliseconds(place, repetitions)
    cost, unplaced = instances.cost(instance, placement)
    figures = {
        "objective": cost,
        "unplaced": unplaced,
        "cpu_ms": round(median(times), 1),
        "cpu_ms_min": round(min(times), 1),
    }
    return placement, figures


@app.command()
def plan(
    instance: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The instance; by default one is made.")
    ] = None,
    agents: Annotated[int, typer.Option(min=1, help="Agents of the instance that is made.")] = 10_000,
    tasks: Annotated[int, typer.Option(min=1, help="Its tasks.")] = 50_000,
    seed: Annotated[
        int, typer.Option(min=0, help="What it is made from; the baselines draw by it, too.")
    ] = 3,
    rows: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Only these; by default all.", show_default=False)
    ] = None,
    budget: Annotated[int, typer.Option(min=0, help="Work units of [b]ours[/b].")] = QUICK,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 3,
    optimum: Annotated[bool, typer.Option(help="Find the optimum, which takes seconds and OR-tools.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write where each task goes: {task_id: agent_id or null}."),
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the instance, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Place tasks on agents by our planner and by baselines, and tell what each placement costs.

    Costs are those of the published objective. The gap is to the optimum,
    or without OR-tools to a bound that is lower. CPU milliseconds count
    from the parsed instance to a name for each task; ours has its agents
    as arrays, which a worker keeps from plan to plan.

    [b]Examples[/b]

      python bench/plan.py

      python bench/plan.py --instance instance.json --out placement.json --json

      python bench/plan.py --agents 1000 --tasks 5000 --rows ours,first-fit

      python bench/plan.py --rows worker    # in rounds, as the worker plans
    """
    contenders = [*PLANNERS, *BASELINES] if rows is None else rows.split(",")
    known = [*PLANNERS, *BASELINES, WORKER]
    unknown = [name for name in contenders if name not in known]
    if unknown:
        fail(f"no row is called {unknown[0]!r}; there are {', '.join(known)}")
    try:
        if instance is None:
            content = instances.generate(agents, tasks, seed)
            if save is not None:
                save.write_bytes(orjson.dumps(content))
            problem = instances.from_json(content)
        else:
            problem = instances.read(instance)
    except BadInstance as error:
        fail(str(error))
    budgets = {**PLANNERS, "ours": budget}
    fleet = Fleet.of(problem)
    placements: dict[str, Placement] = {}
    figures: dict[str, dict[str, Any]] = {}
    for name in contenders:
        if name == WORKER:
            placements[name], spent = rounds.place(problem)
            cost, unplaced = instances.cost(problem, placements[name])
            figures[name] = {
                "objective": cost,
                "unplaced": unplaced,
                "cpu_ms": round(sum(spent), 1),
                "rounds": len(spent),
            }
            continue
        if name in PLANNERS:
            place, times = (lambda name=name: ours(problem, budgets[name], fleet)), repetitions  # type: ignore[misc]
        else:
            place, times = (lambda name=name: BASELINES[name](problem, random.Random(seed))), 1  # type: ignore[misc]
        placements[name], figures[name] = measured(place, problem, times)
    demands, _ = demands_of(problem, fleet)
    bound, kind = bounds.relaxation(fleet.agents, demands), "relaxation"
    if optimum:
        started = time.monotonic()
        try:
            bound, kind = bounds.optimum(fleet.agents, demands), "optimum"
            figures["optimum"] = {"objective": bound, "wall_ms": round((time.monotonic() - started) * 1000)}
        except OSError as error:
            print(f"no optimum, but a bound: {error}", file=sys.stderr)
    for figure in figures.values():
        figure["gap"] = round(figure["objective"] / bound - 1, 6) if bound else 0.0
    if out is not None:
        out.write_bytes(orjson.dumps(placements[contenders[0]], option=orjson.OPT_INDENT_2))
    first = figures[contenders[0]]
    result = {
        "agents": len(problem.agents),
        "tasks": len(problem.tasks),
        "classes": len(demands),
        "free_slots": int(np.maximum(fleet.agents.slots - fleet.agents.used, 0).sum()),
        **first,
        "bound": bound,
        "bound_kind": kind,
        "rows": figures,
    }
    if as_json:
        print_json(result)
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    table = Table(
        title=f"{result['tasks']:,} tasks in {result['classes']:,} classes, {result['agents']:,} agents with "
        f"{result['free_slots']:,} free slots"
    )
    table.add_column("row")
    for column in ("objective", f"above the {result['bound_kind']}", "unplaced", "CPU ms"):
        table.add_column(column, justify="right")
    for name, figure in result["rows"].items():
        cpu = f"{figure['cpu_ms']:,.0f}" if "cpu_ms" in figure else f"({figure['wall_ms']:,} by the wall)"
        unplaced = f"{figure['unplaced']:,}" if "unplaced" in figure else ""
        table.add_row(name, f"{figure['objective']:,}", f"{figure['gap']:.2%}", unplaced, cpu)
    if result["bound_kind"] != "optimum":
        table.add_row(result["bound_kind"], f"{result['bound']:,}", "", "", "")
    Console().print(table)


if __name__ == "__main__":
    app(prog_name="plan.py")
