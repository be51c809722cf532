"""The bytes of what goes out are the contract: these are written down, and change only on purpose."""

from __future__ import annotations

import orjson

from models.outputs import Alert, Cause, Directive, Report, Result

NOW = 1_763_800_000_123
CAUSE = Cause(offset=7, events=((2, 40),))
PROVENANCE = {
    "fold": 1,
    "planner": "water-fill/1",
    "policy": "4bcd8c50a91b4da5",
    "state": {"offset": 5, "digest": "0" * 32},
}
PROVENANCE_BYTES = b'"provenance":' + orjson.dumps(PROVENANCE) + b"}"


def test_an_assignment_is_these_bytes() -> None:
    output = Directive(
        directive_id="default.7.0",
        type="assign_task",
        agent_id="a1",
        fleet="default",
        task_id="t1",
        epoch=2,
        attempt=1,
        plan_id="p1",
        issued_at=NOW,
        ack_by=NOW + 10_000,
        ack_timeout=10_000,
        expires_at=NOW + 60_000,
        run_timeout=60_000,
        payload=orjson.Fragment(b'{"n":1}'),
        cause=CAUSE,
        provenance=PROVENANCE,
    ).output()
    assert (output.topic, output.key, output.partition) == ("directives", b"a1", None)
    assert output.value == (
        b'{"directive_id":"default.7.0","type":"assign_task","agent_id":"a1","fleet":"default",'
        b'"task_id":"t1","epoch":2,"attempt":1,"plan_id":"p1","issued_at":1763800000.123,'
        b'"ack_by":1763800010.123,"ack_timeout":10.0,"expires_at":1763800060.123,"run_timeout":60.0,'
        b'"payload":{"n":1},"cause":{"offset":7,"events":[{"partition":2,"offset":40}]},' + PROVENANCE_BYTES
    )
    assert output.headers == (
        ("ce_specversion", b"1.0"),
        ("ce_type", b"assign_task"),
        ("ce_source", b"/coordinator/default"),
        ("ce_id", b"default.7.0"),
        ("ce_subject", b"a1"),
        ("ce_time", b"2025-11-22T08:26:40.123Z"),
        ("content-type", b"application/json"),
        ("traceparent", b"00-62a0a9a4cc0fa64c9533175591209644-7d91f349503a6d69-01"),
    )


def test_a_control_directive_does_not_expire() -> None:
    output = Directive(
        directive_id="default.7.1",
        type="drain",
        agent_id="a1",
        fleet="default",
        issued_at=NOW,
        ack_by=NOW + 10_000,
        ack_timeout=10_000,
        cause=CAUSE,
        provenance=PROVENANCE,
    ).output()
    assert output.value == (
        b'{"directive_id":"default.7.1","type":"drain","agent_id":"a1","fleet":"default",'
        b'"issued_at":1763800000.123,"ack_by":1763800010.123,"ack_timeout":10.0,"payload":null,'
        b'"cause":{"offset":7,"events":[{"partition":2,"offset":40}]},' + PROVENANCE_BYTES
    )


def test_a_result_is_these_bytes() -> None:
    output = Result(
        type="task_failed",
        task_id="t1",
        fleet="default",
        time=NOW,
        reason="no disk",
        attempt=3,
        epoch=4,
        agent_id="a1",
        cause=CAUSE,
        provenance=PROVENANCE,
    ).output()
    assert (output.topic, output.key) == ("results", b"t1")
    assert output.value == (
        b'{"type":"task_failed","task_id":"t1","fleet":"default","time":1763800000.123,'
        b'"reason":"no disk","result":null,"attempt":3,"epoch":4,"agent_id":"a1",'
        b'"cause":{"offset":7,"events":[{"partition":2,"offset":40}]},' + PROVENANCE_BYTES
    )


def test_an_alert_carries_its_details_beside_what_all_have() -> None:
    output = Alert(
        type="agent_lost",
        fleet="default",
        subject="a1",
        reason="silence",
        time=NOW,
        cause=CAUSE,
        details={"silence": 20.0},
    ).output("default.7.alert-0")
    assert (output.topic, output.key) == ("alerts", b"default")
    assert output.value == (
        b'{"type":"agent_lost","fleet":"default","subject":"a1","reason":"silence",'
        b'"time":1763800000.123,"silence":20.0,'
        b'"cause":{"offset":7,"events":[{"partition":2,"offset":40}]}}'
    )


def test_a_report_names_its_window() -> None:
    output = Report(
        fleet="default",
        start=NOW,
        end=NOW + 10_000,
        time=NOW + 15_000,
        agents={"registered": 1},
        slots={"total": 1, "held": 0},
        queue={"pending": 0},
        period={"seconds": 10.0},
        balance={},
        plans={},
        metrics={},
        late=0,
        cause=CAUSE,
    ).output()
    assert (output.topic, output.key) == ("reports", b"default")
    value = orjson.loads(output.value or b"")
    assert value["window"] == {"start": 1763800000.123, "end": 1763800010.123}
    assert dict(output.headers)["ce_type"] == b"performance_report"


def test_outputs_about_one_task_share_a_trace() -> None:
    def traced(task_id: str, identity: str) -> bytes:
        directive = Directive(
            directive_id=identity,
            type="assign_task",
            agent_id="a1",
            fleet="default",
            task_id=task_id,
            issued_at=NOW,
            ack_by=NOW,
            ack_timeout=1,
            cause=CAUSE,
            provenance=PROVENANCE,
        )
        return dict(directive.output().headers)["traceparent"] or b""

    one, two, other = traced("t1", "d.1.0"), traced("t1", "d.2.0"), traced("t2", "d.3.0")
    assert one.split(b"-")[1] == two.split(b"-")[1] != other.split(b"-")[1]
    assert one.split(b"-")[2] != two.split(b"-")[2]
