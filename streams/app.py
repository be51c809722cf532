"""The Faust app, as ``faust -A streams.app worker`` finds it; ``coordinator worker`` starts the same.

The app is made when it is first asked for, so that importing this module reads no settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.service import CoordinatorApp

    app: CoordinatorApp


def __getattr__(name: str) -> CoordinatorApp:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streams.service import CoordinatorAgent

    made = globals()["app"] = CoordinatorAgent().app
    return made
