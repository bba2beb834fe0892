"""The script ran, and nobody heard of it: the same call again changes nothing twice."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth import login
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.http import HttpRequest
from django.test import override_settings

from example_project.redis_server import VARIABLE
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import commands, scripts
from expire_sessions.protocol.modes import Mode, Outcome
from expire_sessions.protocol.scripts import Script
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.sessions import UserSessions
from tests.asking import index
from tests.caches import other_cache
from tests.loops import ServerLoop, server_loop
from tests.proxy import Proxy
from tests.sessions import live_ids, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy before the Redis of the run."""
    with Proxy(os.environ[VARIABLE], tmp_path) as proxy:
        yield proxy


BOUND = 60
"""Seconds for retries: more than they ever take."""

Repeat = Callable[[Callable[[], None], Script], None]


def async_twin(call: Callable[[], Any], loop: ServerLoop) -> Callable[[], Any]:
    """Return what calls the twin of a store's method; any other call stays."""
    store = getattr(call, "__self__", None)
    if not isinstance(store, SessionStore):
        return call
    twin = getattr(store, f"a{call.__name__}")
    return lambda: loop(twin())


@pytest.fixture(params=["sync", "async"])
def colour(
    request: pytest.FixtureRequest, transactional_db: None
) -> Iterator[Callable[[Callable[[], Any]], Callable[[], Any]]]:
    """Make the calls of a test sync, or async on a loop that stays."""
    if request.param == "sync":
        yield lambda call: call
        return
    with server_loop() as loop:
        yield lambda call: async_twin(call, loop)


@pytest.fixture(params=["the engine repeats", "the project repeats"])
def repeat(
    request: pytest.FixtureRequest, proxy: Proxy, colour: Any, bob: Any
) -> Iterator[Repeat]:
    """Go through the proxy, and lose the reply to a script once."""
    by_itself = request.param == "the engine repeats"

    def repeated(call: Callable[[], None], script: Script) -> None:
        call = colour(call)
        proxy.lose_reply_to(script.digest.encode())
        if not by_itself:
            with pytest.raises(StoreUnavailable):
                call()
        call()
        assert proxy.lost == 1

    timeout = override_settings(EXPIRE_TIMEOUT=BOUND if by_itself else 0)
    with other_cache(proxy.url), timeout:
        make_scripts_known(bob)
        yield repeated


@pytest.fixture
def losing(proxy: Proxy, colour: Any, bob: Any) -> Iterator[Callable[..., None]]:
    """Go through the proxy; a call may lose its reply, and the project knows of it."""

    def lose(call: Callable[[], object], script: Script) -> None:
        call = colour(call)
        proxy.lose_reply_to(script.digest.encode())
        with pytest.raises(StoreUnavailable):
            call()

    with other_cache(proxy.url):
        make_scripts_known(bob)
        yield lose


def test_a_session_that_ended_behind_a_lost_rotation_stays_ended(
    ann: Any, losing: Callable[..., None]
) -> None:
    """However often the request that was in it saves."""
    store = sign_in(ann)
    losing(store.cycle_key, scripts.ROTATE)
    UserSessions(ann).end_all()
    for _ in range(3):
        with suppress(UpdateError):
            store.save()
    assert "_auth_user_id" not in store
    assert live_ids(ann) == set()


def make_scripts_known(user: Any) -> None:
    """Run each script once: it is EVALSHA whose reply gets lost."""
    store = sign_in(user)
    store.cycle_key()
    store.flush()


def test_a_login_takes_one_place_and_one_row(ann: Any, repeat: Repeat) -> None:
    sign_in(ann)
    store = logging_in(ann)
    repeat(store.save, scripts.SAVE)
    assert live_ids(ann) == {session_id(str(store.session_key))}
    rows = LoggedSession.objects.for_user(ann)
    assert rows.count() == 2
    assert {row.session_id for row in rows.active()} == live_ids(ann)
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
    assert len(live_ids(ann)) == 1


def test_a_rotation_is_one_rotation(ann: Any, repeat: Repeat) -> None:
    store = sign_in(ann)
    old = str(store.session_key)
    repeat(store.cycle_key, scripts.ROTATE)
    new = str(store.session_key)
    assert new != old
    assert live_ids(ann) == {session_id(new)}
    assert LoggedSession.objects.active().get().session_id == session_id(new)
    assert SessionStore(new).get("_auth_user_id") == str(ann.pk)
    assert not SessionStore().exists(old)


def test_a_logout_signs_out(ann: Any, repeat: Repeat) -> None:
    store = sign_in(ann)
    repeat(store.flush, scripts.REMOVE)
    assert live_ids(ann) == set()
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


Told = list[tuple[str, dict[str, Any]]]


def ends(told: Told) -> list[tuple[str, str]]:
    """Return the ids and the reasons of all that was told to have ended."""
    return [
        (kwargs["session_id"], kwargs["reason"])
        for name, kwargs in told
        if name == "session_ended"
    ]


def name_of(store: SessionStore) -> str:
    """Return the id of a store's session."""
    return session_id(str(store.session_key))


Losing = Callable[[Callable[[], object], Script], None]


def test_what_was_changed_before_the_repetition_is_written(losing: Losing) -> None:
    store = SessionStore()
    store["a"] = 1
    losing(store.save, scripts.SAVE)
    store["b"] = 2
    store.save()
    assert dict(SessionStore(store.session_key).items()) == {"a": 1, "b": 2}


def test_a_save_after_a_rotation_without_a_reply_finds_the_session(
    ann: Any, losing: Losing
) -> None:
    store = sign_in(ann)
    losing(store.cycle_key, scripts.ROTATE)
    store["x"] = 1
    store.save()
    assert SessionStore(store.session_key)["x"] == 1
    assert live_ids(ann) == {name_of(store)}


def test_an_eviction_is_told_with_its_reason(
    ann: Any, repeat: Repeat, told: Told
) -> None:
    first = sign_in(ann)
    store = logging_in(ann)
    repeat(store.save, scripts.SAVE)
    assert ends(told)[-1] == (name_of(first), "evicted")
    reasons = LoggedSession.objects.order_by("pk").values_list("end_reason", flat=True)
    assert list(reasons)[-2:] == ["evicted", ""]


@override_settings(EXPIRE_TOUCH_INTERVAL=None)
def test_a_lowered_limit_is_told_with_its_reason(
    ann: Any,
    repeat: Repeat,
    told: Told,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The save has its reply; the one to the call that ends the other is lost."""
    with override_settings(EXPIRE_MAX_USERS=2):
        first, second = sign_in(ann), sign_in(ann)
    second["x"] = 1
    end = commands.place

    def place(*args: Any, **kwargs: Any) -> Any:
        proxy.lose_reply_to(scripts.SAVE.digest.encode())
        monkeypatch.setattr(commands, "place", end)
        return end(*args, **kwargs)

    monkeypatch.setattr(commands, "place", place)
    with suppress(StoreUnavailable):
        second.save()
    second.save()
    assert proxy.lost == 1
    assert ends(told)[-1] == (name_of(first), "evicted")
    assert live_ids(ann) == {name_of(second)}


@pytest.mark.parametrize("how", ["end", "end_all", "end_others"])
def test_an_end_from_outside_is_told_and_counted(
    ann: Any, repeat: Repeat, told: Told, how: str
) -> None:
    store = sign_in(ann)
    sessions = UserSessions(ann, "c" * 32)
    answers: list[int] = []

    def end() -> None:
        args = [name_of(store)] if how == "end" else []
        answers.append(getattr(sessions, how)(*args))

    repeat(end, scripts.REMOVE)
    assert answers[-1] == 1
    assert ends(told)[-1] == (name_of(store), "ended")
    assert LoggedSession.objects.for_user(ann).get().end_reason == "ended"


def test_a_logout_is_told_with_its_reason(ann: Any, repeat: Repeat, told: Told) -> None:
    store = sign_in(ann)
    name = name_of(store)
    store.remember_logout()
    repeat(store.flush, scripts.REMOVE)
    assert ends(told)[-1] == (name, "logout")


def test_an_age_in_the_past_ends_the_session_without_an_error(
    ann: Any, repeat: Repeat, told: Told
) -> None:
    store = sign_in(ann)
    store.set_expiry(-1)
    repeat(store.save, scripts.REMOVE)
    assert ends(told)[-1] == (name_of(store), "expired")


def a_newer_login(user: Any) -> None:
    sign_in(user)


def a_sign_out_everywhere(user: Any) -> None:
    UserSessions(user).end_all()


def logging_in(user: Any) -> SessionStore:
    """Return a session that the middleware is about to save."""
    request = HttpRequest()
    request.session = store = SessionStore()
    login(request, user)
    return store


@pytest.mark.parametrize("gap", [a_newer_login, a_sign_out_everywhere])
@pytest.mark.parametrize("tries", [1, 2])
def test_a_login_that_was_ended_before_its_repetition_stays_ended(
    ann: Any, losing: Losing, gap: Callable[[Any], None], tries: int
) -> None:
    store = logging_in(ann)
    losing(store.save, scripts.SAVE)
    gap(ann)
    before = live_ids(ann)
    with pytest.raises(UpdateError):
        store.save()
    for _ in range(tries - 1):
        store.save()  # dropped: its browser learns why with the next page
    assert live_ids(ann) == before
    assert name_of(store) not in before
    assert not LoggedSession.objects.filter(session_id=name_of(store), ended_at=None)


def test_a_login_that_is_given_up_after_a_lost_reply_leaves_no_session(
    ann: Any, losing: Losing
) -> None:
    store = logging_in(ann)
    losing(store.save, scripts.SAVE)
    assert len(live_ids(ann)) == 1
    store.flush()
    assert live_ids(ann) == set()


def test_a_login_that_was_evicted_before_its_repetition_does_not_come_back(
    ann: Any,
) -> None:
    key = "k" * 32
    arguments: dict[str, Any] = {"user_id": str(ann.pk), "age": 60_000, "limit": 1}
    placed = index().place(Mode.NEW, key, call="this call", **arguments)
    assert placed.outcome is Outcome.SAVED
    sign_in(ann)
    again = index().place(Mode.NEW, key, call="this call", **arguments)
    assert again.outcome is Outcome.ENDED
    assert not SessionStore().exists(key)
