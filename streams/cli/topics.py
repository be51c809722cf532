"""``coordinator topics create|check``: the topics, and whether their settings are as they must be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import console
from streams.cli.options import Bootstrap, Json, Prefix

if TYPE_CHECKING:
    from streams.topics import Finding

app = typer.Typer(
    help="Create the coordinator's topics, or check their settings.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command("create")
def create(
    replication: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Copies of each partition, by default 1; at most as many as there are brokers.",
        ),
    ] = None,
    json: Json = False,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Create the topics that are missing, and leave the others as they are.

    Partition counts come from the settings (COORDINATOR_EVENTS_PARTITIONS, …) and are fixed from then on.

    [bold]Example[/]

      coordinator topics create -b 127.0.0.1:9092
    """
    import asyncio

    from streams.cli.options import settings
    from streams.topics import create, layout_of

    loaded = settings(bootstrap, prefix, replication_factor=replication)
    layout = layout_of(loaded)
    with console.waiting_for_kafka(loaded.kafka_bootstrap_servers):
        created = asyncio.run(create(loaded.kafka_bootstrap_servers, layout, loaded.replication_factor))
    if json:
        existing = [name for name in layout.topics if name not in created]
        console.print_json({"created": created, "existing": existing})
        return
    for name in layout.topics:
        console.out().print(f"{'created' if name in created else 'exists ':8} {name}", markup=False)


@app.command("check")
def check(json: Json = False, bootstrap: Bootstrap = None, prefix: Prefix = None) -> None:
    """Compare the topics with what the coordinator needs. Exit status 1 if it could not work with them.

    [bold]Example[/]

      coordinator topics check --json | jq '.findings[].remedy'
    """
    import asyncio

    from streams.cli.options import settings
    from streams.topics import check, layout_of

    loaded = settings(bootstrap, prefix)
    layout = layout_of(loaded)
    with console.waiting_for_kafka(loaded.kafka_bootstrap_servers):
        findings = asyncio.run(check(loaded.kafka_bootstrap_servers, layout))
    fatal = any(finding.fatal for finding in findings)
    if json:
        console.print_json({"ok": not fatal, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(layout.topics, findings)
    raise typer.Exit(1 if fatal else 0)


def _print(topics: Iterable[str], findings: Iterable[Finding]) -> None:
    from rich.text import Text

    from streams.topics import remedies

    findings = list(findings)
    faults: dict[str, list[Finding]] = {}
    for finding in findings:
        faults.setdefault(finding.topic, []).append(finding)
    for name in topics:
        found = faults.get(name, [])
        worst = any(finding.fatal for finding in found)
        mark = ("✗ ", "bold red") if worst else ("! ", "yellow") if found else ("✓ ", "green")
        console.out().print(Text.assemble(mark, name))
        for finding in found:
            console.out().print(Text(f"    {finding.fault}"))
    for remedy in remedies(findings):
        console.out().print(Text(remedy))
