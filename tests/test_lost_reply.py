"""The script ran, and nobody heard of it: the same call again changes nothing twice."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth import login
from django.contrib.sessions.backends.base import CreateError
from django.http import HttpRequest
from django.test import override_settings
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from example_project.redis_server import VARIABLE
from expire_sessions import scripts
from expire_sessions.backend import SessionStore
from expire_sessions.connections import connection_for
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.index import Index, Mode, Outcome
from expire_sessions.keys import session_id
from expire_sessions.models import LoggedSession
from expire_sessions.scripts import Script
from expire_sessions.sessions import UserSessions
from tests.proxy import Proxy
from tests.workers import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the Redis of the run."""
    with Proxy(os.environ[VARIABLE], tmp_path) as proxy:
        yield proxy


Repeat = Callable[[Callable[[], None], Script], None]


@pytest.fixture(params=["redis-py repeats", "the project repeats"])
def repeat(request: pytest.FixtureRequest, proxy: Proxy, bob: Any) -> Iterator[Repeat]:
    """Go through the proxy, and lose the reply to a script once."""
    by_redis = request.param == "redis-py repeats"
    retry = Retry(NoBackoff(), int(by_redis), supported_errors=(RedisConnectionError,))
    cache: dict[str, Any] = settings.CACHES["default"]
    options = {**cache["OPTIONS"], "CONNECTION_POOL_KWARGS": {"retry": retry}}
    caches = {"default": {**cache, "LOCATION": proxy.url, "OPTIONS": options}}

    def repeated(call: Callable[[], None], script: Script) -> None:
        proxy.lose_reply_to(script.digest.encode())
        if not by_redis:
            with pytest.raises(StoreUnavailable):
                call()
        call()
        assert proxy.lost == 1

    with override_settings(CACHES=caches):
        make_scripts_known(bob)
        yield repeated
        connection_for("default").client.connection_pool.disconnect()


def make_scripts_known(user: Any) -> None:
    """Run each script once: it is EVALSHA whose reply gets lost."""
    store = sign_in(user)
    store.cycle_key()
    store.flush()


def listed(user: Any) -> list[str]:
    """Return the ids of the user's live sessions."""
    return [info.session_id for info in UserSessions(user).list()]


def test_a_login_takes_one_place_and_one_row(ann: Any, repeat: Repeat) -> None:
    sign_in(ann)
    request = HttpRequest()
    store = request.session = SessionStore()
    login(request, ann)
    repeat(store.save, scripts.SAVE)
    assert listed(ann) == [session_id(str(store.session_key))]
    rows = LoggedSession.objects.for_user(ann)
    assert rows.count() == 2
    assert [row.session_id for row in rows.active()] == listed(ann)
    assert not rows.ended().filter(end_reason="").exists()


def test_a_new_session_is_created_once(repeat: Repeat, server: redis.Redis) -> None:
    store = SessionStore()
    store["x"] = 1
    server.flushdb()
    repeat(store.save, scripts.SAVE)
    assert SessionStore(store.session_key)["x"] == 1
    assert len(server.keys("*sessions.cache*")) == 1
    with pytest.raises(CreateError):
        store.save(must_create=True)


def test_an_update_is_written(ann: Any, repeat: Repeat) -> None:
    store = sign_in(ann)
    store["x"] = 1
    repeat(store.save, scripts.SAVE)
    assert SessionStore(store.session_key)["x"] == 1
    assert len(listed(ann)) == 1


def test_a_rotation_is_one_rotation(ann: Any, repeat: Repeat) -> None:
    store = sign_in(ann)
    old = str(store.session_key)
    repeat(store.cycle_key, scripts.ROTATE)
    new = str(store.session_key)
    assert new != old
    assert listed(ann) == [session_id(new)]
    assert LoggedSession.objects.active().get().session_id == session_id(new)
    assert SessionStore(new).get("_auth_user_id") == str(ann.pk)
    assert not SessionStore().exists(old)


def test_a_logout_signs_out(ann: Any, repeat: Repeat) -> None:
    store = sign_in(ann)
    repeat(store.flush, scripts.REMOVE)
    assert listed(ann) == []
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


def test_a_login_that_was_evicted_before_its_repetition_does_not_come_back(
    ann: Any,
) -> None:
    key = "k" * 32
    index = Index(connection_for("default"))
    arguments: dict[str, Any] = {"user_id": str(ann.pk), "age": 60_000, "limit": 1}
    placed = index.place(Mode.NEW, key, call="this call", **arguments)
    assert placed.outcome is Outcome.SAVED
    sign_in(ann)
    again = index.place(Mode.NEW, key, call="this call", **arguments)
    assert again.outcome is Outcome.ENDED
    assert not SessionStore().exists(key)
