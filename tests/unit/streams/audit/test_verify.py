"""A history that follows from the log is verified; whatever was altered is found at its record."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import orjson
import pytest

from models import events
from models.cut import Cut, Place
from models.upcasting import FIELD
from streams.audit.findings import Finding, Report, Verdict
from streams.audit.moments import InLog
from streams.audit.verify import Verification
from streams.errors import ConfigurationError
from streams.offsets import Start
from streams.reader import Extent
from tests.unit.streams.audit.recorded import START, Coordinator, Recorded, lived


@cache
def original() -> Recorded:
    return lived()


@pytest.fixture
def recorded() -> Recorded:
    return deepcopy(original())


def verified(recorded: Recorded) -> Report:
    return asyncio.run(Verification(recorded).run())


def value(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(record.value)
    return found


def only(report: Report, verdict: Verdict = Verdict.DIVERGENT) -> Finding:
    """The one finding; what follows from it for later records is none."""
    assert not report.verified
    assert [finding.verdict for finding in report.findings] == [verdict], report.findings
    return report.findings[0]


def test_what_follows_from_the_log_is_verified(recorded: Recorded) -> None:
    report = verified(recorded)
    assert report.findings == []
    assert report.verified
    assert {check: dict(counts) for check, counts in report.counts.items()}.keys() == {
        "facts",
        "outputs",
        "plans",
    }
    for check, least in (("facts", 200), ("outputs", 100), ("plans", 30)):
        assert report.counts[check][Verdict.EQUAL] > least
    assert report.adds_up
    assert len(report.accounting) == 4
    assert report.ahead["events"] == 0
    kinds = {value(record)["type"] for record in recorded.topics["alerts", 0]}
    assert kinds >= {"agent_lost", "rejected"}
    assert recorded.topics["dead-letters", 0]
    assert str(report.cut).startswith("memory:coordinator.alerts/0@")


def test_what_was_sent_again_after_a_restart_is_no_difference(recorded: Recorded) -> None:
    for topic in ("directives", "results", "fleet"):
        records = recorded.topics[topic, 0]
        again = records[20:30]
        if topic == "fleet":
            again = [record for record in again if b"plan_proposed" not in (record.value or b"")]
        for number, record in enumerate(again):
            records.append(
                replace(record, offset=records[-1].offset + 1, timestamp=records[-1].timestamp + number)
            )
    report = verified(recorded)
    assert report.repeats["outputs"] == 20
    assert report.repeats["facts"] > 3
    assert report.total(Verdict.DIVERGENT) == 0


def test_one_byte_of_a_directive(recorded: Recorded) -> None:
    where = recorded.find("directives", lambda record: value(record)["type"] == "assign_task")
    changed = recorded.alter("directives", where, b'"attempt":1', b'"attempt":2')
    found = only(verified(recorded))
    assert (found.check, found.reason, found.offset) == ("outputs", "differs", changed.offset)
    assert found.place.partition == where[0]
    assert found.subject == value(changed)["directive_id"]
    assert found.details == {"fields": {"attempt": [1, 2]}}


def test_a_header_of_a_directive(recorded: Recorded) -> None:
    partition, place = recorded.find("directives", lambda record: True)
    record = recorded.topics["directives", partition][place]
    headers = tuple((name, b"x" if name == "ce_source" else raw) for name, raw in record.headers)
    recorded.topics["directives", partition][place] = replace(record, headers=headers)
    found = only(verified(recorded))
    assert (found.reason, list(found.details["fields"])) == ("differs", ["headers"])  # type: ignore[call-overload]


@pytest.mark.parametrize("topic", ["directives", "results", "alerts"])
def test_an_output_that_is_not_there(recorded: Recorded, topic: str) -> None:
    gone = recorded.drop(topic, (0, 3))
    found = only(verified(recorded))
    assert (found.check, found.reason, found.offset) == ("outputs", "missing", None)
    assert dict(gone.headers)["ce_id"].decode() == found.subject


def test_the_last_output_may_be_on_its_way(recorded: Recorded) -> None:
    recorded.topics["directives", 0].pop()
    found = only(verified(recorded), Verdict.UNVERIFIABLE)
    assert found.reason == "awaited"


@pytest.mark.parametrize(
    "forged",
    [
        b'{"directive_id":"default.3.0","type":"drain","agent_id":"a1","fleet":"default","cause":{"offset":3,"events":[]}}',
        b'{"directive_id":"default.9.9","cause":{"offset":999999999}}',
        b"no JSON",
        b'{"directive_id":"x","fleet":"no such fleet","cause":{"offset":1}}',
    ],
)
def test_a_directive_that_nobody_put_out(recorded: Recorded, forged: bytes) -> None:
    offset = recorded.insert("directives", 1, 4, forged)
    found = only(verified(recorded))
    assert (found.reason, found.offset, found.place.topic) == ("added", offset, "coordinator.directives")


def test_two_responses_in_another_order(recorded: Recorded) -> None:
    records = recorded.topics["fleet", 0]
    where = [
        place for place, record in enumerate(records) if b'"directive_response"' in (record.value or b"")
    ]
    first, second = next((a, b) for a, b in pairwise(where) if b == a + 1)
    one, other = records[first], records[second]
    records[first] = replace(one, value=other.value)
    records[second] = replace(other, value=one.value)
    report = verified(recorded)
    assert not report.verified
    facts = [finding for finding in report.findings if finding.check == "facts"]
    assert [(finding.reason, finding.offset) for finding in facts] == [("order", records[second].offset)]


def test_a_fact_that_was_changed(recorded: Recorded) -> None:
    where = recorded.find("fleet", lambda record: b'"task_submitted"' in (record.value or b""))
    changed = recorded.alter("fleet", where, b'"size":', b'"sice":')
    report = verified(recorded)
    found = report.findings[0]
    assert (found.check, found.reason, found.offset) == ("facts", "differs", changed.offset)


def test_a_fact_without_a_source(recorded: Recorded) -> None:
    forged = orjson.dumps(
        {
            "type": "task_cancelled",
            "source": {"partition": 0, "offset": 2, "index": 7},
            "through": 1.0,
            "event": {"type": "task_cancelled", "task_id": "default-1"},
        }
    )
    offset = recorded.insert("fleet", 0, 50, forged, b"default")
    facts = [finding for finding in verified(recorded).findings if finding.check == "facts"]
    assert [(finding.reason, finding.offset) for finding in facts] == [("added", offset)]


def test_a_plan_that_the_planner_would_not_have_made(recorded: Recorded) -> None:
    def two_free_agents(record: Any) -> bool:
        found = value(record)
        return found["type"] == "plan_proposed" and found["directives"][0]["agent_id"] != "a3"

    where = recorded.find("fleet", two_free_agents)
    record = recorded.topics["fleet", where[0]][where[1]]
    agent = value(record)["directives"][0]["agent_id"]
    changed = recorded.alter("fleet", where, f'"agent_id":"{agent}"'.encode(), b'"agent_id":"nobody"')
    plans = [finding for finding in verified(recorded).findings if finding.check == "plans"]
    assert (plans[0].verdict, plans[0].reason, plans[0].offset) == (
        Verdict.DIVERGENT,
        "differs",
        changed.offset,
    )
    assert "directives" in plans[0].details["fields"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "reason"),
    [
        (b'"name":"water-fill"', b'"name":"by-hand"', Verdict.VALID_NOT_EQUAL, "other_planner"),
        (b'"version":"1"', b'"version":"0"', Verdict.VALID_NOT_EQUAL, "other_version"),
        (b'"based_on":', b'"based_on":9', Verdict.DIVERGENT, "based_on_the_future"),
    ],
)
def test_a_plan_that_says_something_else_of_itself(
    recorded: Recorded, old: bytes, new: bytes, verdict: Verdict, reason: str
) -> None:
    where = recorded.find("fleet", lambda record: b"plan_proposed" in (record.value or b""))
    changed = recorded.alter("fleet", where, old, new)
    findings = verified(recorded).findings
    plans = [finding for finding in findings if finding.check == "plans" and finding.reason != "provenance"]
    assert [(f.verdict, f.reason, f.offset) for f in plans] == [(verdict, reason, changed.offset)]
    led_to = {f.reason for f in findings} - {reason}
    assert led_to == ({"provenance"} if "planner" in reason or "version" in reason else set())


def test_what_says_that_another_release_has_written_it_is_no_lie(recorded: Recorded) -> None:
    where = recorded.find("directives", lambda record: b"assign_task" in (record.value or b""))
    changed = recorded.alter("directives", where, b'"provenance":{"fold":1', b'"provenance":{"fold":2')
    found = only(verified(recorded), Verdict.UNVERIFIABLE)
    assert (found.reason, found.offset) == ("unknown_version", changed.offset)


def test_what_a_newer_release_understood_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took an event that is a dead letter here, so that its fleet is another one from then on."""
    coordinator = Coordinator()
    with monkeypatch.context() as newer:
        chains = {**events.CHAINS, "task_submitted": (lambda old: {**old, FIELD: 2},)}
        newer.setattr(events, "CHAINS", chains)
        coordinator.say(type="agent_registered", agent_id="a1", slots=3)
        for number in range(6):
            coordinator.tick()
            later = {FIELD: 2} if number == 2 else {}
            coordinator.say(type="task_submitted", task_id=f"t{number}", **later)
            coordinator.plan()
        assert verified(coordinator.recorded).verified
    report = verified(coordinator.recorded)
    assert not report.verified
    assert report.total(Verdict.DIVERGENT) == 0
    assert report.total(Verdict.UNVERIFIABLE) > 2
    assert report.findings[0].reason == "unknown_version"


def test_what_no_release_understood_was_a_dead_letter_and_is_verified() -> None:
    coordinator = Coordinator()
    coordinator.say(type="agent_registered", agent_id="a1", slots=3)
    coordinator.say(type="task_submitted", task_id="t1", **{FIELD: 7})
    coordinator.tick()
    assert len(coordinator.recorded.topics["dead-letters", 0]) == 1
    assert verified(coordinator.recorded).verified


def test_what_has_expired_cannot_be_told(recorded: Recorded) -> None:
    records = recorded.topics["results", 0]
    recorded.beginnings["results", 0] = records[5].offset
    report = verified(recorded)
    assert {(finding.verdict, finding.reason) for finding in report.findings} == {
        (Verdict.UNVERIFIABLE, "expired")
    }
    assert report.total(Verdict.UNVERIFIABLE) == 5


@pytest.mark.parametrize("topic", ["events", "fleet"])
def test_an_output_that_claims_an_offset_where_nothing_stands(recorded: Recorded, topic: str) -> None:
    """The last offset may be the end of a transaction."""
    ends = {place: records[-1].offset for place, records in recorded.topics.items() if records}
    recorded.drop(topic, (1, len(recorded.topics[topic, 1]) - 1))
    recorded.ends[topic, 1] = ends[topic, 1] + 1
    forged = b"coordinator.%b/1/%d" % (topic.encode(), ends[topic, 1])
    letters = recorded.topics["dead-letters", 0]
    letters.append(replace(letters[-1], offset=letters[-1].offset + 1, headers=(("coord-origin", forged),)))
    found = [
        finding for finding in verified(recorded).findings if finding.place.topic.endswith("dead-letters")
    ]
    assert [(finding.reason, finding.offset) for finding in found] == [("added", letters[-1].offset)]


def counted(report: Report) -> Counter[tuple[str, str]]:
    return Counter(
        {(check, verdict): n for check, found in report.counts.items() for verdict, n in found.items()}
    )


@pytest.mark.parametrize("second", [0, 7, 19, 33, 40])
def test_what_is_before_and_what_is_behind_a_moment_is_all(second: int) -> None:
    recorded = original()
    middle = InLog(Start("time", START + 1_000 * second))
    whole = verified(recorded)
    before = asyncio.run(Verification(recorded, until=middle).run())
    behind = asyncio.run(Verification(recorded, since=middle).run())
    assert before.verified
    assert behind.verified
    assert counted(before) + counted(behind) == counted(whole)


def test_a_cut_is_a_moment_too() -> None:
    recorded = original()
    middle = asyncio.run(Verification(recorded, until=InLog(Start("time", START + 20_000))).run())
    again = asyncio.run(Verification(recorded, until=middle.cut).run())
    assert again.cut == middle.cut
    assert again.counts == middle.counts
    wrong = Cut("elsewhere", middle.cut.offsets)
    with pytest.raises(ConfigurationError, match="of the cluster elsewhere"):
        asyncio.run(Verification(recorded, since=wrong).run())


@pytest.mark.parametrize(("second", "seen"), [(0, True), (10, True), (30, False)])
def test_what_was_altered_before_is_not_judged(recorded: Recorded, second: int, seen: bool) -> None:
    def late(record: Any) -> bool:
        return record.timestamp >= START + 15_000 and b"assign_task" in (record.value or b"")

    recorded.alter(
        "directives", recorded.find("directives", late), b'"ack_timeout":10.0', b'"ack_timeout":9.0'
    )
    moment = InLog(Start("time", START + 1_000 * second))
    since = asyncio.run(Verification(recorded, since=moment).run())
    until = asyncio.run(Verification(recorded, until=moment).run())
    assert [finding.reason for finding in since.findings] == (["differs"] if seen else [])
    assert [finding.reason for finding in until.findings] == ([] if seen else ["differs"])


@pytest.mark.parametrize(("second", "reasons"), [(5, ["missing"]), (30, [])])
def test_what_was_dropped_before_is_not_judged(recorded: Recorded, second: int, reasons: list[str]) -> None:
    def late(record: Any) -> bool:
        return record.timestamp >= START + 15_000 and b"assign_task" in (record.value or b"")

    recorded.drop("directives", recorded.find("directives", late))
    moment = InLog(Start("time", START + 1_000 * second))
    report = asyncio.run(Verification(recorded, since=moment).run())
    assert [finding.reason for finding in report.findings] == reasons


class Growing(Recorded):
    """One that is written while somebody follows it, second by second."""

    def __init__(self, whole: Recorded, second: int) -> None:
        super().__init__()
        self.topics = whole.topics
        self.until = START + 1_000 * second

    async def extents(self, topic: str) -> dict[int, Extent]:
        found = await super().extents(topic)
        for partition, extent in found.items():
            end = await super().offset_at(topic, partition, self.until)
            found[partition] = Extent(extent.beginning, extent.end if end is None else end)
        return found


@pytest.mark.parametrize("altered", [False, True])
def test_a_history_is_followed_as_it_grows(recorded: Recorded, altered: bool) -> None:
    if altered:
        where = recorded.find("results", lambda record: record.timestamp >= START + 25_000)
        recorded.alter("results", where, b'"attempt":1', b'"attempt":2')
    growing = Growing(recorded, 10)
    told: list[Finding] = []
    passed: list[Cut] = []

    async def follow() -> Report:
        enough = asyncio.Event()

        def grow(cut: Cut) -> None:
            passed.append(cut)
            growing.until += 5_000
            if growing.until > START + 60_000:
                enough.set()

        return await Verification(growing, told=told.append).follow(enough, grow, pause=0)

    report = asyncio.run(follow())
    assert counted(report) == counted(verified(recorded))
    assert report.verified is not altered
    assert told == report.findings
    assert [finding.reason for finding in told] == (["differs"] if altered else [])
    places = list(passed[0])
    for earlier, later in pairwise(passed):
        assert all((earlier.get(place) or 0) <= (later.get(place) or 0) for place in places)
    assert passed[0] != passed[-1]


def test_what_came_last_is_left_to_rest(recorded: Recorded) -> None:
    enough = asyncio.Event()
    passed: list[Cut] = []

    def once(cut: Cut) -> None:
        passed.append(cut)
        enough.set()

    hold = time.time() - (START + 20_000) / 1_000
    report = asyncio.run(Verification(recorded).follow(enough, once, hold=hold))
    place = Place("coordinator.fleet", 0)
    (young,) = {asyncio.run(recorded.offset_at("fleet", 0, START + 20_000))}
    assert young is not None
    assert abs((passed[0].get(place) or 0) - young) <= 40, "give or take what the clock did meanwhile"
    assert report.verified, "at the end all is judged"
    assert counted(report) == counted(verified(recorded))


class Running(Growing):
    """One that is written while somebody asks how far it is: each look finds a second more."""

    async def extents(self, topic: str) -> dict[int, Extent]:
        found = await super().extents(topic)
        self.until += 1_000
        return found


@pytest.mark.parametrize("second", [6, 15, 24])
def test_what_is_put_out_while_it_is_asked_how_far_it_is_is_nobodys_forgery(
    recorded: Recorded, second: int
) -> None:
    report = verified(Running(recorded, second))
    assert report.verified, report.findings[:3]
    assert report.ahead["outputs"]


@pytest.mark.parametrize("second", [6, 15])
def test_what_is_put_out_while_a_history_is_followed_is_nobodys_forgery(
    recorded: Recorded, second: int
) -> None:
    running = Running(recorded, second)

    async def follow() -> Report:
        enough = asyncio.Event()

        def grow(cut: Cut) -> None:
            if running.until > START + 60_000:
                enough.set()

        return await Verification(running).follow(enough, grow, pause=0)

    report = asyncio.run(follow())
    assert report.verified, report.findings[:3]
    assert counted(report) == counted(verified(recorded))
