"""The client that sends less around each command, and what it still does."""

from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import override_settings

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
