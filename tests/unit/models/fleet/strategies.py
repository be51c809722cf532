"""Random fleet logs over few names, so that records meet: any valid record, in any order, at any pace."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from models.fleet_records import LOAD
from models.fold import LogRecord
from tests.unit.models.fleet.log import START

EVENTS_PARTITIONS = 2
_GAP = 10
"""Distance between offsets, so that tests can put records in between without moving the others."""

agent_ids = st.sampled_from(["a1", "a2", "a3"])
task_ids = st.sampled_from(["t1", "t2", "t3", "t4"])
fleets = st.sampled_from(["default", "default", "default", "other"])
amounts = st.sampled_from([0, 0.1, 0.2, 0.3, 1, 2.5])
capabilities = st.lists(st.sampled_from(["saw", "weld"]), max_size=2)
directive_ids = st.builds(
    "{}.{}.{}".format, fleets, st.integers(0, 60).map(lambda n: n * _GAP), st.integers(0, 2)
)


def _event(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), "fleet": fleets, **fields})


events = st.one_of(
    _event(
        "agent_registered",
        agent_id=agent_ids,
        capabilities=capabilities,
        slots=st.integers(0, 3),
        resources=st.dictionaries(st.sampled_from(["cpu", "gpu"]), amounts, max_size=2),
        incarnation=st.integers(0, 3),
        only=st.sampled_from([{}, {}, {"tenants": ["x"]}, {"capabilities": ["saw"]}]),
    ),
    _event("agent_deregistered", agent_id=agent_ids),
    _event(
        "status_update",
        agent_id=agent_ids,
        status=st.sampled_from(["active", "idle", "busy", "draining", "offline", "error"]),
    ),
    _event("metric_report", agent_id=agent_ids, metrics=st.just({"load": 0.5})),
    _event(
        "resource_report",
        agent_id=agent_ids,
        resources=st.just({"cpu": {"capacity": 1.5, "used": 0.5}}),
    ),
    _event(
        "directive_response",
        agent_id=agent_ids,
        directive_id=directive_ids,
        outcome=st.sampled_from(["accepted", "rejected", "progress", "completed", "failed"]),
    ),
    _event(
        "task_submitted",
        task_id=task_ids,
        requires=st.fixed_dictionaries(
            {
                "capabilities": capabilities,
                "resources": st.dictionaries(st.sampled_from(["cpu", "gpu"]), amounts, max_size=2),
            }
        ),
        slots=st.integers(1, 2),
        priority=st.integers(0, 2),
        tenant=st.sampled_from(["x", "y"]),
        max_attempts=st.integers(1, 3),
        ack_timeout=st.sampled_from([1, 10]),
        run_timeout=st.sampled_from([1, 60]),
        deadline=st.integers(START, START + 100_000).map(lambda ms: ms / 1000),
        payload=st.integers(0, 1),
        coalition=st.sampled_from(
            [
                None,
                None,
                {"cover": ["saw", "weld"]},
                {"roles": [{"role": "x", "count": 2}]},
                {"roles": [{"role": "x", "capabilities": ["saw"]}, {"role": "y"}]},
            ]
        ),
    ),
    _event(
        "task_submitted",
        task_id=task_ids,
        spread=st.fixed_dictionaries(
            {"group": st.just("g"), "by": st.sampled_from(["agent", "zone"]), "most": st.integers(1, 2)}
        ),
    ),
    _event("task_cancelled", task_id=task_ids),
    _event("agent_cordoned", agent_id=agent_ids),
    _event("agent_uncordoned", agent_id=agent_ids),
    _event("agent_drained", agent_id=agent_ids, deadline=st.sampled_from([None, 1.0, START / 1000 + 5])),
    _event("agent_drained", agent_id=st.just("a1")),
    _event("agent_uncordoned", agent_id=st.just("a1")),
    _event(
        "policy_changed",
        policy=st.sampled_from(
            [
                {"reject_cooldown": 1},
                {"deliveries": 1},
                {"no such thing": 1},
                {"planning": {"ageing": 1, "tenants": {"x": 3}}},
                {"breaker": {"share": 0}, "quarantine": 2},
            ]
        ),
        version=st.integers(1, 4),
    ),
)


PRELUDE: list[dict[str, Any]] = [
    {
        "type": "policy_changed",
        "version": 1,
        "policy": {
            "breaker": {"failures": 1, "pause": 2, "share": 1, "flaps": 1},
            "drain_pace": 1,
            "quarantine": 1,
            "alert_burst": 2,
            "retry": {"base": 0, "cap": 0},
            "planning": {"preemption": 1, "quotas": {"x": {"slots": 1, "cpu": 0.5}}},
            "rebalancing": {"moves": 2, "cool_down": 1},
        },
    },
    {"type": "agent_registered", "agent_id": "a1", "capabilities": ["saw"], "slots": 2, "incarnation": 1},
    {
        "type": "agent_registered",
        "agent_id": "a2",
        "capabilities": ["saw", "weld"],
        "resources": {"cpu": 0.3},
    },
    {"type": "task_submitted", "task_id": "t1", "ack_timeout": 1, "payload": 0},
    {"type": "task_submitted", "task_id": "t2", "requires": {"resources": {"cpu": 0.1}}, "run_timeout": 1},
    {"type": "task_submitted", "task_id": "t5", "spread": {"group": "g", "most": 1}},
    {"type": "task_submitted", "task_id": "t3", "requires": {"capabilities": ["saw"]}, "max_attempts": 1},
    {"type": "task_submitted", "task_id": "t4", "coalition": {"roles": [{"role": "x", "count": 2}]}},
]
PRELUDE_PLAN: list[dict[str, Any]] = [
    {"type": "assign_task", "task_id": "t1", "agent_id": "a1", "epoch": 1},
    {
        "type": "form_coalition",
        "task_id": "t4",
        "epoch": 1,
        "members": [{"agent_id": "a1", "role": "x"}, {"agent_id": "a2", "role": "x"}],
    },
]
"""How half of the logs begin: chance alone seldom brings an able agent, its task and a plan together."""


epochs = st.sampled_from([1, 1, 1, 2, 3])

_entries: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("assign_task"),
            "task_id": task_ids,
            "agent_id": agent_ids,
            "epoch": epochs,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("move_task"),
            "task_id": task_ids,
            "from_agent": agent_ids,
            "agent_id": agent_ids,
            "epoch": epochs,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("preempt_task"),
            "task_id": task_ids,
            "agent_id": agent_ids,
            "epoch": epochs,
            "for_task": task_ids,
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["form_coalition", "form_coalition", "repair_coalition"]),
            "task_id": task_ids,
            "epoch": epochs,
            "members": st.lists(
                st.fixed_dictionaries(
                    {"agent_id": agent_ids, "role": st.sampled_from([None, "x", "x", "y"])}
                ),
                min_size=1,
                max_size=2,
            ),
        }
    ),
)


@st.composite
def logs(draw: st.DrawFn, max_size: int = 40) -> list[LogRecord]:
    """A log whose sources rise in each partition, as they do for ever in a real one."""
    now = START
    positions = [0] * EVENTS_PARTITIONS
    planned: list[tuple[int, str]] = []
    records: list[LogRecord] = []
    prelude = list(PRELUDE) if draw(st.booleans()) else []
    entries = PRELUDE_PLAN if prelude else []
    kinds = ["fact"] * 5 + ["plan"] * 4 + ["answer"] * 6 + ["tick"] * 3 + ["liveness", "window", "window"]
    for number in range(len(prelude) + len(entries) + draw(st.integers(0, max_size))):
        now += draw(st.sampled_from([0, 1, 100, 1_000, 5_000]))
        partition = draw(st.integers(0, EVENTS_PARTITIONS - 1))
        kind = "prelude" if prelude else "plan" if entries else draw(st.sampled_from(kinds))
        source = {"partition": partition, "offset": positions[partition], "index": draw(st.integers(0, 1))}
        value: dict[str, Any]
        if kind in ("prelude", "fact", "answer"):
            event = prelude.pop(0) if prelude else draw(events) if kind == "fact" else draw(_answer(planned))
            value = {"type": event["type"], "source": source, "through": now / 1000, "event": event}
        elif kind == "plan":
            entries = entries or [draw(_entries) for _ in range(draw(st.integers(1, 3)))]
            asked = [member["agent_id"] for entry in entries for member in entry.get("members", [entry])]
            planned += [(number * _GAP, agent_id) for agent_id in asked]
            value = {
                "type": "plan_proposed",
                "plan_id": f"p{number}",
                "fleet": draw(fleets),
                "based_on": number,
                "directives": entries,
                "planner": {"name": "random", "version": "1", "budget": 1},
            }
            entries = []
        elif kind == "tick":
            value = {"type": "clock_ticked", "partition": partition, "through": now / 1000}
        elif kind == "liveness":
            name = draw(st.sampled_from(["agent_suspected", "agent_lost", "agent_recovered"]))
            value = {"type": name, "source": source, "fleet": draw(fleets), "agent_id": draw(agent_ids)}
        else:
            load = draw(st.sampled_from([0.0, 0.5, 1.0]))
            aggregate = {"count": 9, "sum": 9 * load, "mean": load, "min": load, "max": load, "last": load}
            start = (now // 10_000 - draw(st.sampled_from([0, 1, 1, 2]))) * 10
            value = {
                "type": "window_closed",
                "source": source,
                "fleet": draw(fleets),
                "start": start,
                "end": start + 10,
                "agents": {draw(agent_ids): {draw(st.sampled_from([LOAD, "x"])): aggregate}},
            }
        if "source" in value:
            positions[partition] += 1
        records.append(LogRecord(number * _GAP, now, b"default", orjson.dumps(value)))
    return records


def _answer(planned: list[tuple[int, str]]) -> st.SearchStrategy[dict[str, Any]]:
    """An answer to a directive that may well have been issued."""
    if not planned:
        return events
    outcomes = st.sampled_from(
        ["accepted", "accepted", "rejected", "progress", "completed", "completed", "failed", "failed"]
    )
    return st.builds(
        lambda plan, index, outcome: {
            "type": "directive_response",
            "agent_id": plan[1],
            "directive_id": f"default.{plan[0]}.{index}",
            "outcome": outcome,
        },
        st.sampled_from(planned),
        st.sampled_from([0, 0, 1]),
        outcomes,
    )
