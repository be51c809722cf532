"""How the process logs: structlog on top of the standard library, so that Faust's and aiokafka's lines look alike.

Events have short stable texts and fields (``partition``, ``offset``, ``fleet``); nothing is logged per record.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from streams.library_logs import LIBRARIES, OncePerWhile

LogFormat = Literal["auto", "console", "json", "plain"]

CLASSIC_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"

_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


class LogManager:
    """Sets up the log of the process, once, on stderr.

    Args:
        level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        log_format: ``console`` for people, ``json`` for machines, ``plain`` for the classic one-line format;
            ``auto`` chooses console on a terminal and json elsewhere.
    """

    def __init__(self, level: str = "INFO", log_format: LogFormat = "auto") -> None:
        self.level = level
        self.log_format = log_format
        self.logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coordinator")

    def setup_logging(self) -> None:
        """Apply :meth:`dict_config` and make structlog's loggers go the same way."""
        logging.config.dictConfig(self.dict_config())
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *_SHARED,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
        )

    def dict_config(self) -> dict[str, Any]:
        """The configuration as ``logging.config.dictConfig`` takes it; Faust's own worker is given the same."""
        # They speak up from WARNING on, unless the operator asks for DEBUG: see ``streams.library_logs``.
        chatty = "DEBUG" if self.level == "DEBUG" else "WARNING"
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": self._formatter()},
            "filters": {"repeats": {"()": OncePerWhile}},
            "handlers": {
                "stderr": {
                    "class": "streams.disk.LogStream",
                    "stream": "ext://sys.stderr",
                    "formatter": "line",
                    "filters": ["repeats"],
                }
            },
            "root": {"level": self.level, "handlers": ["stderr"]},
            "loggers": {name: {"level": chatty} for name in LIBRARIES},
        }

    def _formatter(self) -> dict[str, Any]:
        chosen = self.log_format
        if chosen == "auto":
            chosen = "console" if sys.stderr.isatty() else "json"
        classic: dict[str, str] = {}
        if chosen == "plain":
            classic = {"fmt": CLASSIC_FORMAT}
            render: list[Any] = [structlog.processors.format_exc_info, _classic_message]
        elif chosen == "json":
            render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        else:
            # Not structlog's default, which prints local variables: secrets would end in the log.
            trace = structlog.dev.plain_traceback
            render = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=trace)]
        return {
            "()": structlog.stdlib.ProcessorFormatter,
            **classic,
            "foreign_pre_chain": _SHARED,
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        }


def _classic_message(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """``text field=value …`` for the classic format, which prints time, name and level by itself."""
    for name in ("level", "logger", "timestamp", "exc_info", "stack_info"):
        event.pop(name, None)
    text = str(event.pop("event", ""))
    trace = event.pop("exception", None)
    line = " ".join([text, *(f"{key}={value}" for key, value in event.items())])
    return line if trace is None else f"{line}\n{trace}"
