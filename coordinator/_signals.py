"""Being asked to end by an orchestrator is being asked to end by a person."""

from __future__ import annotations

import signal
import threading


def end_on_sigterm_as_on_ctrl_c() -> None:
    """Let SIGTERM do what Ctrl-C does, unless the program has decided otherwise.

    By default SIGTERM ends a process on the spot: an agent would leave its tasks waiting until it counts as
    lost. Only in the main thread, since Python allows it nowhere else.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
