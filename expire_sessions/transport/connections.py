"""One client for each cache alias and process.

``caches[alias]`` is built anew in every thread and every ASGI request, and builds
a client with it. What a session needs of it is the same each time, and safe to
share between threads and after a fork: redis-py's pools see to that.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from expire_sessions.guard import refuse_shared_redis
from expire_sessions.installed import refuse_without_app
from expire_sessions.limits import Answers
from expire_sessions.occasions import Pause
from expire_sessions.protocol.keys import Keys
from expire_sessions.transport.redis_caches import (
    close,
    decoder,
    disconnect_idle,
    has_constant_keys,
    redis_cache,
)
from expire_sessions.transport.reserve import Reserve, reserve_for
from expire_sessions.transport.seen import Seen

__all__ = [
    "Connection",
    "connection_for",
    "forget_connections",
    "forget_sessions",
    "session_connection",
]


SCRIPTS_PAUSE: Final = 10
"""Seconds. The first load to meet a server that lets writes wait has to find it out."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the engine needs of one cache alias."""

    alias: str
    client: Any
    """redis-py's client of the primary, as django-redis has set it up."""

    keys: Keys
    encode: Callable[[dict[str, Any]], bytes]
    decode: Callable[[bytes], Any]
    """The cache's serializer and compressor."""

    seen: Seen = field(default_factory=Seen)
    answers: Answers = field(default_factory=Answers)

    scripts_pause: Pause = field(default_factory=lambda: Pause(SCRIPTS_PAUSE))
    """The server has not answered a script: nothing is marked meanwhile."""

    reserve: Reserve | None = None
    """Connections at hand; None where the client has ways of its own."""

    def drop_idle(self) -> None:
        """Close the idle connections: the next to ask connects, and looks where to."""
        if self.reserve is not None:
            self.reserve.empty()
        if pool := getattr(self.client, "connection_pool", None):
            disconnect_idle(pool)


_connections: Final[dict[str, Connection]] = {}
_lock = threading.Lock()


def _renew_lock() -> None:
    """Let a process that was forked in mid-connecting connect: nobody holds it here."""
    global _lock  # noqa: PLW0603 - one for each process
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def connection_for(alias: str) -> Connection:
    """Return the connection of a cache alias, the same one each time.

    Opens no connection yet. No round trip.

    Raises:
        InvalidSetup: the alias is not one that sessions can be kept in.
    """
    try:
        return _connections[alias]
    except KeyError:
        with _lock:
            if alias not in _connections:
                _connections[alias] = _connect(alias)
            return _connections[alias]


def session_connection() -> Connection:
    """Return the connection of ``SESSION_CACHE_ALIAS``. See ``connection_for``."""
    return connection_for(settings.SESSION_CACHE_ALIAS)


def forget_sessions() -> None:
    """Forget what this process remembers of sessions: a test has emptied the server."""
    for connection in [*_connections.values()]:
        connection.seen.forget()
        connection.answers.forget()


def forget_connections() -> None:
    """Build every connection anew on its next use: the settings have changed."""
    forgotten = [*_connections.values()]
    _connections.clear()
    for connection in forgotten:
        if connection.reserve is not None:
            connection.reserve.hand_back()  # to the pool, which is closed with it
        close(connection.client)


def _connect(alias: str) -> Connection:
    refuse_without_app()  # the engine may have been imported before the apps were known
    cache = redis_cache(alias)
    refuse_shared_redis(alias, cache.key_prefix)
    client = cache.client
    primary = client.get_client(write=True)
    return Connection(
        alias=alias,
        # For writing: with replicas configured, only the primary knows what is live.
        client=primary,
        reserve=reserve_for(primary),
        keys=Keys(client.make_key, is_constant=has_constant_keys(cache)),
        encode=client.encode,  # pyright: ignore[reportArgumentType] # bytes of a dict
        decode=decoder(client),
    )
