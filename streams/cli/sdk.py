"""The SDK as commands use it: connected by the command's options, its errors told in the command line's way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from streams.cli import console
from streams.errors import BrokerUnreachable, ConfigurationError, StreamsError

if TYPE_CHECKING:
    from coordinator import Connection
    from streams.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """A connection to the coordinator's topics; whatever goes wrong within comes out as :func:`told`."""
    from coordinator import Connection
    from coordinator import TopicMissing as NoTopic
    from streams.reader import TopicMissing
    from streams.topics import CONNECT_TIMEOUT

    bootstrap, prefix = settings.kafka_bootstrap_servers, settings.topic_prefix
    connection = Connection(
        bootstrap, topic_prefix=prefix, connect_timeout=CONNECT_TIMEOUT, client_id="coordinator-cli"
    )
    with told():
        try:
            with console.waiting_for_kafka(bootstrap):
                await connection.start()
            yield connection
        except NoTopic as error:
            raise TopicMissing(error.topic, bootstrap, prefix) from error
        finally:
            await connection.stop()


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
        raise BrokerUnreachable.at(error.bootstrap_servers) from error
    except InvalidValue as error:
        raise ConfigurationError(str(error)) from error
    except CoordinatorError as error:
        raise StreamsError(str(error)) from error
