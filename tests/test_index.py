"""The index by itself: what no request of a site shows alone."""

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.protocol.modes import Mode
from expire_sessions.transport.connections import Connection, connection_for
from tests.asking import Index
from tests.sessions import sign_in

KEY = "k" * 32
tenant = {"name": "a"}


def tenant_key(key: str, prefix: str, version: int) -> str:
    """Keep the keys of tenants apart, as some projects do."""
    return f"{tenant['name']}:{prefix}:{version}:{key}"


@pytest.fixture
def connection() -> Connection:
    """Where sessions are."""
    return connection_for("default")


def test_the_keys_are_named_as_their_table_says(connection: Connection) -> None:
    keys = connection.keys
    assert keys.payload(KEY) == f":1:django.contrib.sessions.cache{KEY}"
    assert keys.index("a:b") == ":1:expire_sessions:index:a%3Ab"
    assert keys.made(KEY) == f":1:expire_sessions:made:{KEY}"
    assert keys.moved("id") == ":1:expire_sessions:moved:id"
    assert keys.ended("id") == ":1:expire_sessions:ended:id"
    assert keys.user_id(keys.index("a:b")) == "a:b"


@pytest.mark.parametrize("mode", [Mode.UPDATE, Mode.KEEP])
@pytest.mark.parametrize("age", [0, 60_000])
def test_a_session_that_is_gone_is_neither_saved_nor_touched(
    connection: Connection, mode: Mode, age: int
) -> None:
    index = Index(connection)
    assert index.save(mode, KEY, user_id="1", payload=b"{}", age=age) == 0
    assert connection.client.keys("*") == []


def test_a_touch_tells_what_has_expired(connection: Connection) -> None:
    index, user = Index(connection), "1"
    for key in (KEY, "g" * 32):
        index.place(Mode.NEW, key, user_id=user, payload=b"{}", age=60_000, call="call")
    connection.client.delete(connection.keys.payload("g" * 32))
    assert index.save(Mode.KEEP, KEY, user_id=user) == 2
    saved = index.place(Mode.KEEP, KEY, user_id=user, limit=1, call="another")
    assert (saved.gone, saved.evicted) == (("g" * 32,), ())


def test_a_payload_without_age_keeps_none(connection: Connection) -> None:
    index, keys = Index(connection), connection.keys
    connection.client.set(keys.payload(KEY), b"{}")
    assert index.save(Mode.KEEP, KEY, user_id="1")
    assert connection.client.ttl(keys.payload(KEY)) == -1
    assert connection.client.ttl(keys.index("1")) == -1


def test_a_key_function_may_look_at_who_is_asking(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever freezes what it said once lets one tenant into another."""
    cache = {**settings.CACHES["default"], "KEY_FUNCTION": f"{__name__}.tenant_key"}
    with override_settings(CACHES={"default": cache}):
        store = sign_in(ann)
        monkeypatch.setitem(tenant, "name", "b")
        assert SessionStore(store.session_key).load() == {}
        theirs = sign_in(ann)
        monkeypatch.setitem(tenant, "name", "a")
        assert SessionStore(store.session_key).load()
        assert SessionStore(theirs.session_key).load() == {}


def test_a_touch_in_the_last_millisecond_makes_no_session_immortal(
    connection: Connection,
) -> None:
    """PTTL says 0 then, of a key that is still there."""
    index, client = Index(connection), connection.client
    for number in range(30):
        key, user = f"{number:032}", str(number)
        index.place(Mode.NEW, key, user_id=user, payload=b"{}", age=40, call="call")
        for _ in range(100_000):  # hammer it until it has gone
            if not index.save(Mode.KEEP, key, user_id=user):
                break
        names = [connection.keys.payload(key), connection.keys.index(user)]
        assert client.exists(names[0]) == 0
        assert client.pttl(names[1]) != -1
