"""Whoever looks on at redis-py's client sees the commands of sessions."""

import codecs
import json
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import override_settings
from django_redis.client import DefaultClient

from expire_sessions.backend import SessionStore
from expire_sessions.sessions import UserSessions
from expire_sessions.transport.connections import connection_for
from tests.asking import payload_of
from tests.loops import on_a_loop
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db


class Chosen(redis.Redis):
    """A client class of the project."""

    sent: list[Any] = []  # noqa: RUF012 - filled by the test

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Note the command."""
        self.sent.append(args[0])
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def options(**changes: Any) -> dict[str, Any]:
    """Return CACHES with other options."""
    cache: dict[str, Any] = settings.CACHES["default"]
    return {"default": {**cache, "OPTIONS": {**cache["OPTIONS"], **changes}}}


def test_what_traces_redis_sees_every_command(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry, Sentry and others wrap this method of redis-py."""
    key = sign_in(ann).session_key
    seen: list[str] = []
    execute: Any = redis.Redis.execute_command

    def traced(self: Any, *args: Any, **options: Any) -> Any:
        seen.append(args[0])
        return execute(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", traced)
    store = SessionStore(key)
    store["x"] = 1
    store.save()
    assert seen == ["GET", "EVALSHA"]
    assert UserSessions(ann).list()


def test_a_client_class_of_the_project_is_used(ann: Any) -> None:
    with override_settings(CACHES=options(REDIS_CLIENT_CLASS=f"{__name__}.Chosen")):
        assert type(connection_for("default").client) is Chosen
        key = sign_in(ann).session_key
        Chosen.sent.clear()
        assert SessionStore(key).load()
        assert Chosen.sent == ["GET"]


class Rot13(DefaultClient):  # type: ignore[misc] # untyped
    """A client of the project that keeps values in another way."""

    def encode(self, value: Any) -> bytes:
        """Return what Redis gets."""
        return codecs.encode(json.dumps(value), "rot13").encode()

    def decode(self, value: bytes) -> Any:
        """Return what was given."""
        return json.loads(codecs.decode(value.decode(), "rot13"))


def test_a_client_of_the_project_reads_and_writes_payloads(ann: Any) -> None:
    """Its user id is found by no script: a mark is a round trip of its own."""
    with override_settings(CACHES=options(CLIENT_CLASS=f"{__name__}.Rot13")):
        store = sign_in(ann)
        assert b"_nhgu_hfre_vq" in payload_of(store.session_key)
        connection_for("default").seen.forget()
        assert SessionStore(store.session_key)["_auth_user_id"] == str(ann.pk)
        assert on_a_loop(SessionStore(store.session_key).aload)


def test_who_begins_to_trace_finds_a_connection_free(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are kept at hand go back to the pool."""
    changed = options(CONNECTION_POOL_KWARGS={"max_connections": 1})
    with override_settings(CACHES=changed):
        key = sign_in(ann).session_key
        execute: Any = redis.Redis.execute_command

        def traced(self: Any, *args: Any, **options: Any) -> Any:
            return execute(self, *args, **options)

        monkeypatch.setattr(redis.Redis, "execute_command", traced)
        assert SessionStore(key).load()
        monkeypatch.undo()
        with override_settings(EXPIRE_TIMEOUT=0):
            assert SessionStore(key).load()
        assert on_a_loop(SessionStore(key).aload)


def test_an_error_of_the_program_is_not_one_of_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_command", fail)
    with pytest.raises(TypeError):
        SessionStore("x" * 32).load()
