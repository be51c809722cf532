"""How well and how fast coalitions are chosen: our planner at several budgets beside a plain greedy choice.

``python bench/coalitions.py --help`` tells how. The instance is a JSON file, or is made from a seed:
``{"agents": [{"agent_id", "capabilities": […], "cost"}], "tasks": [{"task_id", "cover": […], "value",
"max_size"}]}``. Each agent may be in one coalition; a coalition gains its task's value less its members' costs.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench.environments import answer_of
from bench.instances import BadInstance, read_json
from bench.program import AsJson, cpu_milliseconds, fail
from streams.cli.console import print_json
from streams.planner.coalitions import Candidate, Formed, form
from streams.planner.covers import MAX_COVER

BUDGETS = {"greedy": 0, "ours": 100_000, "ours-thorough": 1_600_000}
"""Work units."""
SCIPY = "scipy==1.17.1"
SKILLS = 16
COVER = 6
"""Skills that a task wants covered, at most."""

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


def generate(agents: int, tasks: int, seed: int, cover: int = COVER) -> dict[str, Any]:
    """An instance as JSON: agents of 1 to 4 of 16 skills, costs 10 to 99; tasks that cover 2 skills or more."""
    chance = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, SKILLS + 1) ** 0.7
    frequency /= frequency.sum()

    def skills(count: int) -> list[str]:
        drawn = chance.choice(SKILLS, size=count, replace=False, p=frequency)
        return [f"skill-{number:02d}" for number in sorted(drawn.tolist())]

    fleet = [
        {
            "agent_id": f"agent-{number:04d}",
            "capabilities": skills(int(chance.integers(1, 5))),
            "cost": int(chance.integers(10, 100)),
        }
        for number in range(agents)
    ]
    wanted = []
    for number in range(tasks):
        count = int(chance.integers(2, cover + 1))
        wanted.append(
            {
                "task_id": f"task-{number:04d}",
                "cover": skills(count),
                "value": int(count * chance.integers(40, 120)),
                "max_size": int(chance.integers(2, 6)),
            }
        )
    return {"agents": fleet, "tasks": wanted}


def read(path: Path) -> dict[str, Any]:
    """An instance from its file.

    Raises:
        BadInstance: if it is none.
    """
    content = read_json(path)
    try:
        return checked(content)
    except BadInstance as error:
        raise BadInstance(f"{path}: {error}") from None


def checked(content: Any) -> dict[str, Any]:
    """The content of a file as an instance, if it is one.

    Raises:
        BadInstance: if it is none.
    """
    try:
        agents, tasks = content["agents"], content["tasks"]
        for agent in agents:
            if not (isinstance(agent["agent_id"], str) and isinstance(agent["capabilities"], list)):
                raise BadInstance(f"the agent {agent['agent_id']!r} needs a name and a list of capabilities")
            if not agent["cost"] >= 0:
                raise BadInstance(f"the agent {agent['agent_id']!r} needs a cost of 0 or more")
        for task in tasks:
            if not (1 <= len(task["cover"]) <= MAX_COVER and len(set(task["cover"])) == len(task["cover"])):
                raise BadInstance(
                    f"the task {task['task_id']!r} needs 1 to {MAX_COVER} different capabilities"
                )
            if not (task["max_size"] >= 1 and task["value"] >= 0):
                raise BadInstance(
                    f"the task {task['task_id']!r} needs a max_size of 1 or more and a value of 0 or more"
                )
    except BadInstance:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInstance(f"it is no instance: {error!r}") from None
    return {"agents": agents, "tasks": tasks}


def ours(instance: Mapping[str, Any], budget: int) -> Formed:
    """Our choice, from the parsed instance."""
    agents = instance["agents"]
    tasks = [Candidate(tuple(task["cover"]), task["value"], task["max_size"]) for task in instance["tasks"]]
    capabilities = [frozenset(agent["capabilities"]) for agent in agents]
    return form(capabilities, [agent["cost"] for agent in agents], tasks, budget)


def gain(instance: Mapping[str, Any], coalitions: Mapping[str, list[str] | None]) -> float:
    """What the coalitions gain, counted by code that shares nothing with the planner.

    Raises:
        AssertionError: if an agent is in two of them, or one of them does not cover its task or is too large.
    """
    agents = {agent["agent_id"]: agent for agent in instance["agents"]}
    busy: set[str] = set()
    total = 0.0
    for task in instance["tasks"]:
        members = coalitions[task["task_id"]]
        if members is None:
            continue
        assert len(set(members)) == len(members) <= task["max_size"], (
            f"{task['task_id']} has too many members"
        )
        assert not busy.intersection(members), f"a member of {task['task_id']} is in another coalition"
        busy.update(members)
        covered = {capability for name in members for capability in agents[name]["capabilities"]}
        assert covered.issuperset(task["cover"]), f"{task['task_id']} is not covered"
        total += task["value"] - sum(agents[name]["cost"] for name in members)
    return total


def column_generation(instance: Mapping[str, Any]) -> float:
    """The bound of the linear program over all coalitions.

    Raises:
        OSError: if scipy cannot be had, or finds none.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "instance.json"
        file.write_bytes(orjson.dumps(instance))
        return float(answer_of("column-generation", SCIPY, "column_generation.py", file))


@app.command()
def coalitions(
    instance: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The instance; by default one is made.")
    ] = None,
    agents: Annotated[int, typer.Option(min=1, help="Agents of the instance that is made.")] = 200,
    tasks: Annotated[int, typer.Option(min=1, help="Its tasks.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="What it is made from.")] = 1,
    cover: Annotated[
        int, typer.Option(min=2, max=SKILLS, help="Skills that its tasks want covered, 2 to so many.")
    ] = COVER,
    budget: Annotated[int, typer.Option(min=0, help="Work units of [b]ours[/b].")] = BUDGETS["ours"],
    repetitions: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 3,
    column_bound: Annotated[
        bool,
        typer.Option(
            "--column-bound/--no-column-bound", help="Find the bound of column generation, which takes scipy."
        ),
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the coalitions: {task_id: [agent_id] or null}.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the instance, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Choose coalitions by our planner, and tell what they gain.

    The gap is to the bound of column generation, or without scipy to the
    planner's own, which is a little higher. CPU milliseconds count from the
    parsed instance.

    [b]Examples[/b]

      python bench/coalitions.py

      python bench/coalitions.py --instance instance.json --out coalitions.json --json

      python bench/coalitions.py --agents 5000 --tasks 1000 --no-column-bound
    """
    try:
        problem = generate(agents, tasks, seed, cover) if instance is None else read(instance)
    except BadInstance as error:
        fail(str(error))
    if save is not None:
        save.write_bytes(orjson.dumps(problem))
    names = [agent["agent_id"] for agent in problem["agents"]]
    rows: dict[str, dict[str, Any]] = {}
    chosen: dict[str, dict[str, list[str] | None]] = {}
    for row, units in {**BUDGETS, "ours": budget}.items():
        formed, times = cpu_milliseconds(lambda units=units: ours(problem, units), repetitions)  # type: ignore[misc]
        chosen[row] = {
            task["task_id"]: None if members is None else [names[member] for member in members]
            for task, members in zip(problem["tasks"], formed.coalitions, strict=True)
        }
        rows[row] = {
            "gain": gain(problem, chosen[row]),
            "formed": sum(members is not None for members in formed.coalitions),
            "cpu_ms": round(median(times), 1),
            "own_bound": round(formed.bound, 3),
        }
    bound, kind = min(row["own_bound"] for row in rows.values()), "own bound"
    if column_bound:
        try:
            bound, kind = column_generation(problem), "column generation"
        except OSError as error:
            print(f"only our own bound: {error}", file=sys.stderr)
    for figures in rows.values():
        figures["gap"] = round(1 - figures["gain"] / bound, 6) if bound else 0.0
    if out is not None:
        out.write_bytes(orjson.dumps(chosen["ours"], option=orjson.OPT_INDENT_2))
    result = {
        "agents": len(names),
        "tasks": len(problem["tasks"]),
        **rows["ours"],
        "bound": bound,
        "bound_kind": kind,
        "rows": rows,
    }
    if as_json:
        print_json(result)
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    table = Table(title=f"{result['tasks']:,} tasks, {result['agents']:,} agents")
    table.add_column("row")
    for column in ("coalitions", "gain", f"below {result['bound_kind']}", "CPU ms"):
        table.add_column(column, justify="right")
    for name, row in result["rows"].items():
        cells = f"{row['formed']:,}", f"{row['gain']:,.0f}", f"{row['gap']:.2%}", f"{row['cpu_ms']:,.0f}"
        table.add_row(name, *cells)
    table.add_row(result["bound_kind"], "", f"{result['bound']:,.0f}", "", "")
    Console().print(table)


if __name__ == "__main__":
    app(prog_name="coalitions.py")
