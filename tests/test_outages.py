"""A Redis that is away, silent or takes no writes: an error, and never a logout."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client, override_settings

from example_project.redis_server import RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.models import LoggedSession
from tests.asking import add_members
from tests.caches import other_cache
from tests.sessions import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]

KEY = "k" * 32


@contextmanager
def down(tmp_path: Path) -> Iterator[str]:
    """Give the address of no server."""
    yield f"unix://{tmp_path}/nothing?db=0"


@contextmanager
def mute(tmp_path: Path) -> Iterator[str]:
    """Give the address of a server that never answers."""
    path = tmp_path / "mute"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield f"unix://{path}?db=0"


REQUESTS = [
    f"{site}{path}"
    for site in ("", "/a")
    for path in ("/get/x/", "/set/x/1/", "/whoami/", "/logout/")
]


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("every_request", [False, True])
@pytest.mark.parametrize("outage", [down, mute])
def test_an_outage_is_an_error_and_never_a_logout(
    path: str, ignore: bool, every_request: bool, outage: Any, tmp_path: Path
) -> None:
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    options = {"IGNORE_EXCEPTIONS": ignore, "SOCKET_TIMEOUT": 0.05}
    with (
        outage(tmp_path) as address,
        other_cache(address, **options),
        override_settings(SESSION_SAVE_EVERY_REQUEST=every_request),
    ):
        response = browser.get(path)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("path", ["/a/get/x/", "/a/set/x/1/", "/a/logout/"])
@pytest.mark.parametrize("outage", [down, mute])
def test_an_outage_under_asgi_is_an_error_and_never_a_logout(
    path: str, outage: Any, tmp_path: Path
) -> None:
    browser = AsyncClient(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    with outage(tmp_path) as address, other_cache(address, SOCKET_TIMEOUT=0.05):
        response = async_to_sync(browser.get)(path)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("site", ["", "/a"])
@pytest.mark.parametrize("ignore", [False, True])
def test_a_login_during_an_outage_is_an_error(
    ann: Any, site: str, ignore: bool, tmp_path: Path
) -> None:
    browser = Client(raise_request_exception=False)
    query = {"username": "ann", "password": "ann"}
    with down(tmp_path) as address, other_cache(address, IGNORE_EXCEPTIONS=ignore):
        response = browser.get(f"{site}/login/", query)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


def pause(admin: redis.Redis) -> None:
    """Let whatever writes wait; what reads is answered."""
    admin.client_pause(600_000, all=False)


def make_read_only(admin: redis.Redis) -> None:
    """Let it be the replica of a server that is not there."""
    admin.replicaof("127.0.0.1", "1")


def mend(admin: redis.Redis) -> None:
    """Let it take what is written again."""
    admin.client_unpause()
    admin.replicaof("NO", "ONE")


@pytest.mark.parametrize("fault", [pause, make_read_only])
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("path", ["/set/x/1/", "/logout/", "/a/set/x/1/", "/a/logout/"])
@override_settings(EXPIRE_TOUCH_INTERVAL=None)
def test_what_is_read_and_cannot_be_written_is_an_error_and_never_a_logout(
    fault: Any,
    ignore: bool,
    path: str,
    own_server: RedisServer,
    admin: redis.Redis,
    ann: Any,
) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(ann)
    fault(admin)
    # In the address: django-redis keeps one pool for each, with its first time-out.
    address = f"{own_server.url}&socket_timeout=0.2"
    with other_cache(address, IGNORE_EXCEPTIONS=ignore):
        response = browser.get(path)
        who = browser.get("/whoami/").content
    # Redis 6.2 does then what it was asked for, though nobody waits any more.
    mend(admin)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies
    assert who == b"ann"


def test_an_outage_says_what_it_is(tmp_path: Path) -> None:
    with down(tmp_path) as address, other_cache(address):
        with pytest.raises(StoreUnavailable, match="'default'") as caught:
            SessionStore(KEY).load()
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
        assert KEY not in str(caught.value)
        for call in (SessionStore().save, SessionStore(KEY).flush):
            with pytest.raises(StoreUnavailable):
                call()


def test_a_read_only_server_is_an_error(ann: Any, admin: redis.Redis) -> None:
    store = sign_in(ann)
    admin.replicaof("127.0.0.1", "1")
    assert SessionStore(store.session_key).load()
    store["x"] = 1
    for call in (store.save, store.cycle_key, store.flush, SessionStore().create):
        with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
            call()
    admin.replicaof("NO", "ONE")
    assert SessionStore(store.session_key).load()


def test_no_error_tells_a_session_key(ann: Any, admin: redis.Redis) -> None:
    """redis-py puts the command that failed into its own errors."""
    dead = "d" * 32
    add_members(ann, {dead: 1})
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable) as caught:
        SessionStore.clear_expired()
    assert dead not in f"{caught.value} {caught.value.__cause__}"
