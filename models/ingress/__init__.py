"""The ingress fold: from untrusted events to facts in the fleet log, one partition at a time.

Read :mod:`models.ingress.fold` first: it follows one record from its bytes to its outcome. The other files
hold one concern each: ``intake`` (headers and bytes to an event), ``placement`` (who belongs where),
``agents`` (what an event does to its agent), ``beats`` (the same, fast, of what agents say all day), ``liveness``,
``windows`` and ``cells`` (what they have seen), ``alerts``, ``outbox`` (what goes out) and ``rows`` (what
survives).
"""

from models.ingress.fold import IngressFold, IngressStatus
from models.ingress.rows import OUTCOMES, Outcome

__all__ = ["OUTCOMES", "IngressFold", "IngressStatus", "Outcome"]
