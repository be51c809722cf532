"""``coordinator version``: what is installed, for bug reports."""

from __future__ import annotations

from streams.cli.options import Json

_SHOWN = ("coordinator-agent", "faust-streaming", "mode-streaming", "aiokafka", "rocksdict")


def version(json: Json = False) -> None:
    """Print the version of the coordinator, and of what it runs on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from streams.cli import console

    found: dict[str, str | None] = {}
    for name in _SHOWN:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    found["python"] = platform.python_version()
    if json:
        console.print_json(found)
        return
    for name, number in found.items():
        console.out().print(f"{name:18} {number or 'not installed as a package'}", markup=False)
