"""A worker that ends when the one who started it does, however that came about: ``python -m streams.dev.leash``.

Standard input is a pipe whose other end the starter holds. When the starter dies, even by ``kill -9``, the pipe
closes and the worker stops as on SIGTERM, so that nothing of a ``coordinator dev`` is ever left running.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def hold() -> None:
    """Watch standard input from a thread; send this process SIGTERM when it ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="leash", daemon=True).start()


if __name__ == "__main__":
    from streams.cli.main import main

    hold()
    main()
