"""What goes out: the outputs that the records of one batch cause, and their numbering. It decides nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from models.codec import InvalidRecord, encode
from models.dead_letters import ORIGIN_HEADER, dead_letter, headers_size
from models.fields import seconds
from models.fleet_records import Source, encode_fact
from models.fold import Headers, Output, Record
from models.ingress.intake import last_header
from models.partition import partition_of

MAX_REAPPENDED_BYTES = (2 << 20) - (64 << 10)
"""Value and headers of a record that can be appended again: what the events topic takes, less some room.
A sender who compresses can have it take more, once."""
_FLEETS_REMEMBERED = 4_096
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Outbox:
    """Collects outputs. :meth:`begin` tells which record causes the next ones."""

    def __init__(self, partition: int, partitions: Mapping[str, int], topic: str) -> None:
        self.partition = partition
        self.topic = topic
        self.offset = -1
        self.log_time = 0
        self.index = 0
        """Of the next fleet record that the current one causes."""
        self._outputs: list[Output] = []
        self._fleet_partitions = partitions["fleet"]
        self._place: Callable[[str], tuple[bytes, int]] = lru_cache(_FLEETS_REMEMBERED)(self._placed)
        self._before_offset = b'{"type":"directive_response","source":{"partition":%d,"offset":' % partition
        self._after_offset = b""
        self._answers_at = -1
        """The log time that stands in ``_after_offset``."""

    def begin(self, offset: int, log_time: int) -> None:
        self.offset = offset
        self.log_time = log_time
        self.index = 0

    def take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    @property
    def origin(self) -> str:
        """Where the current record stands: ``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def fact(self, kind: str, fleet: str, original: bytes, headers: Headers) -> None:
        """Forward an event of this type, that a decision may depend on, in its own bytes."""
        value = encode_fact(kind, self.partition, self.offset, self.index, self.log_time, original)
        self.index += 1
        self._to_fleet(fleet, value, _trace(headers) if headers else ())

    def answer(self, offset: int, log_time: int, fleet: str, original: bytes) -> None:
        """Forward the one fact that comes all the time, the plain ``directive_response`` at this offset."""
        if log_time != self._answers_at:
            self._answers_at = log_time
            self._after_offset = b',"index":0},"through":%d.%03d,"event":' % divmod(log_time, 1000)
        key, partition = self._place(fleet)
        value = b"%b%d%b%b}" % (self._before_offset, offset, self._after_offset, original)
        self._outputs.append(Output("fleet", key, value, (), partition))

    def liveness(self, kind: str, fleet: str, agent_id: str, silence: int) -> None:
        """Say that an agent was suspected, lost or recovered, after ``silence`` ms of counted silence."""
        value = {
            "type": kind,
            "source": self._source(),
            "fleet": fleet,
            "agent_id": agent_id,
            "silence": silence,
        }
        self._to_fleet(fleet, encode(value))

    def window(self, fleet: str, start: int, end: int, agents: Mapping[str, object], late: int) -> None:
        value = {
            "type": "window_closed",
            "source": self._source(),
            "fleet": fleet,
            "start": seconds(start),
            "end": seconds(end),
            "agents": agents,
            "late": late,
        }
        self._to_fleet(fleet, encode(value))

    def through(self, log_time: int) -> None:
        """Tell every partition of the fleet log that all up to this log time has been forwarded."""
        value = encode({"type": "clock_ticked", "partition": self.partition, "through": seconds(log_time)})
        for partition in range(self._fleet_partitions):
            self.add(Output("fleet", None, value, (), partition))

    def reappend(self, record: Record, subject: bytes, partition: int) -> None:
        """Send a misplaced record to where its subject lives.

        Raises:
            InvalidRecord: if it is too large for that, as only senders of huge headers bring about.
        """
        size = len(record.value or b"") + headers_size(record.headers)
        if size > MAX_REAPPENDED_BYTES:
            raise InvalidRecord(
                "limits",
                f"the record is misplaced and has {size} bytes with its headers; to be appended again in its "
                f"place it may have {MAX_REAPPENDED_BYTES}. Send less, or to the right partition",
            )
        headers = [header for header in record.headers if header[0] != ORIGIN_HEADER]
        headers.append((ORIGIN_HEADER, self.origin.encode()))
        self.add(Output("events", subject, record.value, tuple(headers), partition))

    def dead_letter(self, record: Record, error: InvalidRecord) -> None:
        self.add(dead_letter(record, self.origin, error))

    def add(self, output: Output) -> None:
        self._outputs.append(output)

    def _to_fleet(self, fleet: str, value: bytes, headers: Headers = ()) -> None:
        key, partition = self._place(fleet)
        self._outputs.append(Output("fleet", key, value, headers, partition))

    def _source(self) -> Source:
        source = Source(self.partition, self.offset, self.index)
        self.index += 1
        return source

    def _placed(self, fleet: str) -> tuple[bytes, int]:
        key = fleet.encode()
        return key, partition_of(key, self._fleet_partitions)


def _trace(headers: Headers) -> Headers:
    """The trace that an event belongs to, as W3C Trace Context writes it.

    What is no such thing stays behind: senders may fill headers with anything, of any size, and one record that
    the fleet log cannot take would hold up all behind it.
    """
    found = last_header(headers, "traceparent")
    return (("traceparent", found),) if found is not None and _TRACEPARENT.fullmatch(found) else ()
