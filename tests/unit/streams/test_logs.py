"""What a line of the log looks like in each format."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
import structlog

from streams.logs import LogFormat, LogManager

Configured = Callable[[LogFormat], io.StringIO]


@pytest.fixture
def configured() -> Iterator[Configured]:
    """Configure the process's log in a format, and catch what is written."""
    caught = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level

    def configure(log_format: LogFormat) -> io.StringIO:
        LogManager("INFO", log_format).setup_logging()
        handler = root.handlers[0]
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(caught)
        return caught

    yield configure
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_carry_event_level_logger_and_fields(configured: Configured) -> None:
    caught = configured("json")
    logging.getLogger("coordinator.engine").info("partition opened", extra={"partition": 3, "offset": 17})
    line = json.loads(caught.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "partition opened",
        "level": "info",
        "logger": "coordinator.engine",
        "partition": 3,
        "offset": 17,
    }


def test_the_plain_format_is_the_classic_line_for_both_kinds_of_loggers(configured: Configured) -> None:
    caught = configured("plain")
    logging.getLogger("coordinator.engine").warning("slow", extra={"seconds": 2})
    structlog.stdlib.get_logger("coordinator").info("started", http="127.0.0.1:9090")
    first, second = caught.getvalue().splitlines()
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    assert re.fullmatch(time + " - coordinator.engine - WARNING - slow seconds=2", first)
    assert re.fullmatch(time + " - coordinator - INFO - started http=127.0.0.1:9090", second)


@pytest.mark.parametrize("log_format", ["console", "json", "plain"])
def test_a_traceback_shows_no_local_variables(log_format: LogFormat, configured: Configured) -> None:
    caught = configured(log_format)

    def fail(password: str) -> None:
        raise ValueError(f"{len(password)} characters")

    try:
        fail("".join(["hunter", "2"]))
    except ValueError:
        logging.getLogger("coordinator").exception("failed")
    assert "ValueError: 7 characters" in caught.getvalue()
    assert "hunter2" not in caught.getvalue()


def test_what_a_library_repeats_is_said_once(configured: Configured) -> None:
    caught = configured("json")
    for _ in range(3):
        logging.getLogger("aiokafka").error("Unable connect to %s", "127.0.0.1:1")
        logging.getLogger("coordinator").error("ours")
    lines = [json.loads(line)["event"] for line in caught.getvalue().splitlines()]
    assert lines.count("Unable connect to 127.0.0.1:1") == 1
    assert lines.count("ours") == 3


def test_libraries_do_not_build_debug_records_unless_asked(configured: Configured) -> None:
    configured("json")
    assert not logging.getLogger("aiokafka.consumer.fetcher").isEnabledFor(logging.INFO)
    assert logging.getLogger("coordinator.engine").isEnabledFor(logging.INFO)
