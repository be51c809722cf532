"""Where settings come from, and what people are told when one is wrong."""

from pathlib import Path

import pytest

from streams.errors import ConfigurationError
from streams.service import CoordinatorConfig
from streams.setting_faults import NO_SETTINGS
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


@pytest.mark.parametrize(
    ("given", "kept"),
    [("one:9092, two:9092", "one:9092,two:9092"), ("kafka://a:1,kafka://[::1]:2/", "a:1,[::1]:2")],
)
def test_brokers_are_a_list_of_hosts_and_ports(given: str, kept: str) -> None:
    assert load_settings(kafka_bootstrap_servers=given).kafka_bootstrap_servers == kept


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("127.0.0.1:99999", "'99999' in '127.0.0.1:99999' is no port"),
        ("kafka://h:abc", "'abc' in 'h:abc' is no port"),
        (",", "an address is empty"),
        ("a:1,,b:2", "an address is empty"),
        ("a:1,b", "'b' has no port"),
    ],
)
def test_an_address_that_is_none_is_refused_with_its_fault(given: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^invalid settings: kafka_bootstrap_servers: {complaint}"):
        load_settings(kafka_bootstrap_servers=given)
    with pytest.raises(ConfigurationError, match="kafka_bootstrap_servers"):
        CoordinatorConfig(broker_url=given).settings()


def test_a_program_that_gives_a_setting_which_does_not_exist_is_told() -> None:
    with pytest.raises(ValueError, match="foo"):
        CoordinatorConfig(foo=1)  # type: ignore[call-arg]


def test_a_mistyped_name_in_the_file_is_an_error_that_names_the_file_and_the_nearest_setting() -> None:
    Path("coordinator.toml").write_text("http_prot = 1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == (
        "invalid settings: http_prot (coordinator.toml): there is no such setting; did you mean http_port?"
    )


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("COORDINATOR_HTP_PORT", "did you mean COORDINATOR_HTTP_PORT?"),
        ("COORDINATOR_CONFG", "did you mean COORDINATOR_CONFIG?"),
        ("COORDINATOR_XYZ", "correct or remove it"),
    ],
)
def test_a_mistyped_variable_is_an_error_and_not_ignored(
    name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"invalid settings: {name}: there is no such setting; {advice}"


def test_variables_for_others_than_the_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NO_SETTINGS - {"COORDINATOR_CONFIG"}:
        monkeypatch.setenv(name, "1")
    load_settings()


def test_what_kubernetes_tells_about_a_service_called_coordinator_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("COORDINATOR_SERVICE_HOST", "10.0.0.1"),
        ("COORDINATOR_SERVICE_PORT_HTTP", "9090"),
        ("COORDINATOR_PORT", "tcp://10.0.0.1:9090"),
        ("COORDINATOR_WORKER_PORT_9090_TCP_ADDR", "10.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    load_settings()


def test_a_wrong_value_is_told_in_plain_words_with_where_it_came_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("coordinator.toml").write_text('create_topics = "perhaps"\nbatch_size = 0\n')
    monkeypatch.setenv("COORDINATOR_HTTP_PORT", "http")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(topic_prefix="a b", session_timeout=0)
    assert sorted(str(caught.value).splitlines()) == [
        "  batch_size (coordinator.toml): give at least 1 (got 0)",
        "  create_topics (coordinator.toml): give true or false (got 'perhaps')",
        "  http_port (COORDINATOR_HTTP_PORT): give a whole number (got 'http')",
        "  log_level (LOG_LEVEL): give 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (got 'LOUD')",
        "  session_timeout: give more than 0 (got 0)",
        "  topic_prefix: give at most 100 letters, digits, dots, hyphens and underscores (got 'a b')",
        "invalid settings:",
    ]


def test_a_file_that_is_no_toml_and_one_that_is_missing_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("coordinator.toml").write_text("http_port = = 1\n")
    with pytest.raises(ConfigurationError, match=r"file coordinator\.toml cannot be read"):
        load_settings()
    monkeypatch.setenv("COORDINATOR_CONFIG", "elsewhere.toml")
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml, which is no file"):
        load_settings()


def test_the_application_is_named_by_the_prefix_unless_told_otherwise() -> None:
    assert load_settings().application == "coordinator"
    assert load_settings(topic_prefix="blue.").application == "blue"
    assert load_settings(topic_prefix="").application == "coordinator"
    assert load_settings(topic_prefix="blue.", app_id="green").application == "green"
