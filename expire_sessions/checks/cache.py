"""Check the cache that sessions are kept in. The server is not asked."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.core.cache.backends.base import default_key_func
from django.core.checks import CheckMessage
from django_redis.cache import RedisCache
from django_redis.serializers.pickle import PickleSerializer
from redis.connection import parse_url

from expire_sessions.checks.engine import is_used
from expire_sessions.checks.messages import Section, error, warning
from expire_sessions.checks.waiting import check_waiting
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.protocol.keys import Keys
from expire_sessions.transport.redis_caches import redis_cache

__all__ = ["UsableCache", "check_cache", "check_deployed_cache", "usable_cache"]

SERIALIZER: Final = "django_redis.serializers.json.JSONSerializer"


class UsableCache(NamedTuple):
    """A session cache that ``check_cache`` finds no error in."""

    cache: RedisCache
    client: Any
    """Its client of the primary. It is this check's alone; close it."""

    keys: Keys


def usable_cache() -> UsableCache | None:
    """Return the session cache, where sessions can be kept in it. No round trip."""
    if not is_used():
        return None
    try:
        cache = redis_cache(settings.SESSION_CACHE_ALIAS)
        keys = Keys(cache.client.make_key)
    except InvalidSetup:
        return None  # check_cache has said it
    return UsableCache(cache, cache.client.get_client(write=True), keys)


def check_cache(**kwargs: Any) -> list[CheckMessage]:
    """E021 to W023: what sessions need of their cache."""
    if not is_used():
        return []
    try:
        cache = redis_cache(settings.SESSION_CACHE_ALIAS)
    except InvalidSetup as problem:
        return [error("E021", str(problem), Section.INSTALL)]
    return [*_check_key_function(cache), *_check_serializer(cache)]


def check_deployed_cache(**kwargs: Any) -> list[CheckMessage]:
    """W024 to W026, W034, W037 to W039: what a site that is live needs of it."""
    usable = usable_cache()
    if usable is None:
        return []
    return [
        *_check_prefix(usable.cache),
        *_check_alias(settings.SESSION_CACHE_ALIAS),
        *_check_neighbours(settings.SESSION_CACHE_ALIAS),
        *_check_ignored_exceptions(usable.cache),
        *check_waiting(usable.client),
    ]


def _check_key_function(cache: RedisCache) -> Iterator[CheckMessage]:
    try:
        Keys(cache.client.make_key)
    except InvalidSetup as problem:
        yield error("E022", str(problem), Section.KEYS)


def _check_serializer(cache: RedisCache) -> Iterator[CheckMessage]:
    # Made of the options in the client alone, as is what the other checks look at.
    if isinstance(getattr(cache.client, "_serializer", None), PickleSerializer):
        text = (
            "The session cache uses pickle: whoever can write to Redis can run code"
            f' here. Set OPTIONS["SERIALIZER"] to "{SERIALIZER}".'
        )
        yield warning("W023", text, Section.PICKLE)


def _check_prefix(cache: RedisCache) -> Iterator[CheckMessage]:
    # A key function of the project may have its own way to tell projects apart.
    if not cache.key_prefix and cache.key_func is default_key_func:
        text = (
            "The session cache has no KEY_PREFIX. Two projects on one Redis without it"
            " sign out each other's users that have the same primary key."
        )
        hint = "Set one before the site goes live: a new prefix signs everybody out."
        yield warning("W024", text, Section.INSTALL, hint)


def _check_alias(alias: str) -> Iterator[CheckMessage]:
    if alias == DEFAULT_CACHE_ALIAS:
        text = (
            f"Sessions are in the general cache (SESSION_CACHE_ALIAS is {alias!r}). Its"
            " clear() signs everybody out, and a server that may drop cached pages may"
            " drop sessions."
        )
        hint = 'Give them a cache of their own: SESSION_CACHE_ALIAS = "sessions".'
        yield warning("W025", text, Section.INSTALL, hint)


def _check_neighbours(alias: str) -> Iterator[CheckMessage]:
    ours = _places(settings.CACHES[alias])
    neighbours = [
        name
        for name, entry in settings.CACHES.items()
        if name != alias and ours & _places(entry)
    ]
    if neighbours:
        text = (
            f"The session cache and {', '.join(map(repr, neighbours))} are in one Redis"
            " database. The other's clear() empties all of it, whatever the KEY_PREFIX,"
            " and signs everybody out."
        )
        hint = "Give sessions a database number or a server of their own."
        yield warning("W026", text, Section.INSTALL, hint)


def _places(entry: dict[str, Any]) -> set[str]:
    """Return the server and database of each address of a cache."""
    if "redis" not in str(entry.get("BACKEND")).lower():
        return set()
    location = entry.get("LOCATION")
    if isinstance(location, str):
        location = location.split(",")
    if not isinstance(location, list | tuple | set):
        return set()
    return {_place(str(url).strip()) for url in location}


def _place(url: str) -> str:
    try:
        found = parse_url(url)  # type: ignore[no-untyped-call] # redis-py's
    except ValueError:
        return url
    server = found.get("path") or f"{found.get('host')}:{found.get('port', 6379)}"
    return f"{server} {found.get('db', 0)}"


def _check_ignored_exceptions(cache: RedisCache) -> Iterator[CheckMessage]:
    if cache._ignore_exceptions:  # noqa: SLF001 - no other way to it
        text = (
            "IGNORE_EXCEPTIONS is set for the session cache. Sessions do not follow"
            " it: an outage is an error and signs nobody out."
        )
        yield warning("W034", text, Section.SERVER)
