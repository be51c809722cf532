"""The fleet fold: tasks, agents with their credits, and the ledger of directives, as one function of the log.

``fold`` dispatches; ``tasks``, ``agents``, ``answers``, ``plans``, ``overdue``, ``policies`` and ``reports``
decide; ``ledger`` issues and ends directives; ``feasibility`` alone says who can take what; ``rows`` is what
survives, ``state`` what derives from it (``roster``, ``backlog``, ``timers``). ``explain`` and ``views`` read.
"""

from models.fleet.fold import FleetFold

__all__ = ["FleetFold"]
