"""The async client goes where the sync one goes, with the same settings."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import override_settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from expire_sessions.backend import SessionStore
from expire_sessions.transport.async_clients import async_client
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.loops import lane_of
from tests.asking import redis_client
from tests.caches import entry
from tests.sentinels import free_port
from tests.server_plugin import another_server

PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that wants a password, and knows a user."""
    port = str(free_port())
    options = ("--port", port, "--bind", "127.0.0.1")
    with (
        another_server(*options) as own,
        redis.Redis(unix_socket_path=str(own.socket)) as admin,
    ):
        admin.acl_setuser(
            "site",
            enabled=True,
            passwords=[f"+{PASSWORD}"],
            keys=["*"],
            categories=["+@all"],
        )
        admin.config_set("requirepass", PASSWORD)
        yield int(port)


async def use() -> tuple[bool, dict[str, Any]]:
    """Make a session and load it; tell whether that was native."""
    store = SessionStore()
    await store.aset("x", 1)
    await store.asave()
    is_native = lane_of(connection_for("default")) is not None
    return is_native, await SessionStore(store.session_key).aload()


NATIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "password in the address": ("redis://:open%20sesame@127.0.0.1:{port}/0", {}),
    "password in the options": (
        "redis://127.0.0.1:{port}/0",
        {"PASSWORD": PASSWORD},
    ),
    "user": ("redis://site:open%20sesame@127.0.0.1:{port}/0", {}),
    "database": ("redis://:open%20sesame@127.0.0.1:{port}/3", {}),
}

OPTIONS: dict[str, dict[str, Any]] = {
    "time-outs": {"SOCKET_TIMEOUT": 5, "SOCKET_CONNECT_TIMEOUT": 5},
    "health check": {"CONNECTION_POOL_KWARGS": {"health_check_interval": 1}},
    "retry": {"CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 1)}},
    "most connections": {"CONNECTION_POOL_KWARGS": {"max_connections": 3}},
    "blocking pool": {"CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool"},
}


class Connection(redis.UnixDomainSocketConnection):
    """A connection class of the project."""


class Pool(redis.ConnectionPool):
    """A pool class of the project."""


def greet(connection: Any) -> None:
    """Do what a project does at each new connection."""
    connection.on_connect()


THREADS: dict[str, dict[str, Any]] = {
    "its own greeting": {"CONNECTION_POOL_KWARGS": {"redis_connect_func": greet}},
    "connection class": {"CONNECTION_POOL_KWARGS": {"connection_class": Connection}},
    "pool class": {"CONNECTION_POOL_CLASS": f"{__name__}.Pool"},
}


@pytest.mark.parametrize("what", NATIVE)
def test_it_connects_as_the_sync_one(what: str, port: int) -> None:
    address, options = NATIVE[what]
    address = address.format(port=port)
    with override_settings(CACHES={"default": entry(address, **options)}):
        assert asyncio.run(use()) == (True, {"x": 1})
        database = int(address[-1])
        with redis.Redis(port=port, password=PASSWORD, db=database) as other:
            assert other.dbsize() > 0


@pytest.mark.parametrize("what", OPTIONS)
def test_it_takes_the_options_of_the_sync_one(what: str) -> None:
    with override_settings(CACHES={"default": entry(**OPTIONS[what])}):
        assert asyncio.run(use()) == (True, {"x": 1})


@pytest.mark.parametrize("what", THREADS)
def test_a_class_of_the_project_is_asked_in_a_thread(what: str) -> None:
    with override_settings(CACHES={"default": entry(**THREADS[what])}):
        assert asyncio.run(use()) == (False, {"x": 1})


def test_an_option_that_async_does_not_have_is_asked_for_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Left out it might be a check of a certificate that nobody makes."""
    client = redis_client()
    monkeypatch.setitem(client.connection_pool.connection_kwargs, "ssl_new", "yes")
    assert async_client(client) is None
    assert "ssl_new" in caplog.text


def test_the_time_outs_that_nobody_set_hold_for_async_too() -> None:
    client = async_client(redis_client())
    arguments = client.connection_pool.connection_kwargs
    assert arguments["socket_timeout"] == 5
    assert arguments["socket_connect_timeout"] == 5
