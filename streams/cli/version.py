"""``coordinator version``: what is installed, for bug reports."""

from __future__ import annotations

from streams.cli.options import Json

PACKAGE = "coordinator-agent"
NO_PACKAGE = "not installed as a package"

_SHOWN = (PACKAGE, "faust-streaming", "mode-streaming", "aiokafka", "rocksdict")


def version(json: Json = False) -> None:
    """Print the version of the coordinator, and of what it runs on."""
    import platform

    from streams.cli import console

    found = {name: installed(name) for name in _SHOWN}
    found["python"] = platform.python_version()
    if json:
        console.print_json(found)
        return
    for name, number in found.items():
        console.out().print(f"{name:18} {number or NO_PACKAGE}", markup=False)


def installed(package: str) -> str | None:
    """Its version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
