"""Sessions on a Redis with replicas and sentinels: a failover signs nobody out."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from redis import Redis

from expire_sessions.backend import SessionStore
from expire_sessions.checks import check_cache, check_deployed_cache, check_server
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.models import LoggedSession
from expire_sessions.transport import timeouts
from expire_sessions.transport.async_clients import async_client, close_client
from expire_sessions.transport.connections import forget_connections, session_connection
from expire_sessions.transport.loops import lane_of
from expire_sessions.transport.sentinels import sentinels_of
from tests.asking import redis_client
from tests.found import ids
from tests.sentinels import NAME, Sentinel, Sentinels
from tests.sessions import sign_in

A_WHILE = 30
"""Seconds in which a single operation is over many times, also on a busy machine."""

AGAIN = 120
"""Seconds in which a failover is over many times."""

README = Path(__file__).parent.parent / "README.md"

ENTRY = """\
CACHES = {
    "default": {...},
    "sessions": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": "redis://main/0",  # "main": what the sentinels call the primary
        "KEY_PREFIX": "mysite",
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.SentinelClient",
            "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
            "SENTINELS": [
                ("10.0.0.1", 26379),
                ("10.0.0.2", 26379),
                ("10.0.0.3", 26379),
            ],
            "SENTINEL_KWARGS": {"socket_connect_timeout": 1, "socket_timeout": 1},
            "SOCKET_CONNECT_TIMEOUT": 2,
            "SOCKET_TIMEOUT": 2,
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        },
    },
}
SESSION_CACHE_ALIAS = "sessions"
"""
"""The README's, as it stands there."""


def test_the_entry_is_that_of_the_readme() -> None:
    assert ENTRY in README.read_text(encoding="utf-8")


@pytest.fixture
def redis() -> Iterator[Sentinels]:
    """A primary, a replica and three sentinels, to be broken."""
    with Sentinels() as sentinels:
        yield sentinels


def entry(redis: Sentinels) -> dict[str, Any]:
    """Return the README's settings, with these sentinels and a cache beside it."""
    found: dict[str, Any] = {}
    exec(ENTRY, found)  # noqa: S102 - the text above
    caches: dict[str, Any] = found["CACHES"]
    caches["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    caches["sessions"]["OPTIONS"]["SENTINELS"] = redis.addresses
    return {"CACHES": caches, "SESSION_CACHE_ALIAS": found["SESSION_CACHE_ALIAS"]}


def outcome(key: str) -> dict[str, Any] | StoreUnavailable:
    """Return what a load comes to, which has to be over in a while."""
    outcomes: list[dict[str, Any] | StoreUnavailable] = []

    def load() -> None:
        try:
            outcomes.append(SessionStore(key).load())
        except StoreUnavailable as error:
            outcomes.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(A_WHILE)
    assert outcomes, "it hangs"
    return outcomes[0]


def first_answer(key: str) -> dict[str, Any]:
    """Load a session until Redis answers, and return what it says."""
    deadline = time.monotonic() + AGAIN
    while True:
        found = outcome(key)
        if isinstance(found, dict):
            return found
        assert time.monotonic() < deadline, "no failover"
        threading.Event().wait(0.05)


@pytest.mark.race
@pytest.mark.django_db
def test_a_failover_signs_nobody_out(redis: Sentinels, ann: Any, bob: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=2, **entry(redis)):
        browser = Client()
        browser.get("/login/", {"username": "bob", "password": "bob"})
        stores = [sign_in(ann), sign_in(ann)]
        redis.replicate()
        redis.primary.kill()
        for store in stores:
            assert first_answer(str(store.session_key)) == dict(store.items())
        assert browser.get("/whoami/").content == b"bob"
        # And it goes on as before: the index is there, and the scripts are loaded anew.
        newest = sign_in(ann)
        live = [SessionStore().exists(store.session_key) for store in [*stores, newest]]
        assert sorted(live[:2]) == [False, True]
        assert live[2]
        assert LoggedSession.objects.for_user(ann).active().count() == 2


def clients_of(sentinel: Sentinel) -> int:
    """Count the connections to a sentinel that are not of other sentinels."""
    with Redis(port=sentinel.port) as client:
        found = client.client_list(_type="normal")
    return len([one for one in found if not one["name"].startswith("sentinel")])


@pytest.mark.race
@pytest.mark.django_db
@pytest.mark.parametrize("break_it", ["kill", "freeze"])
def test_with_time_enough_a_failover_is_no_error(
    redis: Sentinels, ann: Any, break_it: str
) -> None:
    """A silent primary costs one time-out first; then the sentinels are asked anew."""
    with override_settings(EXPIRE_TIMEOUT=AGAIN, **entry(redis)):
        store = sign_in(ann)
        redis.replicate()
        getattr(redis.primary, break_it)()
        assert SessionStore(store.session_key).load() == dict(store.items())
        store["x"] = 1
        store.save()
        assert SessionStore(store.session_key)["x"] == 1


@pytest.mark.race
@pytest.mark.django_db
@pytest.mark.parametrize("break_it", ["kill", "freeze"])
def test_nor_is_it_for_the_async_engine(
    redis: Sentinels, ann: Any, break_it: str
) -> None:
    with override_settings(EXPIRE_TIMEOUT=AGAIN, **entry(redis)):
        store = sign_in(ann)
        redis.replicate()
        forget_connections()
        before = clients_of(redis.sentinels[0])

        async def load() -> None:
            assert lane_of(session_connection()) is not None
            assert await SessionStore(store.session_key).aload()
            assert clients_of(redis.sentinels[0]) > before
            getattr(redis.primary, break_it)()
            loads = [SessionStore(store.session_key).aload() for _ in range(20)]
            assert await asyncio.gather(*loads) == [dict(store.items())] * 20

        asyncio.run(load())
        assert clients_of(redis.sentinels[0]) <= before


@pytest.mark.race
@pytest.mark.django_db
def test_primary_and_first_sentinel_may_be_silent_together(
    redis: Sentinels, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "SECONDS", 2)
    monkeypatch.setattr(timeouts, "SENTINEL_SECONDS", 1)
    settings = entry(redis)
    options = settings["CACHES"]["sessions"]["OPTIONS"]
    for name in ("SENTINEL_KWARGS", "SOCKET_TIMEOUT", "SOCKET_CONNECT_TIMEOUT"):
        del options[name]
    with override_settings(**settings):
        store = sign_in(ann)
        redis.replicate()
        redis.primary.freeze()
        redis.sentinels[0].freeze()
        outcome(str(store.session_key))  # an error, where the failover takes longer
        assert first_answer(str(store.session_key)) == dict(store.items())


def ports_of(pool: Any) -> list[int]:
    """Return the ports of the sentinels that a pool can ask, in their order."""
    return [
        sentinel.connection_pool.connection_kwargs["port"]
        for sentinel in sentinels_of(pool)
    ]


@pytest.mark.race
def test_no_sentinel_is_lost_by_two_connections_at_once(redis: Sentinels) -> None:
    """Both find the first one dead, and put the second in its place."""
    first, second, third = (port for _, port in redis.addresses)
    redis.sentinels[0].kill()
    with override_settings(**entry(redis)):
        pool: Any = redis_client("sessions").connection_pool
        manager = pool.sentinel_manager
        twin = async_client(redis_client("sessions"))

        async def find_both() -> None:
            find = twin.connection_pool.sentinel_manager.discover_master
            await asyncio.gather(find(NAME), find(NAME))
            await close_client(twin)

        asyncio.run(find_both())
        assert ports_of(twin.connection_pool) == [second, first, third]

        check, others = manager.check_master_state, iter([manager])

        def meanwhile(state: Any, name: str) -> bool:
            for other in others:
                other.discover_master(name)
            return bool(check(state, name))

        manager.check_master_state = meanwhile
        manager.discover_master(NAME)
        assert ports_of(pool) == [second, first, third]


@pytest.mark.race
def test_connections_that_are_forgotten_are_closed(redis: Sentinels) -> None:
    with override_settings(**entry(redis)):
        assert not SessionStore().exists("x" * 32)
        pool: Any = redis_client("sessions").connection_pool
        pools = [pool, *(each.connection_pool for each in sentinels_of(pool))]
        made = [
            each
            for pool in pools
            for each in [*pool._available_connections, *pool._in_use_connections]
        ]
        assert len([each for each in made if each._sock]) == 2  # a sentinel, a server
        forget_connections()
        assert not [each for each in made if each._sock]


@pytest.mark.race
def test_a_login_that_no_replica_has_is_warned_of(redis: Sentinels) -> None:
    with override_settings(**entry(redis)):
        assert ids([*check_cache(), *check_deployed_cache()]) == set()
        assert ids(check_server()) == {"W032", "W040"}  # it keeps nothing on disk
        redis_client("sessions").config_set("min-replicas-to-write", 1)
        assert ids(check_server()) == {"W032"}


def test_the_name_of_the_primary_is_that_of_the_entry() -> None:
    assert re.findall(r'"redis://(\w+)/0"', ENTRY) == [NAME]
