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
from django.core.cache import caches
from django.core.cache.backends.base import default_key_func
from django_redis.cache import RedisCache
from django_redis.client import DefaultClient, HerdClient, ShardClient
from django_redis.compressors.identity import IdentityCompressor

from expire_sessions.exceptions import InvalidSetup
from expire_sessions.guard import refuse_shared_redis
from expire_sessions.installed import refuse_without_app
from expire_sessions.limits import Answers
from expire_sessions.occasions import Rest
from expire_sessions.protocol.keys import Keys
from expire_sessions.transport.reserve import Reserve, reserve_for
from expire_sessions.transport.seen import Seen
from expire_sessions.transport.timeouts import sentinels_of, set_timeouts

__all__ = [
    "Connection",
    "close",
    "connection_for",
    "forget_connections",
    "redis_cache",
    "session_connection",
]


SCRIPTS_REST: Final = 10
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

    scripts_rest: Rest = field(default_factory=lambda: Rest(SCRIPTS_REST))
    """The server has not answered a script: nothing is marked meanwhile."""

    reserve: Reserve | None = None
    """Connections at hand; None where the client has ways of its own."""

    def drop_idle(self) -> None:
        """Close the idle connections: the next to ask connects, and looks where to."""
        if self.reserve is not None:
            self.reserve.empty()
        if pool := getattr(self.client, "connection_pool", None):
            pool.disconnect(inuse_connections=False)


UNFIT: Final = {
    HerdClient: "wraps each value together with an age of its own",
    ShardClient: "keeps the sessions of one user on several servers",
}
"""Client classes of django-redis that sessions cannot be kept with."""

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


def forget_connections() -> None:
    """Build every connection anew on its next use: the settings have changed."""
    forgotten = [*_connections.values()]
    _connections.clear()
    for connection in forgotten:
        connection.drop_idle()
        close(connection.client)


def close(client: Any) -> None:
    """Close the idle connections of a client whose pool nobody else uses.

    Those to the sentinels too. One that is in use is closed when it is dropped.
    """
    if pool := getattr(client, "connection_pool", None):
        asking = [sentinel.connection_pool for sentinel in sentinels_of(pool)]
        for each in (pool, *asking):
            each.disconnect(inuse_connections=False)


def redis_cache(alias: str) -> RedisCache:
    """Return a cache object of its own for ``alias``, with time-outs. No round trip.

    Raises:
        InvalidSetup: the alias is missing, not of django-redis, has options that
            cannot be used, or a client that cannot hold sessions.
    """
    try:
        cache: Any = caches.create_connection(alias)
        unfit = _problem_with(cache) or _problem_of(
            _client_with_a_pool_of_its_own(cache)
        )
    except Exception as error:
        # Django, django-redis and redis-py read CACHES unchecked: whatever they raise.
        raise InvalidSetup(
            f"The cache {alias!r} of CACHES cannot be used:"
            f" {type(error).__name__}: {error}"
        ) from error
    if unfit is not None:
        raise InvalidSetup(f"The cache {alias!r} cannot hold sessions: it {unfit}.")
    found: RedisCache = cache
    return found


def _problem_with(cache: object) -> str | None:
    if not isinstance(cache, RedisCache):
        return "is not a django_redis.cache.RedisCache"
    for kind, what in UNFIT.items():
        if isinstance(cache.client, kind):
            return f"uses {kind.__name__}, which {what}"
    return None


def _client_with_a_pool_of_its_own(cache: Any) -> Any:
    """Return the client of the primary that ``cache`` holds from now on. No round trip.

    django-redis keeps one pool for each address and process: whoever comes first sets
    the time-outs, the password and all else for every alias with that address. Sessions
    need time-outs, and what their own alias says; the general cache keeps its pool.
    """
    factory = cache.client.connection_factory

    def own_pool(params: dict[str, Any]) -> Any:
        pool = factory.get_connection_pool(params)
        set_timeouts(pool)
        return pool

    # django-redis's hook for another way of keeping pools, on this object alone: the
    # cache was made just now. A factory that makes its clients in another way keeps it.
    factory.get_or_create_connection_pool = own_pool
    return cache.client.get_client(write=True)


def _problem_of(client: object) -> str | None:
    pool = getattr(client, "connection_pool", None)
    if getattr(pool, "cache", None) is not None:
        return "answers from copies in this process (cache_config), also for what ended"
    return None


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
        keys=Keys(client.make_key, is_constant=_has_constant_keys(cache)),
        encode=client.encode,  # pyright: ignore[reportArgumentType] # bytes of a dict
        decode=_decoder(client),
    )


def _has_constant_keys(cache: RedisCache) -> bool:
    """Tell whether ``make_key`` is Django's: another may look at who is asking."""
    is_djangos: bool = cache.key_func is default_key_func
    return is_djangos and type(cache.client).make_key is DefaultClient.make_key


def _decoder(client: Any) -> Callable[[bytes], Any]:
    """Return what reads a payload: ``client.decode``, or what it comes to.

    It tries first whether a value is an integer, and no session is one. For a cache
    without compression that takes more time than all else it does: a tenth of a load.
    """
    compressor = getattr(client, "_compressor", None)
    is_usual = type(client).decode is DefaultClient.decode
    if is_usual and type(compressor) is IdentityCompressor:
        loads: Callable[[bytes], Any] = client._serializer.loads  # noqa: SLF001 - no other way to it
        return loads
    decode: Callable[[bytes], Any] = client.decode
    return decode
