"""Agents and tasks as awkward as may be, drawn by chance, for the lives of fleets that tests live.

What is drawn, and in which order, is part of those lives: digests of them are compared, and golden logs kept.
"""

from __future__ import annotations

from random import Random

SKILLS = ("cut", "drill", "fly", "see", "weld")
_ZONES = (None, "east", "north", "west")


def traits(chance: Random, incarnation: int) -> dict[str, object]:
    """Of an agent, beside its capabilities and slots."""
    return {
        "zone": chance.choice(_ZONES),
        "labels": chance.choice([{}, {"disk": "ssd"}, {"disk": "hdd", "rack": "r1"}, {"rack": "r2"}]),
        "resources": chance.choice([{}, {}, {"gpu": 2}, {"gpu": 0.5}]),
        "incarnation": incarnation,
        "only": chance.choice([{}, {}, {}, {"tenants": ["x"]}, {"capabilities": ["see", "weld"]}]),
    }


def wishes(chance: Random, now: int) -> list[dict[str, object]]:
    """What a task may want beyond :func:`wants`; one of these is to be taken.

    Args:
        now: Milliseconds.
    """
    return [
        {"prefer": {"zone": "east"}},
        {"prefer": {"labels": {"disk": "ssd"}}},
        {"requires": {"capabilities": ["see"], "resources": {"gpu": 0.5}}},
        {"slots": 2},
        {"spread": {"group": f"g{chance.randint(0, 3)}", "by": chance.choice(["agent", "zone"])}},
        {"spread": {"group": f"h{chance.randint(0, 3)}", "by": "labels.rack", "most": 2}},
        {"coalition": {"cover": chance.sample(SKILLS, 3)}},
        {"coalition": {"roles": [{"role": "x", "count": 2}, {"role": "y", "capabilities": ["fly"]}]}},
        {"deadline": (now + chance.randint(1, 20_000)) / 1000},
    ]


def wants(chance: Random) -> dict[str, object]:
    """What every task says."""
    return {
        "requires": {"capabilities": chance.sample(SKILLS, chance.randint(0, 2))},
        "size": chance.choice([0.1, 1.0, 1.05, 3.3, 8.0]),
        "priority": chance.randint(2, 8),
        "tenant": chance.choice([None, "x", "y"]),
    }
