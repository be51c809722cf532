"""The root of what can go wrong in the running system; packages below derive their own.

A message says what happened, to what, and what to do next: it is all that an operator sees at 3 a.m.
"""

from __future__ import annotations


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
