"""The system checks. None of them raises, and only ``--deploy`` asks the server.

==== =======================================================================
E001 the app is not in ``INSTALLED_APPS`` (in ``installed``)
E011 ``EXPIRE_MAX_USERS`` has a wrong value
E012 ``EXPIRE_LOG_LIMIT`` has a wrong value
E013 ``EXPIRE_POLICY`` has a wrong value
E014 ``EXPIRE_TOUCH_INTERVAL`` has a wrong value
E015 ``EXPIRE_CLIENT_IP`` has a wrong value
W016 a setting with the prefix ``EXPIRE_`` that this version does not know
E017 ``EXPIRE_LOG_AGE`` has a wrong value
E021 the session cache cannot hold sessions
E022 the session cache's ``KEY_FUNCTION`` cannot be used
W023 the session cache uses pickle
W031 the server may evict sessions (``--deploy``)
W032 the server keeps nothing on disk (``--deploy``)
E033 the server is too old (``--deploy``)
W034 ``IGNORE_EXCEPTIONS`` is set (``--deploy``)
W035 the server could not be asked (``--deploy``)
==== =======================================================================
"""

import difflib
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's
from django.utils.module_loading import import_string
from django_redis.cache import RedisCache
from django_redis.serializers.pickle import PickleSerializer
from redis.exceptions import ResponseError

from expire_sessions.backend import SessionStore
from expire_sessions.conf import KNOWN, problem_with
from expire_sessions.connections import redis_cache
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.keys import Keys

__all__ = ["check_cache", "check_server", "check_settings", "register"]

IDS: Final = {
    "EXPIRE_MAX_USERS": "E011",
    "EXPIRE_LOG_LIMIT": "E012",
    "EXPIRE_POLICY": "E013",
    "EXPIRE_TOUCH_INTERVAL": "E014",
    "EXPIRE_CLIENT_IP": "E015",
    "EXPIRE_LOG_AGE": "E017",
}

OLDEST_SERVER: Final = (6, 2)
"""The oldest that the tests run on."""


def register() -> None:
    """Register the checks of this module with Django."""
    checks.register(check_settings)
    checks.register(check_cache, checks.Tags.caches)
    checks.register(check_server, checks.Tags.caches, deploy=True)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E011 to W016: the settings, wherever one of them is set."""
    names = [name for name in dir(settings) if name.startswith("EXPIRE_")]
    return [message for name in names for message in _check_setting(name)]


def check_cache(**kwargs: Any) -> list[CheckMessage]:
    """E021 to W023: what sessions need of their cache. The server is not asked."""
    if not _is_engine():
        return []
    try:
        cache = redis_cache(settings.SESSION_CACHE_ALIAS)
    except InvalidSetup as error:
        return [_message(Error, "E021", str(error), "Put it into your project")]
    return [*_check_key_function(cache), *_check_serializer(cache)]


def check_server(**kwargs: Any) -> list[CheckMessage]:
    """E033 to W035: how the server is set up, under ``check --deploy``."""
    if not _is_engine():
        return []
    try:
        cache = redis_cache(settings.SESSION_CACHE_ALIAS)
    except InvalidSetup:
        return []  # check_cache has said it
    messages = list(_check_ignored_exceptions(cache))
    try:
        client = cache.client.get_client(write=True)
        for check in (_check_version, _check_eviction, _check_persistence):
            messages.extend(check(client))
    except Exception as error:  # noqa: BLE001 - a check never raises
        text = f"Redis could not be asked how it is set up: {error}"
        messages.append(_message(Warning, "W035", text, "The Redis server"))
    return messages


def _check_setting(name: str) -> Iterator[CheckMessage]:
    if name in KNOWN:
        if problem := problem_with(name, getattr(settings, name)):
            text = f"{name} {problem}; it is {getattr(settings, name)!r}."
            yield _message(Error, IDS[name], text, "Settings")
        return
    text = f"{name} is not a setting that this version knows: it does nothing."
    if near := difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.8):
        text += f" Is it meant to be {near[0]}?"
    yield _message(Warning, "W016", text, "Settings")


def _check_key_function(cache: RedisCache) -> Iterator[CheckMessage]:
    try:
        Keys(cache.client.make_key)
    except InvalidSetup as error:
        yield _message(Error, "E022", str(error), "Redis keys")


def _check_serializer(cache: RedisCache) -> Iterator[CheckMessage]:
    # Made of the options in the client alone, as is the next check's.
    if isinstance(getattr(cache.client, "_serializer", None), PickleSerializer):
        text = (
            "The session cache uses pickle: whoever can write to Redis can run code"
            ' here. Set OPTIONS["SERIALIZER"] to'
            ' "django_redis.serializers.json.JSONSerializer".'
        )
        yield _message(Warning, "W023", text, "Pickle or JSON")


def _check_ignored_exceptions(cache: RedisCache) -> Iterator[CheckMessage]:
    if cache._ignore_exceptions:  # noqa: SLF001 - see above
        text = (
            "IGNORE_EXCEPTIONS is set for the session cache. Sessions do not follow"
            " it: an outage is an error and signs nobody out."
        )
        yield _message(Warning, "W034", text, "The Redis server")


def _check_version(client: Any) -> Iterator[CheckMessage]:
    version = str(client.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
        text = f"Redis {version} is too old: 6.2 is the oldest that is supported."
        yield _message(Error, "E033", text, "The Redis server")


def _check_eviction(client: Any) -> Iterator[CheckMessage]:
    policy = client.info("memory").get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = (
            f"maxmemory-policy is {policy}: a full Redis drops sessions, which signs"
            " people out, and indexes, which loosens the limit. Set noeviction."
        )
        yield _message(Warning, "W031", text, "The Redis server")


def _check_persistence(client: Any) -> Iterator[CheckMessage]:
    if client.info("persistence").get("aof_enabled"):
        return
    try:
        save = client.config_get("save").get("save")
    except ResponseError:
        return  # managed services do not tell, and keep their own snapshots
    if not save:
        text = (
            "Redis keeps nothing on disk: a restart signs everybody out. Set"
            " appendonly yes, or save points."
        )
        yield _message(Warning, "W032", text, "The Redis server")


def _is_engine() -> bool:
    try:
        store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    except Exception:  # noqa: BLE001 - a check never raises; Django will say it
        return False
    return isinstance(store, type) and issubclass(store, SessionStore)


def _message(
    level: Callable[..., CheckMessage], number: str, text: str, section: str
) -> CheckMessage:
    return level(text, hint=f'README: "{section}".', id=f"expire_sessions.{number}")
