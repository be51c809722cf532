"""The command line: one command a file, their shared options and looks in ``options`` and ``console``.

Importing this package must stay cheap, since ``coordinator --help`` does it: whatever is heavy (Kafka clients,
Faust, pydantic, numpy, aiohttp) is imported inside the command that needs it.
"""
