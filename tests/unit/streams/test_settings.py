"""Where settings come from, and what people are told when one is wrong."""

from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.settings import load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "BROKER_URL", "REGISTRY_URL", "LOG_LEVEL", "COORDINATOR_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_flags_win_over_environment_over_file_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("coordinator.toml").write_text('http_port = 1\ntopic_prefix = "file."\nbatch_size = 7\n')
    monkeypatch.setenv("COORDINATOR_HTTP_PORT", "2")
    monkeypatch.setenv("COORDINATOR_TOPIC_PREFIX", "environment.")
    settings = load_settings(http_port=3, topic_prefix=None)
    assert settings.http_port == 3
    assert settings.topic_prefix == "environment."
    assert settings.batch_size == 7
    assert settings.checkpoint_interval == 1.0


@pytest.mark.parametrize("name", ["KAFKA_BOOTSTRAP_SERVERS", "BROKER_URL"])
def test_the_broker_has_well_known_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "kafka://one:9092,two:9092")
    assert load_settings().kafka_bootstrap_servers == "one:9092,two:9092"


def test_another_brokers_url_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://rabbitmq")
    with pytest.raises(ConfigurationError, match="speaks Kafka, not amqp"):
        load_settings()


def test_every_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_HTTP_PORT", "http")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(batch_size=0)
    for name in ("http_port", "log_level", "batch_size"):
        assert name in str(caught.value)
    assert caught.value.exit_status == 2


def test_a_mistyped_name_in_the_file_is_an_error_and_not_ignored() -> None:
    Path("coordinator.toml").write_text("http_prot = 1\n")
    with pytest.raises(ConfigurationError, match="http_prot"):
        load_settings()


def test_a_file_that_is_no_toml_and_one_that_is_missing_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("coordinator.toml").write_text("http_port = = 1\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings()
    monkeypatch.setenv("COORDINATOR_CONFIG", "elsewhere.toml")
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml, which is no file"):
        load_settings()


def test_the_application_is_named_by_the_prefix_unless_told_otherwise() -> None:
    assert load_settings().application == "coordinator"
    assert load_settings(topic_prefix="blue.").application == "blue"
    assert load_settings(topic_prefix="").application == "coordinator"
    assert load_settings(topic_prefix="blue.", app_id="green").application == "green"
