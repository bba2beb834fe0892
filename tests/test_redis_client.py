"""The way to Redis with less around each command, and what it still does."""

import codecs
import json
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import override_settings
from django_redis.client import DefaultClient

from expire_sessions.backend import SessionStore
from expire_sessions.connections import connection_for
from expire_sessions.index import Index
from expire_sessions.redis_client import LeanRedis
from tests.workers import sign_in


class Chosen(redis.Redis):
    """A client class of the project."""


def test_sessions_go_through_it() -> None:
    assert type(connection_for("default").client) is LeanRedis


def test_what_it_replaces_is_there_in_redis_py() -> None:
    """Under another name it would be dead code, and nobody would notice."""
    assert "_execute_command" in vars(redis.Redis)


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


def test_a_client_class_of_the_project_stays(ann: Any) -> None:
    cache: dict[str, Any] = settings.CACHES["default"]
    options = {**cache["OPTIONS"], "REDIS_CLIENT_CLASS": f"{__name__}.Chosen"}
    with override_settings(CACHES={"default": {**cache, "OPTIONS": options}}):
        assert type(connection_for("default").client) is Chosen
        assert SessionStore(sign_in(ann).session_key).load()


def test_an_error_gives_the_connection_back() -> None:
    client = connection_for("default").client
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            client.execute_command("GET")
    assert Index(connection_for("default")).read("x" * 32) is None
    assert len(client.connection_pool._in_use_connections) == 0


class Rot13(DefaultClient):  # type: ignore[misc] # untyped
    """A client of the project that keeps values in another way."""

    def encode(self, value: Any) -> bytes:
        """Return what Redis gets."""
        return codecs.encode(json.dumps(value), "rot13").encode()

    def decode(self, value: bytes) -> Any:
        """Return what was given."""
        return json.loads(codecs.decode(value.decode(), "rot13"))


def test_a_client_of_the_project_reads_and_writes_payloads(ann: Any) -> None:
    cache: dict[str, Any] = settings.CACHES["default"]
    options = {**cache["OPTIONS"], "CLIENT_CLASS": f"{__name__}.Rot13"}
    with override_settings(CACHES={"default": {**cache, "OPTIONS": options}}):
        store = sign_in(ann)
        key = connection_for("default").keys.payload(str(store.session_key))
        assert b"_nhgu_hfre_vq" in connection_for("default").client.get(key)
        assert SessionStore(store.session_key)["_auth_user_id"] == str(ann.pk)
