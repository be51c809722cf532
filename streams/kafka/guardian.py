"""The process between us and the broker, so that the broker never outlives who started it.

Run by path with nothing but the standard library: ``python -I -S guardian.py LOCK COMMAND...``. It starts the
command, prints its pid, and waits. Its standard input is a pipe that nobody writes to: the pipe ends when the
starter closes it or dies, by whatever signal, and then the broker is told to stop.

Why not Linux's parent-death signal: it fires when the *thread* that started the child ends, which for a start from
a thread pool is much too soon, and macOS has none.

``LOCK`` is the descriptor that claims the data directory. Guardian and broker inherit it, so that the claim lasts
exactly as long as a broker may still write.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

STOP_TIMEOUT = 20.0
"""Seconds that the broker gets to close its files after SIGTERM; measured: less than one."""


def main(arguments: list[str]) -> int:
    lock, *command = arguments
    broker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, stderr=2, pass_fds=[int(lock)])
    signal.signal(signal.SIGTERM, lambda *_: broker.terminate())
    print(broker.pid, flush=True)
    os.close(1)
    threading.Thread(target=_stop_when_the_starter_is_gone, args=[broker], daemon=True).start()
    status = broker.wait()
    return status if status >= 0 else 128 - status


def _stop_when_the_starter_is_gone(broker: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    broker.terminate()
    time.sleep(STOP_TIMEOUT)
    broker.kill()


if __name__ == "__main__":
    # Not sys.exit: standard output is closed already, and the interpreter would complain about that.
    os._exit(main(sys.argv[1:]))
