"""The exported JSON Schemas say what the code does."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from models.ingress import IngressFold
from models.outputs import Alert, Cause, Coalition, Directive, Report, Result
from models.policy import DEFAULT_POLICY, policy_to_wire
from models.schema import schemas
from tests.unit.models.ingress.history import history
from tests.unit.models.test_vectors import vectors

SCHEMAS = schemas()
PROVENANCE: dict[str, object] = {
    "fold": 1,
    "planner": None,
    "policy": "4bcd8c50a91b4da5",
    "state": {"offset": 5, "digest": "0" * 32},
}
CAUSE = Cause(7, ((0, 3),))


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert json.loads(json.dumps(SCHEMAS[name])) == SCHEMAS[name]


@pytest.mark.parametrize(
    "vector", [v for v in vectors("decoding") if "error" not in v], ids=lambda vector: vector["name"]
)
def test_schema_of_events_takes_every_valid_vector(vector: dict[str, Any]) -> None:
    validator("event").validate(json.loads(vector["value"]))


@pytest.mark.parametrize(
    "vector",
    [v for v in vectors("decoding") if v.get("error") in ("unknown_type",) or "no type" in v["name"]],
    ids=lambda vector: vector["name"],
)
def test_schema_of_events_wants_a_known_type(vector: dict[str, Any]) -> None:
    assert not validator("event").is_valid(json.loads(vector["value"]))


def test_schemas_give_defaults_in_seconds_as_they_stand_on_the_wire() -> None:
    definitions: Any = SCHEMAS["event"]["$defs"]
    assert definitions["AgentRegistered"]["properties"]["heartbeat_interval"]["default"] == 1
    assert definitions["TaskSubmitted"]["properties"]["run_timeout"]["default"] == 3_600
    policy: Any = SCHEMAS["policy"]
    assert policy["properties"]["reject_cooldown"]["default"] == 30


def test_default_policy_fits_its_schema() -> None:
    validator("policy").validate(policy_to_wire(DEFAULT_POLICY))
    assert not validator("policy").is_valid({"windws": {}})


def test_what_the_ingress_fold_writes_fits_the_schemas() -> None:
    seen = set()
    for seed in range(8):
        for output in IngressFold(0, {"events": 2, "fleet": 1}).fold(history(seed)):
            name = {"fleet": "fleet-record", "alerts": "alert"}.get(output.topic)
            if name is not None:
                validator(name).validate(orjson.loads(output.value or b""))
                seen.add(name)
    assert seen == {"fleet-record", "alert"}


def test_what_the_coordinator_says_fits_the_schemas() -> None:
    assignment = Directive(
        directive_id="f.7.0",
        type="assign_task",
        agent_id="a1",
        fleet="f",
        task_id="t1",
        epoch=1,
        attempt=1,
        plan_id="p",
        issued_at=1_000,
        ack_by=11_000,
        ack_timeout=10_000,
        expires_at=60_000,
        run_timeout=59_000,
        payload={"x": [1]},
        coalition=Coalition(id="c", members=("a1", "a2"), role="lead"),
        cause=CAUSE,
        provenance=PROVENANCE,
    )
    control = Directive(
        directive_id="f.7.1",
        type="drain",
        agent_id="a1",
        fleet="f",
        issued_at=1_000,
        ack_by=11_000,
        ack_timeout=10_000,
        cause=CAUSE,
        provenance=PROVENANCE,
    )
    result = Result(
        type="task_failed",
        task_id="t1",
        fleet="f",
        time=5,
        reason="deadline",
        attempt=1,
        epoch=0,
        cause=CAUSE,
        provenance=PROVENANCE,
    )
    report = Report(
        fleet="f",
        start=0,
        end=10_000,
        time=15_000,
        agents={"registered": 1},
        slots={"total": 1},
        queue={"pending": 0},
        period={"throughput": 0.5},
        balance={"load_cov": 0.5},
        plans={"gap": 0.1},
        metrics={"cpu": {"mean": 0.5}},
        late=0,
        cause=CAUSE,
    )
    alert = Alert(type="agent_lost", fleet="f", subject="a1", reason="silent", time=5, cause=CAUSE)
    written = {
        "directive": [assignment.output(), control.output()],
        "result": [result.output()],
        "report": [report.output()],
        "alert": [alert.output("f.7.0")],
    }
    for name, outputs in written.items():
        properties: Any = SCHEMAS[name]["properties"]
        for output in outputs:
            value = orjson.loads(output.value or b"")
            validator(name).validate(value)
            assert value.keys() <= properties.keys(), "every field is described"
