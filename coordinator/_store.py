"""What an agent remembers, in one small SQLite file: incarnation, read position, fences, answers.

With a directory it survives restarts; without one it lives in memory and is the same code. All calls are short
(tens of microseconds: WAL, and ``synchronous=NORMAL``, so no fsync in a commit) and are made from the event
loop's thread. Losing the last commits in a power failure is harmless: the next start registers a higher
incarnation, which ends whatever was going on, and the desk never runs a directive from before a registration.

What it forgets, and why that is safe: a fence and a directive are kept until the directive's ``expires_at``,
after which the desk ignores any copy of it anyway. Counts are bounded besides, oldest first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import orjson

from coordinator.directive import Answer
from coordinator.errors import StateInUse, StateUnreadable

SCHEMA_VERSION = 1
MAX_REMEMBERED = 100_000
"""Directives and fences kept at most; far more than an agent is given within the usual run timeouts."""
MAX_ANSWERS = 1_000
"""Delivered answers kept with their results (each up to 64 KiB); later ones are known to be answered, no more."""

_SCHEMA = """
create table facts (name text primary key, value) without rowid;
create table fences (task_id text primary key, floor integer not null, keep_until real not null);
create table directives (
    number integer primary key,          -- order of receipt
    directive_id text not null unique,
    incarnation integer not null,        -- of the agent, at receipt
    keep_until real,                     -- null: only bounded by count
    outcome text,                        -- the last answer; null: none yet
    answer blob,                         -- as JSON; null: none, or long ago
    delivered integer not null default 0 -- the broker has the answer
);
create index undelivered on directives (number) where delivered = 0 and outcome is not null;
create index keep_until on directives (keep_until);
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a directive that came before."""

    incarnation: int
    outcome: str | None
    answer: Answer | None

    @property
    def is_final(self) -> bool:
        return self.outcome in ("completed", "failed", "rejected")


class StateStore:
    """Opens on construction; use :meth:`close`, or it is held until the process ends."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the state.

        Args:
            path: The file; ``None`` keeps everything in memory.

        Raises:
            StateInUse: if another process has it open.
            StateUnreadable: if it is no usable state file.
        """
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit; `_transaction` says where several statements belong together.
            self._db = sqlite3.connect(path or ":memory:", timeout=0.0, isolation_level=None)
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")
            self._open_schema()
        except (sqlite3.Error, OSError) as error:
            if hasattr(self, "_db"):
                self._db.close()
            if "locked" in str(error):
                raise StateInUse(str(path)) from None
            raise StateUnreadable(str(path), str(error)) from None
        self.incarnation = int(self.fact("incarnation") or 0)

    def close(self) -> None:
        self._db.close()

    # -- life of the agent ----------------------------------------------------------------------------------

    def begin(self, log: str, now: float) -> int:
        """Begin an incarnation; returns its number, higher than all before.

        The number is the wall clock in half seconds unless the last one was higher: without a file it still
        rises from start to start, it is above the plain seconds that hand-written agents like to use, and it
        stays within the 2^32 that the contract allows an unknown agent until the year 2038.

        Args:
            log: Names the Kafka log that positions and epochs refer to. If it is another one than before (a
                new cluster, another topic prefix), everything but the incarnation is forgotten: epochs and
                offsets start again there, and old fences would refuse good work.
            now: Epoch seconds.
        """
        with self._transaction():
            if self.fact("log") not in (None, log):
                self.forget_log()
            self._remember_fact("log", log)
            self.incarnation = max(self.incarnation + 1, int(now * 2))
            self._remember_fact("incarnation", self.incarnation)
        return self.incarnation

    def forget_log(self) -> None:
        self._db.execute("delete from fences")
        self._db.execute("delete from directives")
        self._db.execute("delete from facts where name != 'incarnation'")

    # -- reading position and modes -------------------------------------------------------------------------

    @property
    def position(self) -> int | None:
        """Offset of the next record to read; everything below has been dealt with."""
        value = self.fact("position")
        return None if value is None else int(value)

    def advance(self, position: int) -> None:
        self._remember_fact("position", position)

    def fact(self, name: str) -> int | str | None:
        row = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def remember_fact(self, name: str, value: int | str | None) -> None:
        self._remember_fact(name, value)

    # -- directives -----------------------------------------------------------------------------------------

    def floor(self, task_id: str) -> int:
        """The lowest epoch of the task that may still be executed here."""
        row = self._db.execute("select floor from fences where task_id = ?", (task_id,)).fetchone()
        return 0 if row is None else int(row[0])

    def find(self, directive_id: str) -> Remembered | None:
        row = self._db.execute(
            "select incarnation, outcome, answer from directives where directive_id = ?", (directive_id,)
        ).fetchone()
        if row is None:
            return None
        return Remembered(row[0], row[1], None if row[2] is None else _decode(row[2]))

    def remember(
        self,
        directive_id: str,
        *,
        position: int,
        keep_until: float | None,
        fence: tuple[str, int, float] | None,
        facts: Mapping[str, int | str | None],
    ) -> None:
        """Note a directive before anything is done about it, in one commit with all that follows from it.

        Args:
            directive_id: Which.
            position: Offset after its record.
            keep_until: When any copy of it will be ignored for its age, epoch seconds.
            fence: Task, lowest epoch that may still run, and until when this must be known.
            facts: Modes to set with it.
        """
        with self._transaction():
            self._db.execute(
                "insert or ignore into directives (directive_id, incarnation, keep_until) values (?, ?, ?)",
                (directive_id, self.incarnation, keep_until),
            )
            if fence is not None:
                self._db.execute(
                    "insert into fences values (?, ?, ?) on conflict (task_id) do update set"
                    " floor = max(floor, excluded.floor), keep_until = max(keep_until, excluded.keep_until)",
                    fence,
                )
            for name, value in facts.items():
                self._remember_fact(name, value)
            self.advance(position)

    # -- answers --------------------------------------------------------------------------------------------

    def answered(self, directive_id: str, answer: Answer) -> None:
        """Note an answer before it is sent, so that a crash in between loses none."""
        self._db.execute(
            "update directives set outcome = ?, answer = ?, delivered = 0 where directive_id = ?",
            (answer.outcome, _encode(answer), directive_id),
        )

    def delivered(self, directive_id: str, answer: Answer) -> None:
        self._db.execute(
            "update directives set delivered = 1 where directive_id = ? and outcome = ?",
            (directive_id, answer.outcome),
        )

    def undelivered(self) -> list[tuple[str, Answer]]:
        """Final answers of earlier incarnations that the broker may not have, in order of receipt."""
        rows = self._db.execute(
            "select directive_id, answer from directives where delivered = 0 and incarnation < ?"
            " and outcome in ('completed', 'failed', 'rejected') and answer is not null order by number",
            (self.incarnation,),
        )
        return [(directive_id, _decode(answer)) for directive_id, answer in rows]

    def prune(self, now: float) -> None:
        """Forget what no longer matters; cheap enough for every half minute."""
        with self._transaction():
            self._db.execute("delete from directives where keep_until < ?", (now,))
            self._db.execute("delete from fences where keep_until < ?", (now,))
            newest = self._db.execute("select max(number) from directives").fetchone()[0] or 0
            self._db.execute("delete from directives where number <= ?", (newest - MAX_REMEMBERED,))
            self._db.execute(
                "update directives set answer = null"
                " where number <= ? and delivered = 1 and answer is not null",
                (newest - MAX_ANSWERS,),
            )
            self._db.execute(
                "delete from fences where task_id in"
                " (select task_id from fences order by keep_until desc limit -1 offset ?)",
                (MAX_REMEMBERED,),
            )

    # -- inside ---------------------------------------------------------------------------------------------

    def _open_schema(self) -> None:
        # `begin immediate` takes the lock that a second process would fail on, even if nothing is written.
        self._db.execute("begin immediate")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(
                f"its format is version {version}, this software writes {SCHEMA_VERSION}"
            )
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        self._db.execute("commit")

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def _remember_fact(self, name: str, value: int | str | None) -> None:
        self._db.execute("insert or replace into facts values (?, ?)", (name, value))


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("begin immediate")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._db.execute("commit" if kind is None else "rollback")


def state_path(state_dir: str | Path, fleet: str, agent_id: str) -> Path:
    """The file of one agent; ids may hold ``:`` and ``@``, which not every file system takes."""
    return Path(state_dir) / quote(fleet, safe="") / f"{quote(agent_id, safe='')}.sqlite3"


def _encode(answer: Answer) -> bytes:
    return orjson.dumps([answer.outcome, answer.reason, answer.progress, answer.result])


def _decode(raw: bytes) -> Answer:
    return Answer(*orjson.loads(raw))
