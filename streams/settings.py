"""Every setting of a running coordinator: its name, meaning, unit and default, and where its value may come from.

Precedence: command line flags, then environment variables, then the TOML file that ``COORDINATOR_CONFIG`` names
(else ``coordinator.toml`` in the working directory), then the defaults below. Each setting is
``COORDINATOR_<NAME>`` in the environment and ``<name>`` in the file; a few have well-known names besides.
What belongs to a fleet rather than to a process, such as timeouts of liveness, is policy: see ``models.policy``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from streams import addresses
from streams.errors import ConfigurationError
from streams.setting_faults import PREFIX, described, unknown_variables

DEFAULT_CONFIG_FILE = "coordinator.toml"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The settings of one process. Immutable; build it with :func:`load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True)

    # -- Where things are

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092",
        validation_alias=AliasChoices(
            "kafka_bootstrap_servers",
            "KAFKA_BOOTSTRAP_SERVERS",
            "COORDINATOR_KAFKA_BOOTSTRAP_SERVERS",
            "BROKER_URL",
        ),
        description="Addresses of Kafka brokers, host:port separated by commas.",
    )
    topic_prefix: str = Field(
        "coordinator.",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="What all topic names begin with, its separator included.",
    )
    app_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Name of the consumer group and of the changelogs; by default the prefix without separator.",
    )
    data_dir: Path = Field(
        Path(".coordinator/worker"),
        description="Directory of the local state stores; each worker needs its own.",
    )
    snapshots_dir: Path = Field(
        Path(".coordinator/snapshots"),
        description="Directory where commands that look back keep states of the fleet log on the way.",
    )
    snapshot_interval: int = Field(
        5_000, ge=0, description="Records of the fleet log from one such state to the next; 0 keeps none."
    )
    registry_url: str | None = Field(
        None,
        validation_alias=AliasChoices("registry_url", "REGISTRY_URL", "COORDINATOR_REGISTRY_URL"),
        description="Address of an outside service registry to include in the health; the agents table is ours.",
    )

    # -- What people see

    http_host: str = Field("127.0.0.1", description="Address that the HTTP server listens on.")
    http_port: int = Field(9090, ge=0, le=65535, description="Its port; 0 takes any free one.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", validation_alias=AliasChoices("log_level", "LOG_LEVEL", "COORDINATOR_LOG_LEVEL")
    )
    log_format: Literal["auto", "console", "json", "plain"] = Field(
        "auto",
        description="console for people, json for machines, plain for the classic one-line format; "
        "auto is console on a terminal and json elsewhere.",
    )
    metric_collection_interval: Seconds = Field(
        1.0, description="Seconds for which a count of the agents is good; scrapes between see the same."
    )

    # -- Topics, where the coordinator creates them

    events_partitions: int = Field(4, ge=1, le=10_000)
    fleet_partitions: int = Field(1, ge=1, le=10_000)
    directives_partitions: int = Field(4, ge=1, le=10_000)
    replication_factor: int = Field(1, ge=1, le=10)
    create_topics: bool = Field(True, description="Create missing topics at start; else only check them.")

    # -- How the work is done

    checkpoint_interval: Seconds = Field(1.0, description="Seconds between two checkpoints of a partition.")
    checkpoint_records: int = Field(500_000, ge=1, description="Records after which one is taken at once.")
    cache_size: int | None = Field(
        None,
        ge=1,
        description="Agents that a worker keeps in memory; the others only in its local store. Unset: all.",
    )
    update_interval: Seconds = Field(
        0.1, description="The longest that a fetch waits at the broker for the first record, in seconds."
    )
    processing_interval: Seconds = Field(
        0.05,
        description="The longest from one planning round to the next, unless batch_size tasks wait, in seconds.",
    )
    batch_size: int = Field(100, ge=1, description="So many waiting tasks start a planning round at once.")
    planner_budget: int = Field(
        5_000_000,
        ge=1,
        description="Work units of one planning round: looks at one agent for one kind of task.",
    )
    session_timeout: Seconds = Field(
        10.0, description="Seconds of silence after which the group gives a worker's partitions away."
    )
    start_timeout: Seconds = Field(120.0, description="Seconds until a start that makes no progress fails.")
    stop_timeout: Seconds = Field(10.0, description="Seconds until a stop is forced.")

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        """Accept ``kafka://`` in front, as broker URLs have it; refuse the URL of some other broker."""
        return ",".join(_broker(one) for one in value.split(","))

    @property
    def application(self) -> str:
        """Consumer group and first part of the changelogs' names."""
        return self.app_id or self.topic_prefix.rstrip("._-") or "coordinator"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file())


def load_settings(**flags: object) -> Settings:
    """The settings of this process; flags that are ``None`` count as not given.

    Raises:
        ConfigurationError: naming each setting at fault and what it may be.
    """
    file = _file()
    if os.environ.get("COORDINATOR_CONFIG") and not file.is_file():
        raise ConfigurationError(f"COORDINATOR_CONFIG names {file}, which is no file; correct or unset it")
    given = {name: value for name, value in flags.items() if value is not None}
    faults = unknown_variables(os.environ, Settings.model_fields)
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults += described(error.errors(include_url=False), _variables(), given, str(file))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the settings file {file} cannot be read: {error}; correct it") from error
    if faults:
        start = "invalid settings:" + (" " if len(faults) == 1 else "\n  ")
        raise ConfigurationError(start + "\n  ".join(faults))
    return settings


def _file() -> Path:
    return Path(os.environ.get("COORDINATOR_CONFIG") or DEFAULT_CONFIG_FILE)


def _variables() -> dict[str, list[str]]:
    """The environment variables that each setting is read from, the first that is there."""
    variables = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [PREFIX + name]
        variables[name] = [str(choice).upper() for choice in choices]
    return variables


def _broker(text: str) -> str:
    """One broker's address without its scheme.

    Raises:
        ValueError: saying what is wrong with it.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    if separator and scheme not in ("kafka", "aiokafka"):
        raise ValueError(f"this coordinator speaks Kafka, not {scheme}; give host:port or kafka://host:port")
    address = rest.rstrip("/")
    if not address:
        raise ValueError("an address is empty; give host:port, several separated by commas")
    addresses.parsed(address)
    return address
