"""The table of topics against the wire contract; creating them is tested on a real Kafka."""

from __future__ import annotations

import pytest

from streams.settings import load_settings
from streams.topics import CHANGELOG_COMPACTION_LAG_MS, Layout, Partitions, layout_of, real_name

DAY = 24 * 3600 * 1000

LOGS = {
    "coordinator.events": (4, "-1", "2097152"),
    "coordinator.fleet": (1, "-1", "4194304"),
    "coordinator.directives": (4, "-1", None),
    "coordinator.results": (4, str(30 * DAY), None),
    "coordinator.reports": (1, str(7 * DAY), None),
    "coordinator.alerts": (1, str(30 * DAY), None),
    "coordinator.dead-letters": (1, str(30 * DAY), "4194304"),
}


def test_the_default_layout_is_that_of_the_contract() -> None:
    logs = {name: spec for name, spec in Layout().topics.items() if not spec.compacted}
    assert {
        name: (
            spec.partitions,
            spec.config["retention.ms"],
            spec.config.get("max.message.bytes"),
        )
        for name, spec in logs.items()
    } == LOGS
    assert {spec.config["cleanup.policy"] for spec in logs.values()} == {"delete"}
    assert {name for name, spec in logs.items() if spec.fixed} == {
        "coordinator.events",
        "coordinator.fleet",
        "coordinator.directives",
    }


def test_the_brokers_clock_stamps_everything_and_log_time_is_that_of_what_is_folded() -> None:
    topics = Layout().topics
    assert {spec.config["message.timestamp.type"] for spec in topics.values()} == {"LogAppendTime"}
    assert {name for name, spec in topics.items() if spec.log_time} == {
        "coordinator.events",
        "coordinator.fleet",
    }


def test_a_changelog_is_compacted_and_split_like_what_its_fold_reads() -> None:
    topics = Layout(application="app", partitions=Partitions(events=6, fleet=2)).topics
    changelogs = {name: spec for name, spec in topics.items() if spec.compacted}
    assert {name: (spec.partitions, spec.fixed) for name, spec in changelogs.items()} == {
        "app-agents-changelog": (6, True),
        "app-fleet-changelog": (2, True),
    }
    for spec in changelogs.values():
        assert spec.config["cleanup.policy"] == "compact"
        assert spec.config["min.compaction.lag.ms"] == str(CHANGELOG_COMPACTION_LAG_MS)
        assert "retention.ms" not in spec.config


def test_a_prefix_brings_its_own_separator() -> None:
    assert real_name("coordinator.", "events") == "coordinator.events"
    assert real_name("", "events") == "events"
    assert real_name("site-a_", "dead-letters") == "site-a_dead-letters"


def test_the_logs_retention_can_be_limited_and_the_others_keeps_its_own() -> None:
    topics = Layout(log_retention_ms=DAY).topics
    assert {name for name, spec in topics.items() if spec.retention_ms == DAY} == {
        "coordinator.events",
        "coordinator.fleet",
        "coordinator.directives",
    }


def test_settings_choose_names_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_TOPIC_PREFIX", "site-a.")
    monkeypatch.setenv("COORDINATOR_EVENTS_PARTITIONS", "12")
    topics = layout_of(load_settings()).topics
    assert topics["site-a.events"].partitions == 12
    assert topics["site-a-agents-changelog"].partitions == 12
