"""A Redis that is silent is an error after a while, never a request that hangs."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.test import override_settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool, ConnectionPool
from redis.retry import Retry

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.transport import timeouts
from expire_sessions.transport.connections import forget_connections
from expire_sessions.transport.timeouts import SECONDS, SENTINEL_SECONDS, longest_wait
from tests.asking import redis_client
from tests.caches import entry

A_WHILE = 30
"""Seconds in which everything here is over many times, also on a busy machine."""


def raised_by(call: Callable[[], object]) -> BaseException:
    """Return what a call raises, and fail where it is not over in a while."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - whatever it is
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(A_WHILE)
    assert not thread.is_alive(), "it hangs"
    return raised[0]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give the port of a server that takes every connection, and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(params=["tcp", "unix"])
def silent(
    request: pytest.FixtureRequest, tmp_path: Path, silent_port: int
) -> Iterator[str]:
    """Give the address of such a server."""
    if request.param == "tcp":
        yield f"redis://127.0.0.1:{silent_port}/0"
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "silent"))
            server.listen()
            yield f"unix://{tmp_path}/silent?db=0"


SENTINEL = {
    "CLIENT_CLASS": "django_redis.client.SentinelClient",
    "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
}


def save() -> None:
    """Save a new session."""
    store = SessionStore()
    store["x"] = 1
    store.save()


OPERATIONS: dict[str, Callable[[], object]] = {
    "load": lambda: SessionStore("x" * 32).load(),
    "save": save,
    "delete": lambda: SessionStore("x" * 32).delete(),
    "sweep": SessionStore.clear_expired,
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_hangs_where_the_project_set_no_time_out(
    operation: str, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "SECONDS", 0.1)
    with override_settings(CACHES={"default": entry(silent)}):
        assert isinstance(raised_by(OPERATIONS[operation]), StoreUnavailable)


def test_no_connection_is_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Unix socket with as many waiting as it lets wait."""
    monkeypatch.setattr(timeouts, "SECONDS", 0.1)
    path = str(tmp_path / "full")
    with (
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as first,
    ):
        server.bind(path)
        server.listen(0)
        first.connect(path)
        with override_settings(CACHES={"default": entry(f"unix://{path}?db=0")}):
            assert isinstance(raised_by(save), StoreUnavailable)


def test_none_is_not_a_time_out(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "SECONDS", 0.1)
    never = {"socket_timeout": None, "socket_connect_timeout": None}
    with override_settings(
        CACHES={"default": entry(silent, CONNECTION_POOL_KWARGS=never)}
    ):
        assert isinstance(raised_by(save), StoreUnavailable)


def test_no_operation_hangs_where_all_sentinels_are_silent(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeouts, "SENTINEL_SECONDS", 0.1)
    options = {**SENTINEL, "SENTINELS": [("127.0.0.1", silent_port)] * 3}
    with override_settings(CACHES={"default": entry("redis://main/0", **options)}):
        assert isinstance(raised_by(save), StoreUnavailable)


def pool_of(location: str = "redis://127.0.0.1:1/0", **options: Any) -> Any:
    """Return the pool that sessions use."""
    with override_settings(CACHES={"default": entry(location, **options)}):
        return redis_client().connection_pool


def times(pool: Any) -> tuple[object, object]:
    """Return the connect and the read time-out of a pool."""
    connection = pool.connection_class(**pool.connection_kwargs)
    return connection.socket_connect_timeout, connection.socket_timeout


@pytest.mark.parametrize(
    "location,options,expected",
    [
        ("redis://127.0.0.1:1/0", {}, (SECONDS, SECONDS)),
        ("redis://127.0.0.1:1/0", {"SOCKET_TIMEOUT": 2}, (2, 2)),
        ("redis://127.0.0.1:1/0", {"SOCKET_CONNECT_TIMEOUT": 2}, (2, SECONDS)),
        (
            "redis://127.0.0.1:1/0",
            {"SOCKET_TIMEOUT": 60, "SOCKET_CONNECT_TIMEOUT": 1},
            (1, 60),
        ),
        (
            "redis://127.0.0.1:1/0",
            {"CONNECTION_POOL_KWARGS": {"socket_timeout": 3}},
            (3, 3),
        ),
        ("redis://127.0.0.1:1/0?socket_timeout=4", {}, (4, 4)),
        ("unix:///nowhere?db=0", {"SOCKET_TIMEOUT": 2}, (2, 2)),
    ],
)
def test_the_time_outs_of_the_project_are_kept(
    location: str, options: dict[str, Any], expected: tuple[float, float]
) -> None:
    assert times(pool_of(location, **options)) == expected


def test_the_general_cache_keeps_its_pool() -> None:
    """django-redis has one pool for each address, whatever the options of an alias."""
    with override_settings(
        CACHES={
            "default": entry("redis://127.0.0.1:1/7"),
            "sessions": entry("redis://127.0.0.1:1/7", SOCKET_TIMEOUT=2),
        }
    ):
        general: Any = caches["default"]
        pool = general.client.get_client().connection_pool
        before = times(pool)
        sessions = redis_client("sessions").connection_pool
        assert sessions is not pool
        assert times(sessions) == (2, 2)
        assert times(pool) == before
        assert general.client.get_client().connection_pool is pool


def test_the_general_cache_does_not_get_the_pool_of_the_sessions() -> None:
    with override_settings(CACHES={"default": entry("redis://127.0.0.1:1/8")}):
        sessions = redis_client().connection_pool
        general: Any = caches["default"]
        assert general.client.get_client().connection_pool is not sessions


def test_connections_that_are_forgotten_are_closed(server: Redis) -> None:
    assert not SessionStore().exists("x" * 32)
    pool: Any = redis_client().connection_pool
    connected = [*pool._available_connections, *pool._in_use_connections]
    assert any(connection._sock for connection in connected)
    forget_connections()
    assert not any(connection._sock for connection in connected)


def sentinels_of(**options: Any) -> list[dict[str, Any]]:
    """Return how each sentinel is asked."""
    options = {**SENTINEL, "SENTINELS": [("127.0.0.1", 1)] * 2, **options}
    manager = pool_of("redis://main/0", **options).sentinel_manager
    return [
        sentinel.connection_pool.connection_kwargs for sentinel in manager.sentinels
    ]


def test_a_sentinel_is_asked_once_and_not_for_long() -> None:
    for kwargs in sentinels_of():
        assert kwargs["socket_timeout"] == SENTINEL_SECONDS
        assert kwargs["socket_connect_timeout"] == SENTINEL_SECONDS
        assert kwargs["retry"].get_retries() == 0


def test_what_the_project_has_set_for_its_sentinels_is_kept() -> None:
    retry = Retry(NoBackoff(), 2)
    for kwargs in sentinels_of(
        SENTINEL_KWARGS={"socket_timeout": 3, "retry": retry}, SOCKET_TIMEOUT=9
    ):
        assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == 3
        assert kwargs["retry"].get_retries() == 2


def test_without_arguments_of_their_own_sentinels_have_those_of_the_server() -> None:
    """It is how redis-py has it."""
    for kwargs in sentinels_of(SOCKET_TIMEOUT=2):
        assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == 2
        assert kwargs["retry"].get_retries() == 0


def waiting(retries: int, read: float | None, connect: float | None) -> Any:
    """Return a pool with these retries and time-outs."""
    return ConnectionPool(
        retry=Retry(NoBackoff(), retries),
        socket_timeout=read,
        socket_connect_timeout=connect,
    )


@pytest.mark.parametrize(
    "retries,read,connect,expected",
    [
        (0, 5, 5, 10),  # a reply, then a connection
        (0, 5, 2, 10),  # a reply, then a greeting
        (0, 3, 5, 8),
        (0, 1, 1, 3),  # EXPIRE_TIMEOUT, then a connection
        (1, 5, 5, 15),  # a reply, then twice a connection
        (2, 2, 2, 8),
        (2, 10, 1, 40),  # a reply, then three times a greeting
        (-1, 1, 1, float("inf")),
        (0, None, 1, float("inf")),
    ],
)
def test_the_worst_case_is_known(
    retries: int, read: float | None, connect: float | None, expected: float
) -> None:
    assert longest_wait(waiting(retries, read, connect)) == expected


def test_the_worst_case_counts_the_sentinels() -> None:
    options = {**SENTINEL, "SENTINELS": [("127.0.0.1", 1)] * 3}
    assert longest_wait(pool_of("redis://main/0", **options)) == (
        SECONDS + 3 * SENTINEL_SECONDS + SECONDS
    )


@pytest.mark.parametrize("free,expected", [(20, 30), (None, float("inf"))])
def test_the_worst_case_counts_the_wait_for_a_free_connection(
    free: float | None, expected: float
) -> None:
    kind: Any = BlockingConnectionPool
    pool = kind(timeout=free, socket_timeout=5, socket_connect_timeout=5)
    assert longest_wait(pool) == expected


def test_the_worst_case_counts_the_checks_of_idle_connections() -> None:
    pool = waiting(1, 5, 5)
    pool.connection_kwargs["health_check_interval"] = 30
    assert longest_wait(pool) == 20
