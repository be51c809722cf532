"""The contenders, one program each: read the topic, keep the newest state per agent, say how far they are.

A row is run as ``python -m bench.rows.<name>`` with its task in the environment (:class:`bench.meter.Meter`).
"""
