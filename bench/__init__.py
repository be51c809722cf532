"""Benchmarks: how much work the coordinator does per CPU-second, beside its peers, in one run on one broker.

Machines are shared and noisy, so nothing here is a timed test. What is printed is events per CPU-second of the
process that does the work, all its threads counted, and ratios within one run, whose rows take turns.

What lives where: ``workload`` makes and loads the events, ``rows/`` holds one short program for each contender,
``runner`` runs them in turns. ``throughput``, ``restore``, ``latency``, ``memory`` and ``scale`` are what can be
measured, ``suite`` all of them as the command line sees them. ``environments`` makes the peers' own environments,
``report`` prints and ``plot`` draws.
"""
