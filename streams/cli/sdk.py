"""The SDK as commands use it: connected by the command's options, its errors told in the command line's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from streams.errors import BrokerUnreachable, ConfigurationError, StreamsError

if TYPE_CHECKING:
    from coordinator import Connection
    from streams.settings import Settings

CONNECT_TIMEOUT = 10.0
"""Seconds; a person waits for a command, so less than a service would allow."""


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """A connection to the coordinator's topics; whatever goes wrong within comes out as :func:`told`."""
    from coordinator import Connection

    with told():
        async with Connection(
            settings.kafka_bootstrap_servers,
            topic_prefix=settings.topic_prefix,
            connect_timeout=CONNECT_TIMEOUT,
            client_id="coordinator-cli",
        ) as connection:
            yield connection


@contextmanager
def told() -> Iterator[None]:
    """Turn errors of the SDK into those that the command line knows how to tell.

    Raises:
        BrokerUnreachable, ConfigurationError, StreamsError: by what it was.
    """
    from coordinator import BrokerUnavailable, CoordinatorError, InvalidValue

    try:
        yield
    except BrokerUnavailable as error:
        raise BrokerUnreachable(f"{error}; to start one here: coordinator dev") from error
    except InvalidValue as error:
        raise ConfigurationError(str(error)) from error
    except CoordinatorError as error:
        raise StreamsError(str(error)) from error
