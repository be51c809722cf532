"""The command line as a whole: help comes at once and teaches, errors become sentences and exit statuses."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from streams.cli import main as command_line
from streams.errors import BrokerUnreachable, ConfigurationError, StreamsError

HEAVY = ("faust", "aiokafka", "numpy", "aiohttp", "orjson", "msgspec", "coordinator", "models")

COMMANDS = (
    ["dev"],
    ["worker"],
    ["kafka"],
    ["topics", "create"],
    ["topics", "check"],
    ["fleet"],
    ["submit"],
    ["cancel"],
    ["agents"],
    ["tasks"],
    ["tail"],
    ["explain"],
    ["schema"],
    *(
        ["bench", name]
        for name in ("throughput", "windows", "restore", "restart", "latency", "memory", "scale")
    ),
)


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], (*HEAVY, "pydantic")),
        # typer itself takes pydantic to describe the options of a single command.
        (["tail", "--help"], HEAVY),
        (["dev", "--help"], HEAVY),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    program = (
        "import sys\n"
        "from streams.cli.main import app\n"
        f"try: app({arguments!r}, prog_name='coordinator')\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        f"print('HEAVY', sorted(set({heavy!r}) & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_says_what_it_does_and_shows_an_example(command: list[str]) -> None:
    shown = CliRunner().invoke(command_line.app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert f"coordinator {' '.join(command)}" in shown.output


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StreamsError("it broke; mend it"), 1),
        (ConfigurationError("it broke; mend it"), 2),
        (BrokerUnreachable("it broke; mend it"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_becomes_one_sentence_and_its_exit_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = typer.Typer()

    @failing.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(command_line, "app", failing)
    monkeypatch.setattr(command_line, "print_error", lambda message: print("error:", message))
    monkeypatch.setattr(sys, "argv", ["coordinator"])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == status
    if isinstance(error, StreamsError):
        assert capsys.readouterr().out == "error: it broke; mend it\n"


@pytest.mark.parametrize("arguments", [["no-such-command"], ["tail"], ["submit", "--slots", "x"]])
def test_wrong_usage_has_exit_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(command_line.app, arguments).exit_code == 2


def test_a_topic_that_does_not_exist_is_refused_with_those_that_do() -> None:
    error = CliRunner().invoke(command_line.app, ["tail", "nothing"]).exception
    assert isinstance(error, ConfigurationError)
    assert "directives, results, alerts" in str(error)


def test_the_version_is_an_option_too() -> None:
    shown = CliRunner().invoke(command_line.app, ["--version"])
    assert (shown.exit_code, shown.output.split()[0]) == (0, "coordinator")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["explain", "x"], "by its id: coordinator explain task x"),
        (["explain", "agnt", "x"], "by its id: coordinator explain task x"),
        (["explain", "agent"], "by its id: coordinator explain agent ID"),
        (["explain", "task"], "by its id: coordinator explain task ID"),
        (["dev", "--no-demo", "--tasks", "5"], "--no-demo leaves out what --tasks is about"),
        (
            ["submit", "-", "--requires", "a", "--max-attempts", "3"],
            "--requires, --max-attempts cannot be given with -",
        ),
        (["submit", "--timeout", "5"], "--timeout says how long --wait waits: give --wait, too"),
        (["submit", "--requires", ",,"], "--requires ,,: an item is empty"),
        (["submit", "--resources", "gpu=1,"], "--resources gpu=1,: an item is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could(arguments: list[str], complaint: str) -> None:
    error = CliRunner().invoke(command_line.app, arguments).exception
    assert isinstance(error, ConfigurationError)
    assert complaint in str(error)


def test_a_deadline_in_the_past_is_refused() -> None:
    assert CliRunner().invoke(command_line.app, ["submit", "--deadline", "-5"]).exit_code == 2


def test_a_paragraph_of_help_is_broken_by_the_terminal_only() -> None:
    shown = CliRunner().invoke(command_line.app, ["submit", "--help"], env={"COLUMNS": "500"})
    assert (
        "{}}. All fields have defaults. Submitting an equal task again changes nothing; with" in shown.output
    )


def test_version_names_what_it_runs_on() -> None:
    shown = CliRunner().invoke(command_line.app, ["version", "--json"])
    assert '"aiokafka":"0.14.0"' in shown.output


@pytest.mark.parametrize("command", ["agents", "tasks"])
def test_an_unknown_state_is_refused_with_those_that_there_are(command: str) -> None:
    from models.fleet import views

    error = CliRunner().invoke(command_line.app, [command, "--state", "bogus"]).exception
    assert isinstance(error, ConfigurationError)
    known = views.AGENT_STATES if command == "agents" else views.TASK_STATES
    assert str(error) == f"no state is called 'bogus'; there are {', '.join(known)}"


@pytest.mark.parametrize("command", [["agents"], ["tasks"], ["explain", "task", "t"], ["tail", "events"]])
def test_a_name_that_no_fleet_can_have_is_refused(command: list[str]) -> None:
    error = CliRunner().invoke(command_line.app, [*command, "--fleet", "no spaces"]).exception
    assert isinstance(error, ConfigurationError)
    assert "'no spaces' cannot be a fleet's name; give 1 to 64 of" in str(error)
