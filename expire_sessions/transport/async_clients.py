"""The async twin of a client that django-redis has set up."""

import logging
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import SentinelConnectionPool

from expire_sessions.transport.sentinels import keep_all, sentinels_of

__all__ = ["async_client", "close_client"]

logger: Final = logging.getLogger("expire_sessions")

TWINS: Final[dict[Any, Any]] = {
    redis.Connection: redis.asyncio.Connection,
    redis.SSLConnection: redis.asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis.asyncio.UnixDomainSocketConnection,
    redis.sentinel.SentinelManagedConnection: (
        redis.asyncio.sentinel.SentinelManagedConnection
    ),
    redis.sentinel.SentinelManagedSSLConnection: (
        redis.asyncio.sentinel.SentinelManagedSSLConnection
    ),
}

POOLS: Final = (
    redis.ConnectionPool,
    redis.BlockingConnectionPool,
    redis.sentinel.SentinelConnectionPool,
)

LEFT_OUT: Final = frozenset(
    {
        # The engine's own retries take their place.
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        # Objects of the sync pool, which make no difference to what is answered.
        "connection_pool",
        "event_dispatcher",
        "himport_registry",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "oss_cluster_maint_notifications_handler",
        "orig_host_address",
        "orig_socket_connect_timeout",
        "orig_socket_timeout",
        "parser_class",
    }
)
"""Arguments of a sync connection that its twin does without."""


def async_client(client: Any) -> Any:
    """Return a client of redis.asyncio to the same server, or None. No round trip.

    None where the project has put in a class of its own (of client, pool or
    connection): what that does is not known here, so async asks through it in a thread.
    """
    pool: Any = getattr(client, "connection_pool", None)
    if type(client) is not redis.Redis or type(pool) not in POOLS:
        return None
    kind = TWINS.get(pool.connection_class)
    if kind is None or pool.connection_kwargs.get("redis_connect_func"):
        return None
    try:
        twin = _twin_of(pool, kind)
    except TypeError as error:  # an option that redis.asyncio does not have
        logger.warning("Sessions are asked for in threads, in async too: %s", error)
        return None
    return redis.asyncio.Redis(connection_pool=twin)


async def close_client(client: Any) -> None:
    """Close all connections of a client from ``async_client``."""
    pool = client.connection_pool
    for each in (pool, *(sentinel.connection_pool for sentinel in sentinels_of(pool))):
        await each.disconnect()


def _twin_of(pool: Any, kind: Any) -> Any:
    arguments = _arguments(pool)
    if not isinstance(pool, redis.sentinel.SentinelConnectionPool):
        kind(**arguments)  # does it take them? Nothing is connected yet.
        return ConnectionPool(connection_class=kind, **arguments)
    kind(**arguments, connection_pool=None)
    make: Any = SentinelConnectionPool  # untyped
    twin = make(
        pool.service_name,
        _sentinels(pool.sentinel_manager),
        connection_class=kind,
        is_master=pool.is_master,
        check_connection=pool.check_connection,
        **arguments,
    )
    keep_all(twin)
    return twin


def _sentinels(manager: Any) -> Any:
    make: Any = redis.asyncio.sentinel.Sentinel  # untyped
    twin = make(
        [],
        min_other_sentinels=manager.min_other_sentinels,
        force_master_ip=getattr(manager, "_force_master_ip", None),
    )
    twin.sentinels = [
        redis.asyncio.Redis(
            connection_pool=ConnectionPool(
                connection_class=TWINS[sentinel.connection_pool.connection_class],
                **_arguments(sentinel.connection_pool),
            )
        )
        for sentinel in manager.sentinels
    ]
    return twin


def _arguments(pool: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in pool.connection_kwargs.items()
        if name not in LEFT_OUT
    }
