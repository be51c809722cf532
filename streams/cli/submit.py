"""``coordinator submit``: one task from options, or many from lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Fleet, Json, Prefix

if TYPE_CHECKING:
    from coordinator import Client, Task
    from streams.cli.taken import Decisions
    from streams.settings import Settings

CHUNK = 500
"""Tasks that are sent together: enough for speed, few enough for a progress that moves."""


OF_ONE_TASK = (
    "payload",
    "requires",
    "resources",
    "labels",
    "slots",
    "size",
    "priority",
    "deadline",
    "zone",
    "max_attempts",
    "ack_timeout",
    "run_timeout",
)
"""Options that describe the task; what comes from standard input describes itself."""


def submit(
    context: typer.Context,
    task_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID|-]", help="The task's id, by default a new one; - reads tasks from stdin."
        ),
    ] = None,
    payload: Annotated[
        str | None, typer.Option(metavar="JSON", help="What the agent gets: any JSON value up to 64 KiB.")
    ] = None,
    requires: Annotated[
        str | None, typer.Option(metavar="A,B", help="Capabilities that the agent must have.")
    ] = None,
    resources: Annotated[
        str | None, typer.Option(metavar="NAME=AMOUNT,…", help="Resources that it occupies.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE,…", help="Labels that the agent must have.")
    ] = None,
    slots: Annotated[int, typer.Option(metavar="N", help="How many of the agent's slots it occupies.")] = 1,
    size: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long it takes an agent of speed 1, about.")
    ] = 1.0,
    priority: Annotated[int, typer.Option(metavar="0-9", help="Higher goes first.")] = 5,
    deadline: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Fail it unless it has begun in so many seconds."),
    ] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="A zone to prefer.")] = None,
    spread: Annotated[
        str | None,
        typer.Option(
            metavar="GROUP[,by=PLACE][,most=N]",
            help="Keep it apart from others of a group: by agent, zone or labels.NAME, at most N at one place.",
        ),
    ] = None,
    max_attempts: Annotated[int, typer.Option(metavar="N", help="How often it may fail.")] = 3,
    ack_timeout: Annotated[float, typer.Option(metavar="SECONDS", help="For an agent to accept it.")] = 10.0,
    run_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="For an agent to finish it.")
    ] = 3600.0,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the results; exit status 1 unless all completed.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="How long to --wait; by default for ever.")
    ] = None,
    fleet: Fleet = "default",
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Submit a task, or one for each line of JSON on standard input.

    A line is a task_submitted event without its type: {"task_id": "t1", "requires": {"capabilities": ["write"]},
    "payload": {}}. All fields have defaults. Submitting an equal task again changes nothing;
    with --wait it is an error if the id exists with other content.

    [bold]Examples[/]

      coordinator submit --requires write --payload '{"text": "hello"}' --wait

      coordinator submit nightly-42 --requires gpu,train --resources gpu=2 --priority 8

      coordinator submit replica-2 --spread db,by=zone,most=1

      jq -c '{payload: .}' jobs.json | coordinator submit - --wait --json
    """
    import asyncio
    import sys
    import time

    from streams.cli.options import given, settings
    from streams.errors import ConfigurationError

    if timeout is not None and not wait:
        raise ConfigurationError("--timeout says how long --wait waits: give --wait, too")
    if task_id == "-":
        if idle := given(context, *OF_ONE_TASK):
            raise ConfigurationError(
                f"{', '.join(idle)} cannot be given with -: each line of standard input says all about its task"
            )
        tasks: Iterable[Task] = tasks_from_lines(sys.stdin.buffer, fleet)
    else:
        fields: dict[str, object] = {
            "task_id": task_id,
            "requires": {
                "capabilities": _listed("--requires", requires),
                "resources": {name: _number(name, text) for name, text in _pairs("--resources", resources)},
                "labels": dict(_pairs("--labels", labels)),
            },
            "slots": slots,
            "size": size,
            "priority": priority,
            "deadline": None if deadline is None else time.time() + deadline,
            "prefer": {"zone": zone} if zone else None,
            "spread": _spread(spread),
            "max_attempts": max_attempts,
            "ack_timeout": ack_timeout,
            "run_timeout": run_timeout,
            "payload": _json("--payload", payload),
        }
        said = {name: value for name, value in fields.items() if value is not None}
        tasks = [task_from_fields(said, fleet, "the task")]
    all_completed = asyncio.run(_submit(settings(bootstrap, prefix), fleet, tasks, wait, timeout, json))
    raise typer.Exit(0 if all_completed else 1)


async def _submit(
    settings: Settings, fleet: str, tasks: Iterable[Task], wait: bool, patience: float | None, json: bool
) -> bool:
    """Submit them all, then wait if asked to; whether nothing went wrong."""
    from coordinator import Client
    from streams.cli.sdk import connected

    async with connected(settings) as connection, Client(connection, fleet=fleet) as client:
        if wait:
            return await _submit_and_wait(settings, client, tasks, patience, json)
        for chunk in _chunks(tasks, CHUNK):
            for handle in await client.submit_many(chunk):
                _print_submitted(handle.task_id, fleet, json)
    return True


async def _submit_and_wait(
    settings: Settings, client: Client, tasks: Iterable[Task], patience: float | None, json: bool
) -> bool:
    from streams.cli.taken import Decisions, digest_of
    from streams.reader import TopicReader

    digests: dict[str, bytes] = {}
    async with TopicReader(settings.kafka_bootstrap_servers, settings.topic_prefix) as reader:
        decisions = Decisions(reader, settings, client.fleet)
        await decisions.begin()
        for chunk in _chunks(tasks, CHUNK):
            for task in chunk:
                _add(digests, task.task_id, digest_of(task, client.fleet))
            await client.submit_many(chunk)
            if len(digests) > 1:
                console.note(f"submitted {len(digests):,}")
        return await _results(settings, client, decisions, digests, patience, json)


async def _results(
    settings: Settings,
    client: Client,
    decisions: Decisions,
    digests: Mapping[str, bytes],
    patience: float | None,
    json: bool,
) -> bool:
    """Print each result as it comes; whether all tasks completed."""
    import asyncio
    import time

    from coordinator import Batch, WaitTimeout
    from streams.cli import results
    from streams.cli.taken import IdInUse

    # A task that was submitted before may have ended before: the client hears only what ends from now on.
    give_up = None if patience is None else asyncio.get_running_loop().time() + patience
    earlier = await results.ended_before(settings, client.fleet, digests)
    batch = Batch(client, [client.handle(task_id) for task_id in digests if task_id not in earlier])
    done = good = 0
    last = time.monotonic()
    async for result in results.all_of(earlier.values(), batch.as_completed(patience)):
        done += 1
        try:
            async with asyncio.timeout_at(give_up):
                await decisions.require_taken(digests[result.task_id], result)
        except TimeoutError:
            raise WaitTimeout((result.task_id,), patience or 0.0) from None
        except IdInUse as error:
            console.print_error(str(error))
            continue
        good += result.ok
        if json:
            console.print_json_line(results.as_json(result))
        else:
            console.out().print(results.as_line(result))
        if time.monotonic() - last > 1:
            last = time.monotonic()
            console.note(f"{done:,} of {len(digests):,} ended")
    if len(digests) > 1:
        console.note(f"{good:,} of {len(digests):,} completed")
    return good == len(digests)


def _add(digests: dict[str, bytes], task_id: str, digest: bytes) -> None:
    from streams.errors import ConfigurationError

    if digests.setdefault(task_id, digest) != digest:
        raise ConfigurationError(f"two tasks have the id {task_id!r}, but not the same content; rename one")


def _print_submitted(task_id: str, fleet: str, json: bool) -> None:
    if json:
        console.print_json_line({"task_id": task_id, "fleet": fleet})
    else:
        console.out().print(task_id, markup=False)


def tasks_from_lines(lines: Iterable[bytes], fleet: str) -> Iterator[Task]:
    """The tasks that lines of JSON describe; empty lines are skipped.

    Raises:
        ConfigurationError: naming the first line that describes none.
    """
    import orjson

    from streams.errors import ConfigurationError

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(f"line {number} is no JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ConfigurationError(f'line {number} is no JSON object; give {{"task_id": …, "payload": …}}')
        yield task_from_fields(fields, fleet, f"line {number}")


def task_from_fields(fields: dict[str, Any], fleet: str, place: str) -> Task:
    """A task from the fields of a ``task_submitted`` event, all optional.

    Raises:
        ConfigurationError: naming ``place`` and each field at fault.
    """
    from coordinator import Role, Spread, Task
    from models.codec import InvalidRecord
    from models.events import validate_event
    from models.fields import milliseconds
    from streams.errors import ConfigurationError

    kind = fields.get("type", "task_submitted")
    if kind != "task_submitted":
        raise ConfigurationError(f"{place} has the type {kind}; only tasks can be submitted")
    if fields.get("fleet", fleet) != fleet:
        raise ConfigurationError(f"{place} is for the fleet {fields['fleet']!r}, not {fleet!r}; use --fleet")
    unknown = [name for name in fields if name not in _KNOWN]
    if unknown:
        raise ConfigurationError(
            f"{place}: a task has no {', '.join(unknown)}; what is for the agent is payload"
        )
    try:
        validate_event({"task_id": "new", **fields, "type": "task_submitted", "fleet": fleet})
    except InvalidRecord as error:
        raise ConfigurationError(f"{place}: {error.detail}") from None
    requires, prefer = fields.get("requires") or {}, fields.get("prefer") or {}
    coalition = fields.get("coalition") or {}
    options = {name: fields[name] for name in _PLAIN if fields.get(name) is not None}
    return Task(
        **options,
        payload=fields.get("payload"),
        deadline=milliseconds(deadline) / 1000 if (deadline := fields.get("deadline")) is not None else None,
        capabilities=requires.get("capabilities", ()),
        resources=requires.get("resources", {}),
        labels=requires.get("labels", {}),
        prefer_zone=prefer.get("zone"),
        prefer_labels=prefer.get("labels", {}),
        roles=[Role(**role) for role in coalition.get("roles") or ()],
        cover=coalition.get("cover") or (),
        max_size=coalition.get("max_size"),
        spread=Spread(**spread) if (spread := fields.get("spread")) else None,
    )


_PLAIN = ("task_id", "slots", "size", "priority", "max_attempts", "ack_timeout", "run_timeout", "tenant")
_KNOWN = frozenset(
    (*_PLAIN, "type", "fleet", "requires", "prefer", "coalition", "spread", "payload", "deadline")
)


def _spread(text: str | None) -> dict[str, object] | None:
    from streams.errors import ConfigurationError

    if text is None:
        return None
    group, _, rest = text.partition(",")
    said: dict[str, object] = {"group": group.strip()}
    for name, value in _pairs("--spread", rest):
        if name not in ("by", "most") or (name == "most" and not value.isdecimal()):
            raise ConfigurationError(f"--spread {text}: give GROUP, then by=PLACE and most=N if need be")
        said[name] = int(value) if name == "most" else value
    return said


def _json(option: str, text: str | None) -> object:
    import orjson

    from streams.errors import ConfigurationError

    if text is None:
        return None
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(
            f"{option} is no JSON: {error}; a text needs its quotes: '\"text\"'"
        ) from None
    return value


def _listed(option: str, text: str | None) -> list[str]:
    from streams.errors import ConfigurationError

    items = [item.strip() for item in text.split(",")] if text else []
    if not all(items):
        raise ConfigurationError(f"{option} {text}: an item is empty; separate them by single commas")
    return items


def _pairs(option: str, text: str | None) -> Iterator[tuple[str, str]]:
    from streams.errors import ConfigurationError

    for item in _listed(option, text):
        name, separator, value = item.partition("=")
        if not separator or not name.strip():
            raise ConfigurationError(f"{option} {item}: give name=value, several separated by commas")
        yield name.strip(), value.strip()


def _number(name: str, text: str) -> float:
    from streams.errors import ConfigurationError

    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"--resources {name}={text}: give a number") from None


def _chunks(tasks: Iterable[Task], size: int) -> Iterator[list[Task]]:
    """Tasks in parts; each part has been sent when the next is asked for.

    Raises:
        ConfigurationError: as ``tasks`` does, and what has become of those before.
    """
    from itertools import islice

    from streams.errors import ConfigurationError

    iterator = iter(tasks)
    sent = 0
    while True:
        try:
            chunk = list(islice(iterator, size))
        except ConfigurationError as error:
            so_far = f"the first {sent:,} tasks were submitted, no other" if sent else "nothing was submitted"
            raise ConfigurationError(f"{error}; {so_far}") from None
        if not chunk:
            return
        yield chunk
        sent += len(chunk)
