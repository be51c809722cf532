"""Programs as they run on another processor: what must be equal everywhere is asked for there, too."""

from __future__ import annotations

import os
import subprocess
import sys


def printed_without(features: str, program: str) -> str:
    """What a program prints where numpy may not use these features of the processor, under another hash seed."""
    environment = {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": features,
        "PYTHONHASHSEED": str(len(features)),
    }
    # numpy warns of features that the processor has not got anyway.
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()
