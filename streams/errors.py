"""The root of what can go wrong in the running system; packages below derive their own.

A message says what happened, to what, and what to do next: it is all that an operator sees at 3 a.m.
"""

from __future__ import annotations

from typing import Self


class StreamsError(Exception):
    """Root of all errors that ``streams`` raises on purpose.

    Attributes:
        exit_status: What a command that fails by it exits with.
    """

    exit_status = 1


class ConfigurationError(StreamsError):
    """A setting, a flag or a file that the process cannot work with."""

    exit_status = 2


class BrokerUnreachable(StreamsError):
    """Kafka does not answer at the address that was given."""

    exit_status = 4

    @classmethod
    def at(cls, bootstrap: str, seconds: float | None = None) -> Self:
        """Nobody is there; without seconds it was clear at once."""
        within = "" if seconds is None else f" within {seconds:.0f} s"
        return cls(
            f"no Kafka answers at {bootstrap}{within}; start one with: coordinator kafka (or dev), "
            "or name yours with --bootstrap or KAFKA_BOOTSTRAP_SERVERS"
        )
