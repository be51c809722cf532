"""Keeping what a verification has done, so that it can go on after an interruption, and saying so to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from streams.cli import console

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from streams.audit.checkpoint import Saved
    from streams.settings import Settings

T = TypeVar("T")
DIRECTORY = "verifications"
"""Beside the snapshots."""


class Kept:
    """The file of one verification.

    Args:
        what: What is verified; see :class:`streams.audit.checkpoint.Checkpoint`.
    """

    def __init__(self, settings: Settings, what: str) -> None:
        from streams.audit.checkpoint import Checkpoint

        self._file = Checkpoint(settings.snapshots_dir / DIRECTORY, what)
        self._wanted = bool(settings.snapshot_interval)

    def load(self) -> Saved:
        """What was kept.

        Raises:
            ConfigurationError: if there is nothing to go on from.
        """
        from streams.audit.checkpoint import CheckpointRefused
        from streams.errors import ConfigurationError

        try:
            saved = self._file.load()
        except CheckpointRefused as refused:
            raise ConfigurationError(
                f"{self._file.path} cannot be gone on from: {refused}; begin anew, without --resume"
            ) from None
        if saved is None:
            raise ConfigurationError(
                f"no interrupted verification of that is kept in {self._file.path.parent}; leave out --resume"
            )
        console.note(f"going on behind the first {saved.done:,} records")
        return saved

    def keep(self, saved: Saved) -> None:
        if not self._wanted:
            return
        try:
            self._file.save(saved)
        except OSError as error:
            self._wanted = False
            console.note(
                f"what is done cannot be kept in {self._file.path.parent}: {error.strerror or error}"
            )

    async def watched(self, verification: Awaitable[T]) -> T:
        """Forget what is kept when it has come to its end, and say that it is there if it is interrupted.

        Raises:
            ConfigurationError: if what it was to go on from is of another history. That is forgotten, too.
        """
        from streams.audit.checkpoint import CheckpointRefused
        from streams.errors import ConfigurationError

        try:
            found = await verification
        except CheckpointRefused as refused:
            self._file.remove()
            raise ConfigurationError(f"it cannot be gone on with: {refused}; leave out --resume") from None
        except BaseException:
            if self._file.path.exists():
                console.note("what is done is kept: go on with --resume")
            raise
        self._file.remove()
        return found
