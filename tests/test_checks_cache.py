"""The checks of the cache that sessions are kept in."""

import socket
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.retry import Retry

from expire_sessions.checks import check_cache, check_deployed_cache, check_server
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.transport.connections import connection_for
from tests.found import NOWHERE, caches, deployed, ids


def echo_key(key: str, prefix: str, version: int) -> str:
    """Name a key twice."""
    return f"{key}{key}"


def short_key(key: str, prefix: str, version: int) -> str:
    """Cut a key."""
    return key[:10]


def own_key(key: str, prefix: str, version: int) -> str:
    """Tell projects apart in a way of one's own."""
    return f"site/{key}"


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such alias": ({}, "E021"),
    "not django-redis": (
        {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "E021",
    ),
    "a backend that is not there": ({"BACKEND": "no.such.Cache"}, "E021"),
    "an address without a scheme": ({"location": "127.0.0.1:6379"}, "E021"),
    "ShardClient": (
        {"OPTIONS": {"CLIENT_CLASS": "django_redis.client.ShardClient"}},
        "E021",
    ),
    "HerdClient": (
        {"OPTIONS": {"CLIENT_CLASS": "django_redis.client.HerdClient"}},
        "E021",
    ),
    "client-side caching": (
        {
            "OPTIONS": {
                "CONNECTION_POOL_KWARGS": {"cache_config": CacheConfig(), "protocol": 3}
            },
        },
        "E021",
    ),
    "a key function that repeats": ({"KEY_FUNCTION": f"{__name__}.echo_key"}, "E022"),
    "a key function that cuts": ({"KEY_FUNCTION": f"{__name__}.short_key"}, "E022"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_cache_that_cannot_hold_sessions_is_found(case: str) -> None:
    changes, number = UNUSABLE[case]
    alias = "missing" if case == "no such alias" else "default"
    configured: dict[str, Any] = {"CACHES": caches(**changes)}
    with override_settings(SESSION_CACHE_ALIAS=alias, **configured):
        assert ids(check_cache()) == {number}
        assert [*check_deployed_cache(), *check_server()] == []
        with pytest.raises(InvalidSetup):
            connection_for(alias)


def test_pickle_is_warned_of() -> None:
    pickle = "django_redis.serializers.pickle.PickleSerializer"
    with override_settings(CACHES=caches(OPTIONS={"SERIALIZER": pickle})):
        assert ids(check_cache()) == {"W023"}
    with override_settings(CACHES=caches()):
        assert check_cache() == []


def found_in(settings: dict[str, Any]) -> set[str]:
    """Return what ``--deploy`` finds in the cache."""
    with override_settings(**settings):
        return ids(check_deployed_cache())


def test_nothing_is_found_in_a_set_up_in_order() -> None:
    assert found_in(deployed()) == set()


def test_a_cache_without_prefix_is_warned_of() -> None:
    assert found_in(deployed(KEY_PREFIX="")) == {"W024"}
    key_function = f"{__name__}.own_key"
    assert found_in(deployed(KEY_PREFIX="", KEY_FUNCTION=key_function)) == set()


def test_sessions_in_the_general_cache_are_warned_of() -> None:
    settings = deployed()
    general = {"CACHES": {"default": settings["CACHES"]["sessions"]}}
    assert found_in({**general, "SESSION_CACHE_ALIAS": "default"}) == {"W025"}


@pytest.mark.parametrize(
    "location,same",
    [
        (NOWHERE, True),
        ("redis://127.0.0.1:1", True),
        ([NOWHERE], True),
        (f"redis://127.0.0.1:2/0, {NOWHERE}", True),
        ("redis://127.0.0.1:1/1", False),
        ("redis://127.0.0.1:2/0", False),
        ("unix:///tmp/redis?db=0", False),
        (None, False),
        ("nonsense", False),
    ],
)
@pytest.mark.parametrize(
    "backend", ["django_redis.cache.RedisCache", "django.core.cache.backends.redis.x"]
)
def test_another_cache_in_the_same_database_is_warned_of(
    location: object, same: bool, backend: str
) -> None:
    settings = deployed()
    settings["CACHES"]["default"] = {"BACKEND": backend, "LOCATION": location}
    assert found_in(settings) == ({"W026"} if same else set())


def test_an_address_without_a_port_has_the_usual_one() -> None:
    settings = deployed("redis://127.0.0.1:6379/0")
    backend = "django_redis.cache.RedisCache"
    settings["CACHES"]["default"] = {
        "BACKEND": backend,
        "LOCATION": "redis://127.0.0.1",
    }
    assert found_in(settings) == {"W026"}


def test_ignored_exceptions_are_warned_of() -> None:
    assert found_in(deployed(OPTIONS={"IGNORE_EXCEPTIONS": True})) == {"W034"}


def test_a_cache_without_a_time_out_is_warned_of() -> None:
    assert found_in(deployed(OPTIONS={"SOCKET_TIMEOUT": None})) == {"W037"}
    connect_alone = {"SOCKET_TIMEOUT": None, "SOCKET_CONNECT_TIMEOUT": 5}
    assert found_in(deployed(OPTIONS=connect_alone)) == {"W037"}
    of_the_pool = {"CONNECTION_POOL_KWARGS": {"socket_timeout": 5}}
    options = {"SOCKET_TIMEOUT": None, **of_the_pool}
    assert found_in(deployed(OPTIONS=options)) == set()


SENTINELS: dict[str, Any] = {
    "CLIENT_CLASS": "django_redis.client.SentinelClient",
    "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
    "SENTINELS": [("127.0.0.1", 1)] * 3,
}


@pytest.mark.parametrize(
    "options,expected",
    [
        ({"SENTINEL_KWARGS": {"socket_timeout": 1}}, set()),
        ({"SENTINEL_KWARGS": {"password": "secret"}}, {"W038"}),
        ({}, set()),  # redis-py hands those of the server on
        ({"SOCKET_TIMEOUT": None}, {"W037", "W038"}),
    ],
)
def test_sentinels_without_a_time_out_are_warned_of(
    options: dict[str, Any], expected: set[str]
) -> None:
    settings = deployed("redis://main/0", OPTIONS={**SENTINELS, **options})
    assert found_in(settings) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"SOCKET_TIMEOUT": 16},
        {"SOCKET_CONNECT_TIMEOUT": 31},
        {"CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 5)}},
        {"CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), -1)}},
        {"CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool", "SOCKET_TIMEOUT": 15},
    ],
)
def test_a_long_wait_is_warned_of(options: dict[str, Any]) -> None:
    assert found_in(deployed(OPTIONS=options)) == {"W039"}


def test_a_wait_that_a_web_server_lives_through_is_not() -> None:
    retries = {"CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 2)}}
    assert found_in(deployed(OPTIONS={"SOCKET_TIMEOUT": 2, **retries})) == set()
    assert found_in(deployed(OPTIONS={"SOCKET_TIMEOUT": 15})) == set()


def test_only_deploy_asks_the_server() -> None:
    """Who asks waits for an answer: this one listens, and never gives any."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with override_settings(**deployed(url)):
            assert ids(run_checks()) == set()
            assert ids(check_deployed_cache()) == set()
        with pytest.raises(BlockingIOError):
            silent.accept()
