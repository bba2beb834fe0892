"""What django-redis makes of an alias of ``CACHES``, and what sessions need of it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.base import default_key_func
from django_redis.cache import RedisCache
from django_redis.client import DefaultClient, HerdClient, ShardClient
from django_redis.compressors.identity import IdentityCompressor

from expire_sessions.exceptions import InvalidSetup
from expire_sessions.transport.sentinels import keep_all, sentinels_of
from expire_sessions.transport.timeouts import set_timeouts

__all__ = ["close", "decoder", "disconnect_idle", "has_constant_keys", "redis_cache"]

UNFIT: Final = {
    HerdClient: "wraps each value together with an age of its own",
    ShardClient: "keeps the sessions of one user on several servers",
}
"""Client classes of django-redis that sessions cannot be kept with."""


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


def close(client: Any) -> None:
    """Close the idle connections of a client whose pool nobody else uses.

    Those to the sentinels too. One that is in use is closed when it is dropped.
    """
    if pool := getattr(client, "connection_pool", None):
        asking = [sentinel.connection_pool for sentinel in sentinels_of(pool)]
        for each in (pool, *asking):
            disconnect_idle(each)


def disconnect_idle(pool: Any) -> None:
    """Close the connections of a pool that nobody uses.

    A pool that can only close all of them (``BlockingConnectionPool`` of redis-py 6)
    stays: it looks at each before it hands it out.
    """
    with suppress(TypeError):
        pool.disconnect(inuse_connections=False)


def has_constant_keys(cache: RedisCache) -> bool:
    """Tell whether ``make_key`` is Django's: another may look at who is asking."""
    is_djangos: bool = cache.key_func is default_key_func
    return is_djangos and type(cache.client).make_key is DefaultClient.make_key


def decoder(client: Any) -> Callable[[bytes], Any]:
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
        keep_all(pool)
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
