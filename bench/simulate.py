"""How well tasks are coordinated over time: the real folds and planner beside other policies, in virtual time.

``python bench/simulate.py --help`` tells how. Agents are unlike, messages take their time, reports are old and
noisy; agents straggle, flap, crash, or fall silent together. What arrives comes from a seed, or from a trace: a
CSV file with the columns ``arrival_s,service_s,capability``. Tasks that still wait at the end count as having
waited until then, or policies that never serve them would look the better for it.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson
import typer
from rich.console import Console
from rich.table import Table

from bench import report
from bench.latency import quantiles
from bench.program import AsJson, fail
from bench.simulation.baselines import BASELINES
from bench.simulation.ours import Coordinator
from bench.simulation.world import SECOND, Policy, Scenario, World
from models.codec import InvalidRecord
from models.policy import DEFAULT_POLICY, patched
from streams.cli.console import print_json

QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
OURS = "ours"
AT_ONCE = "ours-at-once"
"""Asked for by name only: a round of planning for every event takes minutes."""
ORACLE = "oracle"
POLICIES: dict[str, Callable[[int], Policy]] = {
    OURS: lambda seed: Coordinator(),
    AT_ONCE: lambda seed: Coordinator(hop=0.0, plan_interval=0.0),
    **{name: baseline.make for name, baseline in BASELINES.items()},
}
WHATS = {
    OURS: "the real folds and planner, with everything that they cost in time",
    AT_ONCE: "the same, as if that took no time, as all the others do",
    **{name: baseline.what for name, baseline in BASELINES.items()},
}

app = typer.Typer(add_completion=False, rich_markup_mode="rich")


def figures(world: World) -> dict[str, Any]:
    """What came of one run. Times in milliseconds."""
    end = world.now
    waits = [(end if job.started is None else job.started) - job.arrival for job in world.jobs]
    slowdowns = [
        ((end if job.ended is None else job.ended) - job.arrival) / job.service for job in world.jobs
    ]
    ended = [job for job in world.jobs if job.ended is not None]
    result: dict[str, Any] = {
        "tasks": len(world.jobs),
        "unfinished": len(world.jobs) - len(ended),
        "wait_ms": {"mean": mean(waits), **quantiles(waits, QUANTILES)},
        "slowdown": quantiles(slowdowns, QUANTILES),
        "over_5_s": sum(wait > 5 * SECOND for wait in waits) / len(waits),
        "load_cov": mean(world.covs) if world.covs else 0.0,
        "duplicates": sum(job.duplicates for job in world.jobs),
        "run_again": sum(job.runs > 1 for job in world.jobs),
    }
    if world.scenario.black_holes:
        result["failures"] = world.failures
    if world.reassigned:
        result["reassigned_ms"] = quantiles(world.reassigned, QUANTILES)
    if ended and len(ended) == len(world.jobs):
        speed = sum(agent.slots * agent.speed for agent in world.agents)
        last = max(job.ended or 0.0 for job in ended)
        bound = max(sum(job.service for job in world.jobs) / speed, max(job.arrival for job in world.jobs))
        result["makespan_of_bound"] = last / bound
    if isinstance(world.policy, Coordinator):
        seconds = world.scenario.seconds
        result["withdrawn_per_min"] = world.policy.withdrawn * 60 / seconds
        result["moves_per_min"] = world.policy.moved * 60 / seconds
        result["ping_pong_per_min"] = world.policy.ping_pong * 60 / seconds
        result["alerts"] = dict(sorted(world.policy.alerts.items()))
    return _rounded(result)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds; what happened is summed up."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(key for run in runs for key in run):
        values = [run[name] for run in runs if name in run]
        if name == "alerts":
            kinds = sorted({kind for value in values for kind in value})
            merged[name] = {kind: sum(value.get(kind, 0) for value in values) for kind in kinds}
        elif isinstance(values[0], dict):
            merged[name] = _merged(values)
        else:
            merged[name] = (
                _rounded(float(median(values))) if isinstance(values[0], float) else round(median(values))
            )
    return merged


def read_trace(file: Path) -> tuple[list[tuple[float, float, int]], int]:
    """Arrival, service and skill of each task, and how many skills there are.

    Raises:
        ValueError: if the file is no such trace.
    """
    skills: dict[str, int] = {}
    tasks = []
    with file.open(newline="") as text:
        for number, row in enumerate(csv.DictReader(text), 2):
            try:
                arrival, service = float(row["arrival_s"]), float(row["service_s"])
                skill = skills.setdefault(row["capability"], len(skills))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"line {number}: {error!r}; columns are arrival_s,service_s,capability"
                ) from None
            tasks.append((arrival, max(service, 0.001), skill))
    if not tasks:
        raise ValueError("it holds no tasks; columns are arrival_s,service_s,capability")
    return sorted(tasks), len(skills)


@app.command()
def simulate(
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help=f"Of {', '.join(POLICIES)}; by default all but {AT_ONCE}.",
            show_default=False,
        ),
    ] = None,
    agents: Annotated[int, typer.Option(min=1, help="How many agents.")] = 200,
    slots: Annotated[int, typer.Option(min=1, help="Slots of each.")] = 4,
    skills: Annotated[
        int, typer.Option(min=1, help="Kinds of tasks; each agent can do a third of them.")
    ] = 1,
    slow: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the agents that are half as fast.")
    ] = 0.25,
    load: Annotated[
        float, typer.Option(min=0.01, max=2, help="Work that arrives, of what all can do.")
    ] = 0.85,
    service: Annotated[float, typer.Option(min=0.001, help="Seconds that a task takes, on average.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=1, help="Virtual seconds of each run.")] = 150,
    delay: Annotated[float, typer.Option(min=0, help="Milliseconds between coordinator and agent.")] = 20,
    reports: Annotated[float, typer.Option(min=0.01, help="Seconds between two reports of an agent.")] = 1.0,
    noise: Annotated[float, typer.Option(min=0, help="Relative spread of what is reported.")] = 0.0,
    crashes: Annotated[float, typer.Option(min=0, help="Crashes per agent and hour.")] = 0.0,
    flapping: Annotated[float, typer.Option(min=0, max=1, help="Share of agents that come and go.")] = 0.0,
    stragglers: Annotated[float, typer.Option(min=0, max=1, help="Share of agents that slow down.")] = 0.0,
    black_holes: Annotated[
        float, typer.Option(min=0, max=1, help="Share of agents that fail at everything at once.")
    ] = 0.0,
    mass_silence: Annotated[
        float, typer.Option(min=0, max=1, help="Share of agents that fall silent together, for 20 s.")
    ] = 0.0,
    policy: Annotated[
        str | None, typer.Option(metavar="JSON", help="A policy patch for ours.", show_default=False)
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, help="Tasks from a CSV file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="How many; figures are medians.")] = 3,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw how long tasks wait.")] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a fleet under several policies, with the same seeds.

    [b]Examples[/b]

      python bench/simulate.py

      python bench/simulate.py --policies ours,oracle --crashes 20 --flapping 0.1 --json

      python bench/simulate.py --policies ours --mass-silence 0.3

      python bench/simulate.py --policies ours --policy '{"rebalancing": {"moves": 10}}'
    """
    wanted = [name for name in POLICIES if name != AT_ONCE] if policies is None else policies.split(",")
    unknown = [name for name in wanted if name not in POLICIES]
    if unknown:
        fail(f"no policy is called {unknown[0]!r}; there are {', '.join(POLICIES)}")
    patch = _patch_of(policy)
    make = {
        **POLICIES,
        OURS: lambda seed: Coordinator(patch),
        AT_ONCE: lambda seed: Coordinator(patch, hop=0.0, plan_interval=0.0),
    }
    scenario = Scenario(
        agents, slots, slow, skills, load, service, seconds, delay, reports, noise,
        crashes, flapping, stragglers, black_holes, mass_silence,
    )  # fmt: skip
    if trace is not None:
        try:
            tasks, kinds = read_trace(trace)
        except ValueError as error:
            fail(f"{trace}: {error}")
        average = mean(service for _, service, _ in tasks)
        scenario = replace(scenario, trace=tasks, skills=kinds, mean_service=average)
    rows: dict[str, Any] = {}
    waits: dict[str, list[float]] = {}
    for name in wanted:
        runs = []
        started = time.process_time()
        for one in range(seed, seed + seeds):
            print(f"{name}, seed {one} …", file=sys.stderr)
            world = World(scenario, make[name](one), one)
            world.run()
            runs.append(figures(world))
            waits.setdefault(name, []).extend((j.started or world.now) - j.arrival for j in world.jobs)
        rows[name] = {**_merged(runs), "cpu_s": round(time.process_time() - started, 1)}
    result = {
        "workload": "simulate",
        "scenario": {name: getattr(scenario, name) for name in scenario.__slots__ if name != "trace"},
        "seeds": seeds,
        "rows": rows,
    }
    if plot is not None:
        curves = {name: tail(some) for name, some in waits.items()}
        try:
            report.plot({**result, "curves": curves}, plot)
        except OSError as error:
            fail(f"{plot}: {error}")
    if as_json:
        print_json(result)
    else:
        show(result)


def _patch_of(policy: str | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    try:
        patch = orjson.loads(policy)
        patched(DEFAULT_POLICY, patch, 1)
    except (orjson.JSONDecodeError, InvalidRecord, AttributeError) as error:
        fail(f"{policy} is no policy patch: {error}")
    found: dict[str, Any] = patch
    return found


def show(result: dict[str, Any]) -> None:
    """The figures as a table."""
    scenario = result["scenario"]
    table = Table(
        box=None,
        padding=(0, 0, 0, 1),
        title=f"{scenario['agents']} agents with {scenario['slots']} slots, load {scenario['load']:g}, "
        f"{scenario['seconds']:g} s, {result['seeds']} seeds",
    )
    table.add_column("policy", no_wrap=True)
    for column in (
        "mean",
        "p50",
        "p99",
        "p99.9",
        "times",
        "> 5 s",
        "slow",
        "CoV",
        "left",
        "twice",
        "again",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    oracle = result["rows"].get(ORACLE)
    for name, row in result["rows"].items():
        wait = row["wait_ms"]
        times = wait["p99"] / oracle["wait_ms"]["p99"] if oracle and oracle["wait_ms"]["p99"] else None
        again = row.get("reassigned_ms")
        table.add_row(
            name,
            *(f"{wait[key]:,.0f}" for key in ("mean", "p50", "p99", "p99.9")),
            "" if times is None else f"{times:,.0f}" if times > 99 else f"{times:.2f}",
            f"{row['over_5_s']:.1%}",
            f"{row['slowdown']['p99']:,.0f}",
            f"{row['load_cov']:.3f}",
            f"{row['unfinished']:,}",
            f"{row['duplicates']:,}",
            f"{again['p50'] / 1000:,.1f}s" if again else "",
        )
    console = Console()
    console.print(table)
    console.print(
        "Waits in milliseconds; times: their p99, as a multiple of the oracle's; slow: p99 of the slowdown; CoV "
        "of the load; left: unfinished at the end; twice: duplicate executions; again: p50 until what was lost "
        "runs again.",
        style="dim",
    )
    for name in result["rows"]:
        console.print(f"{name}: {WHATS[name]}", style="dim")
    ours = result["rows"].get(OURS, {})
    if ours.get("moves_per_min"):
        back = ours["ping_pong_per_min"]
        console.print(f"moves per minute: {ours['moves_per_min']:,.1f}; back to where it was: {back:,.1f}")
    if scenario.get("black_holes"):
        told = ", ".join(f"{name} {row['failures']:,}" for name, row in result["rows"].items())
        console.print(f"given to agents that fail: {told}")
    alerts = ours.get("alerts")
    if alerts:
        console.print("alerts: " + ", ".join(f"{count:,} {kind}" for kind, count in alerts.items()))


def tail(waits: list[float]) -> list[tuple[float, float]]:
    """How large a share of the tasks waits longer than so many seconds; a hundred points or so."""
    ordered = sorted(waits, reverse=True)
    places = sorted({min(len(ordered) - 1, int(len(ordered) ** (step / 100)) - 1) for step in range(101)})
    return [(round(ordered[place] / SECOND, 4), (place + 1) / len(ordered)) for place in places]


if __name__ == "__main__":
    app(prog_name="simulate.py")
