"""How ``coordinator explain directive ID`` reads: why it was given, what else there was, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.cli import console

if TYPE_CHECKING:
    from rich.console import RenderableType

    from models.fleet import FleetFold
    from streams.audit.past import Past
    from streams.settings import Settings


def read(settings: Settings, directive_id: str) -> dict[str, Any]:
    """The cause of a directive, as plain JSON values.

    Raises:
        ConfigurationError: if no directive has such an id.
        NotFound: if this one was never given.
        BrokerUnreachable, TopicMissing: if the topics cannot be read.
    """
    import asyncio

    from streams.audit.cause import Cause
    from streams.audit.moments import NOW, before_directive
    from streams.audit.past import Log
    from streams.cli.http import NotFound
    from streams.cli.looking_back import FOLDING, heard_from, opened, snapshots_of
    from streams.errors import ConfigurationError

    moment = before_directive(directive_id)
    if moment is None:
        raise ConfigurationError(f"{directive_id!r} is no directive's id; one looks like default.1834.0")

    async def sought() -> tuple[Past, Cause]:
        async with opened(settings, None, FOLDING) as (history, progress):
            log = await Log.of(history, moment.fleet)
            first = min(moment.offset, log.extent.end)
            return await heard_from(log, first, seek, NOW, progress, snapshots_of(settings))

    def seek(fold: FleetFold, first: int) -> Cause:
        return Cause(fold, moment.fleet, moment.offset, directive_id)

    past, cause = asyncio.run(sought())
    if cause.directive is None:
        raise NotFound(
            f"no directive {directive_id!r} was ever given: the fleet log has none at {moment.offset}"
        )
    return {
        "at": past.at,
        "fleet": moment.fleet,
        "directive_id": directive_id,
        "directive": cause.directive,
        "because": cause.because,
        "before": cause.before,
        "after": cause.after,
        "then": [entry.on_wire() for entry in cause.then],
    }


def drawn(answer: dict[str, Any]) -> RenderableType:
    """For people: the directive, its cause, the state before, the other places, the answers."""
    from rich.console import Group
    from rich.text import Text

    from streams.cli import explain, story

    directive, because = answer["directive"], answer["because"]
    told = [f"{name} {directive[name]}" for name in ("task_id", "epoch", "attempt") if name in directive]
    issued = console.clock(round(directive["issued_at"] * 1_000))
    head = Text.assemble(
        (answer["directive_id"], "bold"),
        f" told {directive['agent_id']} at {issued} to ",
        (directive["type"], console.STYLES.get(directive["type"], "")),
        f" {', '.join(told)}",
    )
    parts: list[RenderableType] = [
        head,
        Text(f"\nBecause of offset {because['offset']:,} of the fleet log", "bold"),
    ]
    parts.append(Text(_because(because)))
    parts.append(Text(_made_from(directive.get("provenance")), "dim"))
    if answer["before"] is not None:
        parts.append(Text("\nJust before", "bold"))
        parts.append(explain.drawn(answer["before"]))
    placement = (answer["after"] or {}).get("placement")
    if placement:
        parts.extend(explain.places(placement))
    parts.append(Text("\nThen", "bold"))
    if answer["then"]:
        parts.append(story.drawn(answer["then"], "task" if "task_id" in directive else "agent"))
    else:
        parts.append(Text("its agent has answered nothing"))
    return Group(*parts)


def _made_from(provenance: dict[str, Any] | None) -> str:
    if provenance is None:
        return "it does not say what it was made from"
    state = provenance["state"]
    sealed = (
        "before the first seal of the state"
        if state is None
        else f"state {state['digest'][:16]} as sealed at offset {state['offset']:,}"
    )
    return f"policy {provenance['policy']}, {sealed}, fold {provenance['fold']}"


def _because(because: dict[str, Any]) -> str:
    if "plan_id" in because:
        planner = because.get("planner", {})
        cost = because.get("objective")
        bound = because.get("bound")
        least = "" if bound is None else f", which no plan for these tasks could bring below {bound:,}"
        costs = "" if cost is None else f"; it costs {cost:,}{least}"
        return (
            f"the plan {because['plan_id']}, which the planner {planner.get('name')} {planner.get('version')} "
            f"made from all up to offset {because['based_on']:,}{costs}"
        )
    source = because.get("source")
    stems = "" if source is None else f", from offset {source['offset']:,} of events/{source['partition']}"
    return f"{because['type']}{stems}"
