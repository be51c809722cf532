"""Telling people what was refused, and not telling them the same thing again and again."""

from __future__ import annotations

from models.dead_letters import MAX_ERROR_LENGTH
from models.fold import Table
from models.ingress.outbox import Outbox
from models.ingress.rows import AlertRow
from models.outputs import Alert, Cause


class Alerts:
    def __init__(self, table: Table[AlertRow], outbox: Outbox) -> None:
        self._table = table
        self._outbox = outbox

    def raise_alert(
        self, kind: str, fleet: str, subject: str, reason: str, detail: str, throttle: int
    ) -> None:
        """Raise an alert about the current record, and not the same one again for ``throttle`` ms."""
        box = self._outbox
        key = f"{fleet}/{kind}/{subject}/{reason}"
        raised = self._table.get(key)
        if raised is not None and box.log_time < raised.until:
            return
        self._table.put(key, AlertRow(box.log_time + throttle))
        alert = Alert(
            type=kind,
            fleet=fleet,
            subject=subject,
            reason=reason,
            time=box.log_time,
            cause=Cause(box.offset, ((box.partition, box.offset),)),
            details={"topic": box.topic, "partition": box.partition, "detail": detail[:MAX_ERROR_LENGTH]},
        )
        box.add(alert.output(f"{box.topic}.{box.partition}.{box.offset}"))

    def tick(self, log_time: int) -> None:
        """Forget what is old, or senders could make us remember without end."""
        over = [key for key, row in self._table.rows.items() if row.until <= log_time]
        for key in over:
            self._table.delete(key)
