"""The console script ``coordinator``: all commands by name, and the edge where errors become exit statuses."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Annotated

import typer

from streams.cli import (
    agents,
    backtest,
    bench,
    bisect,
    cancel,
    coalitions,
    dev,
    explain,
    export,
    fleet,
    fsck,
    kafka,
    plan,
    replay,
    resources,
    schema,
    state_at,
    story,
    submit,
    tail,
    tasks,
    topics,
    verify,
    version,
    worker,
)
from streams.cli.console import print_error
from streams.errors import StreamsError

INTERRUPTED = 130

EPILOG = """\
[bold]Exit statuses[/]: 0 done, 1 it failed, 2 wrong usage or settings, 4 Kafka does not answer, 130 interrupted.

[bold]Start here[/]: [cyan]coordinator dev[/], then in another terminal [cyan]coordinator tail directives -f[/].
"""

app = typer.Typer(
    name="coordinator",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN, _WORK, _SEE, _OTHER = "Run it", "Give it work", "See what it does", "Other"

app.command("dev", rich_help_panel=_RUN)(dev.dev)
app.command("worker", rich_help_panel=_RUN)(worker.worker)
app.command("kafka", rich_help_panel=_RUN)(kafka.kafka)
app.add_typer(topics.app, name="topics", rich_help_panel=_RUN)
app.command("submit", rich_help_panel=_WORK)(submit.submit)
app.command("cancel", rich_help_panel=_WORK)(cancel.cancel)
app.command("fleet", rich_help_panel=_WORK)(fleet.fleet)
app.command("agents", rich_help_panel=_SEE)(agents.agents)
app.command("tasks", rich_help_panel=_SEE)(tasks.tasks)
app.command("coalitions", rich_help_panel=_SEE)(coalitions.coalitions)
app.command("state", rich_help_panel=_SEE)(state_at.state)
app.command("diff", rich_help_panel=_SEE)(state_at.diff)
app.command("story", rich_help_panel=_SEE)(story.story)
app.command("replay", rich_help_panel=_SEE)(replay.replay)
app.command("bisect", rich_help_panel=_SEE)(bisect.bisect)
app.command("backtest", rich_help_panel=_SEE)(backtest.backtest)
app.command("verify", rich_help_panel=_SEE)(verify.verify)
app.command("fsck", rich_help_panel=_SEE)(fsck.fsck)
app.command("export", rich_help_panel=_SEE)(export.export)
app.command("plan", rich_help_panel=_SEE)(plan.plan)
app.command("resources", rich_help_panel=_SEE)(resources.resources)
app.command("explain", rich_help_panel=_SEE)(explain.explain)
app.command("tail", rich_help_panel=_SEE)(tail.tail)
app.command("schema", rich_help_panel=_OTHER)(schema.schema)
app.add_typer(bench.app, name="bench", rich_help_panel=_OTHER)
app.command("version", rich_help_panel=_OTHER)(version.version)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coordinator {version.installed(version.PACKAGE) or version.NO_PACKAGE}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit; coordinator version shows more.",
        ),
    ] = False,
) -> None:
    """Event-sourced coordinator for fleets of agents, on Kafka and Faust."""


def _reflowed(text: str) -> str:
    """Help with each paragraph on one line: rich keeps a source's line breaks, and adds those of the terminal."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        one if one.startswith(" ") else " ".join(line.strip() for line in one.splitlines())
        for one in paragraphs
    )


for _command in (*app.registered_commands, *topics.app.registered_commands, *bench.app.registered_commands):
    assert _command.callback is not None
    _command.help = _reflowed(_command.callback.__doc__ or "")


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    # The Kafka client logs each failed connection by itself; commands report such failures once, as errors.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app(prog_name="coordinator")
    except StreamsError as error:
        print_error(str(error))
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
