"""The session cache of a test process, and nothing else, on a server of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.test.utils import override_settings
from django.utils.module_loading import import_string
from django_redis.cache import RedisCache
from django_redis.client import SentinelClient

from expire_sessions.testing.server import OwnRedisFactory, find_program, servers
from expire_sessions.transport.connections import forget_sessions

__all__ = ["clear_sessions", "own_redis", "start_over_in_worker"]

FACTORY: Final = f"{OwnRedisFactory.__module__}.{OwnRedisFactory.__qualname__}"
PREFIX: Final = "test"


@contextmanager
def own_redis() -> Iterator[None]:
    """Keep the sessions of this process on a server of its own, empty at the end.

    The server starts when sessions are first used. Inside of another ``own_redis`` this
    one changes nothing.

    Raises:
        InvalidSetup: there is no server program.
    """
    if _is_own(settings.CACHES.get(settings.SESSION_CACHE_ALIAS)):
        yield
        return
    find_program()  # one clear error now, not one for each test
    with override_settings(CACHES=_with_own_redis(settings.CACHES)):
        try:
            yield
        finally:
            clear_sessions()


def clear_sessions() -> None:
    """Forget every session of this process. One round trip, none before the first."""
    if server := servers.started:
        server.client.flushall()
        forget_sessions()


def start_over_in_worker() -> None:
    """Let a new process of a test runner have a server of its own.

    A worker that was forked begins with the server and the connections of its parent.
    """
    servers.leave_to_parent()
    setting_changed.send(
        sender=None, setting="CACHES", value=settings.CACHES, enter=True
    )


def _with_own_redis(caches: dict[str, Any]) -> dict[str, Any]:
    """Return the caches, with the one of sessions changed."""
    alias = settings.SESSION_CACHE_ALIAS
    cache = caches.get(alias, {})
    if not _is_redis(cache):
        return caches  # the engine says what it needs when it is used
    return {**caches, alias: _changed(cache)}


def _changed(cache: dict[str, Any]) -> dict[str, Any]:
    """Return the same cache somewhere else: only the way to its server changes."""
    options = {**cache.get("OPTIONS", {}), "CONNECTION_FACTORY": FACTORY}
    if _names(options.get("CLIENT_CLASS"), SentinelClient):
        del options["CLIENT_CLASS"]
    prefix = "-".join(filter(None, [PREFIX, cache.get("KEY_PREFIX")]))
    return {
        **cache,
        "LOCATION": "redis://own-redis",  # the factory knows the way
        "KEY_PREFIX": prefix,
        "OPTIONS": options,
    }


def _is_own(cache: dict[str, Any] | None) -> bool:
    options = (cache or {}).get("OPTIONS", {})
    return bool(options.get("CONNECTION_FACTORY") == FACTORY)


def _is_redis(cache: dict[str, Any]) -> bool:
    return _names(cache.get("BACKEND"), RedisCache)


def _names(path: Any, kind: type) -> bool:
    """Tell whether a setting names this class or one that builds on it."""
    try:
        found = import_string(path)
    except Exception:  # noqa: BLE001 - a wrong setting, which Django tells
        return False
    return isinstance(found, type) and issubclass(found, kind)
