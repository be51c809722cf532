"""Long, plausible histories of one partition, each drawn from a seed: for what only shows in deep states."""

from __future__ import annotations

import random

import orjson

from models.fold import LogRecord
from tests.unit.models.ingress.world import START, id_in

LENGTH = 150
"""Records in a history."""

_AGENTS = [id_in(0, 2, name) for name in "abcdefg"] + [id_in(1, 2, "elsewhere")]
_FLEETS = ["default", "default", "default", "red"]
_POLICIES: list[dict[str, object]] = [
    {},
    {"windows": {"size": 3}},
    {"windows": {"max_lateness": 0, "max_skew": 30}},
    {"liveness": {"suspect_max": 2, "suspect_pause": 1, "lost_max": 3}},
    {"register_unknown_agents": False},
    {"alert_throttle": 1},
    {"nonsense": 1},
]


def history(seed: int) -> list[LogRecord]:
    """Agents that beat, fall silent, return, restart, repeat themselves; ticks, pauses, operators, rubbish."""
    chance = random.Random(seed)
    numbers: dict[tuple[str, str], int] = {}
    talkative = chance.sample(_AGENTS, chance.randint(1, 8))
    records: list[LogRecord] = []
    now = START + chance.randint(0, 9_999)
    for offset in range(LENGTH):
        now += chance.choice([0, 0, 1, 50, 400, 900, 1_000])
        if chance.random() < 0.02:
            now += chance.choice([-2_000, 15_000, 600_000])
        if chance.random() < 0.05:
            talkative = chance.sample(_AGENTS, chance.randint(0, 8))
        if records and chance.random() < 0.05:
            value, headers = chance.choice([(record.value, record.headers) for record in records[-20:]])
        else:
            value, headers = _value(chance, numbers, talkative, now), _headers(chance)
        records.append(LogRecord(offset, now, chance.choice([None, b"k"]), value, headers))
    return records


def _value(
    chance: random.Random, numbers: dict[tuple[str, str], int], talkative: list[str], now: int
) -> bytes | None:
    kind = chance.choices(
        [
            "clock_ticked",
            "status_update",
            "metric_report",
            "resource_report",
            "directive_response",
            "agent_registered",
            "agent_deregistered",
            "agent_cordoned",
            "task_submitted",
            "policy_changed",
            "policy_accepted",
            "rubbish",
        ],
        [40, 30, 20, 4, 4, 4, 1, 2, 4, 1, 1, 2],
    )[0]
    if kind == "rubbish":
        return chance.choice([None, b"", b"{", b"[]", chance.randbytes(9)])
    value: dict[str, object] = {"type": kind}
    if kind == "clock_ticked":
        return orjson.dumps(value)
    fleet = chance.choice(_FLEETS)
    value["fleet"] = fleet
    if kind.startswith("policy"):
        value |= {"policy": chance.choice(_POLICIES), "version": chance.randint(1, 5)}
    elif kind == "task_submitted":
        value["task_id"] = f"task-{chance.randint(0, 5)}"
    else:
        agent_id = chance.choice(talkative or _AGENTS)
        value["agent_id"] = agent_id
        if chance.random() < 0.7:
            numbers[fleet, agent_id] = seq = numbers.get((fleet, agent_id), -1) + chance.choice(
                [0, 1, 1, 1, 2]
            )
            value["seq"] = max(seq, 0)
        if chance.random() < 0.05:
            value["incarnation"] = chance.randint(0, 3)
        if chance.random() < 0.3:
            value["time"] = (now + chance.choice([-3_600_000, -9_000, -2_000, 0, 1_500, 60_000])) / 1000
        value |= {
            "status_update": {
                "status": chance.choice(["active", "active", "active", "busy", "offline", "error"]),
                "current_load": chance.random(),
            },
            "metric_report": {"metrics": {name: chance.uniform(-9, 9) for name in chance.sample("abc", 2)}},
            "resource_report": {"resources": {"gpu": {"capacity": 4, "used": chance.randint(0, 2)}}},
            "directive_response": {"directive_id": "default.1.0", "outcome": "progress"},
            "agent_registered": {"heartbeat_interval": chance.choice([0.05, 1, 2])},
        }.get(kind, {})
    return orjson.dumps(value)


def _headers(chance: random.Random) -> tuple[tuple[str, bytes | None], ...]:
    if chance.random() < 0.9:
        return ()
    return (
        chance.choice(
            [
                ("coord-origin", b"coordinator.events/1/%d" % chance.randint(0, 30)),
                ("coord-origin", b"rubbish"),
                ("ce_specversion", chance.choice([b"1.0", b"2.0"])),
                ("traceparent", b"00-%032x-b7ad6b7169203331-01" % chance.randint(0, 9)),
            ]
        ),
    )
