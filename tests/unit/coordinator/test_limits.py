"""What the contract does not allow is refused before it is sent, naming the field and the rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.conn import collect_hosts

from coordinator import Agent, Connection, InvalidValue, Role, Spread, Task
from coordinator._wire import encode_event


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"task_id": ""}, "task_id"),
        ({"task_id": "-begins-badly"}, "task_id"),
        ({"task_id": "x" * 129}, "task_id"),
        ({"task_id": "ünïcode"}, "task_id"),
        ({"task_id": "newline\n"}, "task_id"),
        ({"task_id": 7}, "task_id"),
        ({"capabilities": "sum"}, "capabilities"),
        ({"capabilities": ["fine", "not fine"]}, "capabilities[1]"),
        ({"capabilities": [f"c{number}" for number in range(257)]}, "capabilities"),
        ({"resources": {"memory": -1}}, "resources.memory"),
        ({"resources": {"memory": float("inf")}}, "resources.memory"),
        ({"resources": ["memory"]}, "resources"),
        ({"labels": {"tier": 1}}, "labels.tier"),
        ({"labels": {f"l{number}": "" for number in range(65)}}, "labels"),
        ({"slots": 0}, "slots"),
        ({"slots": True}, "slots"),
        ({"slots": 1.0}, "slots"),
        ({"size": 0}, "size"),
        ({"size": float("nan")}, "size"),
        ({"priority": 10}, "priority"),
        ({"deadline": datetime(2030, 1, 1)}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"ack_timeout": 3601}, "ack_timeout"),
        ({"run_timeout": 0}, "run_timeout"),
        ({"tenant": "a b"}, "tenant"),
        ({"prefer_zone": ""}, "prefer_zone"),
        ({"roles": [Role(role="a")], "cover": ["b"]}, "cover"),
        ({"roles": [Role(role="a"), Role(role="a")]}, "roles"),
        ({"roles": [Role(role="a", count=64), Role(role="b")]}, "roles"),
        ({"roles": [Role(role="a", count=0)]}, "roles[0].count"),
        ({"max_size": 3}, "max_size"),
        ({"cover": [f"c{number}" for number in range(17)]}, "cover"),
        ({"spread": "replicas"}, "spread"),
        ({"spread": Spread(group="a b")}, "spread.group"),
        ({"spread": Spread(group="g", by="rack")}, "spread.by"),
        ({"spread": Spread(group="g", by="labels.")}, "spread.by"),
        ({"spread": Spread(group="g", most=0)}, "spread.most"),
        ({"spread": Spread(group="g"), "cover": ["b"]}, "spread"),
        ({"payload": {1: "not text"}}, "payload"),
        ({"payload": {"deep": {"nan": float("nan")}}}, "payload.deep.nan"),
        ({"payload": [1, 2**53]}, "payload[1]"),
        ({"payload": "\ud800"}, "payload"),
        ({"payload": {"\udfff": 1}}, "payload key"),
        ({"payload": b"bytes"}, "payload"),
        ({"payload": {"a": {1, 2}}}, "payload.a"),
        ({"payload": "x" * (64 << 10)}, "payload"),
        ({"payload": nested(32)}, "payload"),
        ({"payload": nested(5000)}, "payload"),
    ],
)
def test_a_task_beyond_the_limits_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Task(**fields).fields()
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field} = ")


@pytest.mark.parametrize(
    "fields",
    [
        {"task_id": "a" * 128},
        {"task_id": "0.a_b:c@d-e"},
        {"deadline": datetime(2030, 1, 1, tzinfo=UTC)},
        {"payload": nested(31)},
        {"payload": "x" * ((64 << 10) - 2)},
        {"payload": [2**53 - 1, -(2**53) + 1, 1e300, None, True, "é", {"a": ()}]},
        {"cover": ["a", "b"], "max_size": 2},
        {"roles": [Role(role="a", count=64)]},
    ],
)
def test_a_task_just_within_the_limits_is_taken(fields: dict[str, Any]) -> None:
    assert encode_event("task_submitted", **Task(**fields).fields())


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"agent_id": "no spaces"}, "agent_id"),
        ({"fleet": "f" * 65}, "fleet"),
        ({"slots": -1}, "slots"),
        ({"heartbeat_interval": 0}, "heartbeat_interval"),
        ({"zone": "z/1"}, "zone"),
        ({"version": "v" * 1025}, "version"),
        ({"only_capabilities": "sum"}, "only_capabilities"),
        ({"only_tenants": ["a b"]}, "only_tenants[0]"),
        ({"on_stop": "vanish"}, "on_stop"),
    ],
)
def test_an_agent_beyond_the_limits_names_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Agent(**({"agent_id": "a1"} | fields))
    assert refused.value.field == field


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:99999",
        "h:0",
        "h:abc",
        "h:",
        ":9092",
        "h:9092:9093",
        "amqp://x",
        "amqp://x:5672",
        "kafka://",
        "http://h:9092/path",
        "user@h:9092",
        "h:9092,",
        "h:9092, two words:9092",
        "::1",
        "[::1:9092",
        "[]:9092",
        "[h]:9092",
        "[::1]9092",
        7,
        ["h:9092"],
    ],
)
def test_an_address_that_is_none_is_refused_and_the_right_form_named(address: Any) -> None:
    with pytest.raises(InvalidValue, match=r"host:port, or \[IPv6\]:port") as refused:
        Connection(address)
    assert refused.value.field == "bootstrap_servers"


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("h:9092", "h:9092"),
        ("kafka.example.org", "kafka.example.org"),
        ("kafka://h:9092/", "h:9092"),
        ("a_1:1, b:65535", "a_1:1,b:65535"),
        ("kafka://a:1,kafka://b:2", "a:1,b:2"),
        ("[::1]:9092,[fe80::1%eth0]", "[::1]:9092,[fe80::1%eth0]"),
    ],
)
def test_an_address_may_have_a_scheme_or_leave_out_the_port(address: str, meant: str) -> None:
    assert Connection(address).bootstrap_servers == meant
    assert len(collect_hosts(meant)) == len(meant.split(","))


def test_an_address_of_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "amqp://x")
    with pytest.raises(InvalidValue, match="amqp://x"):
        Connection()
