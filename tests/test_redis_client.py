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
from expire_sessions.redis_client import LeanRedis, lean
from tests.asking import index, payload_of, redis_client
from tests.sessions import sign_in


class Chosen(redis.Redis):
    """A client class of the project."""


def test_sessions_go_through_it() -> None:
    assert type(redis_client()) is LeanRedis


def test_redis_py_still_comes_by_where_it_does_less(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It overrides what redis-py may rename: it would be dead code then."""
    seen: list[str] = []
    exchange = LeanRedis._exchange

    def noted(self: Any, connection: Any, args: Any, options: Any) -> Any:
        seen.append(args[0])
        return exchange(self, connection, args, options)

    key = sign_in(ann).session_key
    monkeypatch.setattr(LeanRedis, "_exchange", noted)
    assert SessionStore(key).load()
    assert seen == ["GET"]


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
        assert type(redis_client()) is Chosen
        assert SessionStore(sign_in(ann).session_key).load()


def test_a_client_with_a_connection_of_its_own_keeps_it() -> None:
    pool = redis_client().connection_pool
    with redis.Redis(connection_pool=pool, single_connection_client=True) as client:
        assert lean(client) is client


def test_an_error_of_the_program_is_not_one_of_redis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*args: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(LeanRedis, "_exchange", fail)
    with pytest.raises(TypeError):
        SessionStore("x" * 32).load()


def test_an_error_gives_the_connection_back() -> None:
    client = redis_client()
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            client.execute_command("GET")
    assert index().read("x" * 32) is None
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
        assert b"_nhgu_hfre_vq" in payload_of(store.session_key)
        assert SessionStore(store.session_key)["_auth_user_id"] == str(ann.pk)
