"""The lives of a session, from the first request of a browser to the last.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import (
    SESSION_KEY,
    get_user,
    login,
    update_session_auth_hash,
)
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest
from django.test import AsyncClient, Client, override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.connections import connection_for
from expire_sessions.keys import session_id
from expire_sessions.models import LoggedSession
from tests.asking import (
    id_of,
    index_name,
    live_keys,
    payload_name,
    put_payload,
    redis_client,
)
from tests.sessions import key_of, log_in, reasons, request_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]

HOUR = 3600


@pytest.fixture(params=["", "/a"], ids=["sync", "async"])
def site(request: pytest.FixtureRequest) -> str:
    """Where the sync or the async views are."""
    return str(request.param)


# Signing in.


def test_a_login_keeps_the_data_of_the_visitor(ann: Any, site: str) -> None:
    browser = Client()
    browser.get(f"{site}/set/cart/full/")
    before = key_of(browser)
    log_in(browser, "ann", site)
    assert browser.get(f"{site}/get/cart/").content == b"full"
    assert key_of(browser) != before
    assert not SessionStore().exists(before)
    assert live_keys(ann) == [key_of(browser)]


def test_two_people_who_sign_in_from_one_visit_do_not_share_a_session(
    ann: Any, bob: Any
) -> None:
    """Two forms of one browser, sent at once: both have loaded its session."""
    visitor = SessionStore()
    visitor["cart"] = "full"
    visitor.save()
    requests = [request_of(visitor), request_of(visitor)]
    for request, user in zip(requests, [ann, bob], strict=True):
        login(request, user)
        request.session.save()
    assert live_keys(ann) == [requests[0].session.session_key]
    assert live_keys(bob) == [requests[1].session.session_key]
    assert live_keys(ann) != live_keys(bob)
    assert [request.session["cart"] for request in requests] == ["full", "full"]


def test_the_same_user_in_the_same_browser_is_one_session(ann: Any, site: str) -> None:
    browser = Client()
    log_in(browser, "ann", site)
    browser.get("/set/x/1/")
    log_in(browser, "ann", site)
    assert browser.get("/get/x/").content == b"1"
    assert live_keys(ann) == [key_of(browser)]
    assert reasons(ann) == [""]


def test_another_user_in_the_same_browser_inherits_nothing(
    ann: Any, bob: Any, site: str
) -> None:
    browser = Client()
    log_in(browser, "ann", site)
    browser.get("/set/x/1/")
    log_in(browser, "bob", site)
    assert who(browser) == "bob"
    assert browser.get("/get/x/").content == b""
    assert live_keys(ann) == []
    assert reasons(ann) == ["flushed"]
    assert reasons(bob) == [""]


def test_force_login_takes_a_place(ann: Any) -> None:
    first, second = Client(), Client()
    first.force_login(ann)
    second.force_login(ann)
    assert (who(first), who(second)) == ("", "ann")
    assert reasons(ann) == ["evicted", ""]


def test_the_test_client_signs_in_and_out(ann: Any) -> None:
    browser = Client()
    assert browser.login(username="ann", password="ann")
    session = browser.session
    session["x"] = "1"
    session.save()
    assert browser.get("/get/x/").content == b"1"
    assert live_keys(ann) == [key_of(browser)]
    browser.logout()
    assert live_keys(ann) == []
    assert reasons(ann) == ["logout"]


def test_the_async_test_client_signs_in_and_out(ann: Any) -> None:
    browser = AsyncClient()
    async_to_sync(browser.aforce_login)(ann)
    key = browser.cookies["sessionid"].value
    response = async_to_sync(browser.get)("/a/whoami/")
    assert response.content == b"ann"
    assert live_keys(ann) == [key]
    async_to_sync(browser.alogout)()
    assert live_keys(ann) == []
    assert reasons(ann) == ["logout"]


def test_a_login_without_a_request_takes_a_place(ann: Any) -> None:
    """Code may write the user into a session by itself."""
    sign_in_store(ann)
    store = SessionStore()
    store[SESSION_KEY] = id_of(ann)
    store.save()
    assert live_keys(ann) == [store.session_key]
    row = LoggedSession.objects.active().get()
    assert row.session_id == session_id(str(store.session_key))
    assert (row.ip, row.user_agent) == (None, "")


def test_a_login_that_fails_after_all_leaves_nothing(ann: Any, server: Any) -> None:
    """The view signs in, and answers with a server error."""
    other = sign_in_store(ann)
    before = set(server.keys())
    browser = Client()
    query = {"username": "ann", "password": "ann"}
    assert browser.get("/login-and-fail/", query).status_code == 500
    assert "sessionid" not in browser.cookies
    assert live_keys(ann) == [other.session_key]
    assert reasons(ann) == [""]
    assert set(server.keys()) == before


# Signing out.


def test_a_logout_frees_the_place(ann: Any, site: str, server: Any) -> None:
    browser = Client()
    log_in(browser, "ann", site)
    key = key_of(browser)
    browser.get(f"{site}/logout/")
    assert who(browser) == ""
    assert not SessionStore().exists(key)
    assert server.keys("*index*") == []
    assert reasons(ann) == ["logout"]


TAKING_AWAY: dict[str, Callable[[SessionStore], Any]] = {
    "pop": lambda store: store.pop(SESSION_KEY),
    "clear": lambda store: store.clear(),
}


@pytest.mark.parametrize("how", TAKING_AWAY)
def test_data_of_nobody_any_more_goes_on_under_another_key(ann: Any, how: str) -> None:
    store = sign_in_store(ann)
    key = store.session_key
    TAKING_AWAY[how](store)
    store["x"] = 1
    store.save()
    assert not SessionStore().exists(key)
    assert SESSION_KEY not in SessionStore(store.session_key)
    assert SessionStore(store.session_key)["x"] == 1
    assert live_keys(ann) == []
    assert reasons(ann) == ["flushed"]


def test_data_of_somebody_else_goes_on_under_another_key(ann: Any, bob: Any) -> None:
    store = sign_in_store(ann)
    key = store.session_key
    store[SESSION_KEY] = id_of(bob)
    store.save()
    assert not SessionStore().exists(key)
    assert live_keys(ann) == []
    assert live_keys(bob) == [store.session_key]
    assert (reasons(ann), reasons(bob)) == (["flushed"], [""])


# Another key.


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_password_change_keeps_the_session_and_evicts_nobody(
    ann: Any, sign_in: SignIn, site: str
) -> None:
    other, browser = sign_in(ann), sign_in(ann)
    before = key_of(browser)
    browser.get(f"{site}/password/", {"password": "new"})
    assert key_of(browser) != before
    assert live_keys(ann) == [key_of(other), key_of(browser)]
    assert reasons(ann) == ["", ""]
    assert LoggedSession.objects.filter(session_id=session_id(before)).count() == 0
    assert who(browser) == "ann"
    assert who(other) == "", "Django drops the sessions with the old password"
    assert reasons(ann) == ["flushed", ""]


def new_secret() -> override_settings:
    """Settings with a new SECRET_KEY, and the old one to fall back to."""
    fallbacks = [settings.SECRET_KEY]
    return override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=fallbacks)


def test_a_new_secret_moves_the_session(ann: Any, sign_in: SignIn, site: str) -> None:
    browser = sign_in(ann)
    before = key_of(browser)
    with new_secret():
        assert who(browser, site) == "ann"
        assert key_of(browser) != before
        assert live_keys(ann) == [key_of(browser)]
        after = key_of(browser)
        assert who(browser, site) == "ann"
        assert key_of(browser) == after
    assert reasons(ann) == [""]


@pytest.mark.parametrize("changed", [False, True])
def test_requests_that_move_a_session_at_once_end_in_one(
    ann: Any, changed: bool
) -> None:
    store = sign_in_store(ann)
    requests = [request_of(store) for _ in range(3)]
    with new_secret():
        for number, request in enumerate(requests):
            if changed:
                request.session["x"] = number
            assert get_user(request) == ann
            request.session.save()
        (key,) = {request.session.session_key for request in requests}
        assert live_keys(ann) == [key]
        assert get_user(request_of(requests[0].session)) == ann
    assert SessionStore(key).get("x") == (2 if changed else None)
    assert LoggedSession.objects.get().session_id == session_id(str(key))
    assert SessionStore(store.session_key).load() == {}, "an old cookie leads nowhere"


def test_a_slow_request_follows_a_session_that_moved_twice(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    for _ in range(2):
        store.cycle_key()
    slow.session.cycle_key()
    assert slow.session.session_key == store.session_key


def test_a_slow_request_that_changed_nothing_takes_the_data_of_the_faster(
    ann: Any,
) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store["x"] = 1
    store.cycle_key()
    store.save()
    slow.session.cycle_key()
    assert slow.session["x"] == 1


@pytest.mark.parametrize("moved", [False, True])
def test_moving_a_session_that_has_ended_leaves_the_request_anonymous(
    ann: Any, moved: bool
) -> None:
    store = sign_in_store(ann)
    late = request_of(store)
    if moved:
        store.cycle_key()
    sign_in_store(ann)
    late.session.cycle_key()
    assert late.session.session_key is None
    assert dict(late.session.items()) == {}
    assert late.session.is_empty()
    assert len(live_keys(ann)) == 1


def test_a_password_change_in_a_session_that_has_ended_signs_nobody_in(
    ann: Any,
) -> None:
    late = request_of(sign_in_store(ann))
    late.user = get_user(late)
    newest = sign_in_store(ann)
    update_session_auth_hash(late, ann)
    late.session.save()
    assert SESSION_KEY not in SessionStore(late.session.session_key)
    assert live_keys(ann) == [newest.session_key]


def test_a_new_secret_does_not_bring_back_a_session_that_has_ended(ann: Any) -> None:
    late = request_of(sign_in_store(ann))
    newest = sign_in_store(ann)
    with new_secret():
        get_user(late)
        late.session.save()
        assert get_user(request_of(late.session)).is_anonymous
    assert live_keys(ann) == [newest.session_key]
    assert reasons(ann) == ["evicted", ""]


# Age.


def ages(store: SessionStore, user: Any) -> tuple[float, float]:
    """Return the seconds that payload and index have left."""
    payload = redis_client().pttl(payload_name(store.session_key))
    index = redis_client().pttl(index_name(user))
    return payload / 1000, index / 1000


EXPIRIES: dict[str, tuple[Callable[[], Any], int]] = {
    "none of its own": (lambda: None, settings.SESSION_COOKIE_AGE),
    "seconds": (lambda: HOUR, HOUR),
    "at browser close": (lambda: 0, settings.SESSION_COOKIE_AGE),
    "a timedelta": (lambda: timedelta(hours=1), HOUR),
    "a date": (lambda: timezone.now() + timedelta(hours=1), HOUR),
}


@pytest.mark.parametrize("case", EXPIRIES)
def test_payload_and_index_live_as_long_as_the_session(ann: Any, case: str) -> None:
    expiry, seconds = EXPIRIES[case]
    store = sign_in_store(ann)
    store.flush()
    request = HttpRequest()
    store = request.session = SessionStore()
    store.set_expiry(expiry())
    login(request, ann)
    store.save()
    assert ages(store, ann) == pytest.approx((seconds, seconds), abs=60)


@override_settings(EXPIRE_MAX_USERS=2)
def test_the_index_lives_as_long_as_the_longest(ann: Any) -> None:
    sign_in_store(ann)
    short = sign_in_store(ann)
    short.set_expiry(HOUR)
    short.save()
    short.cycle_key()
    expected = (HOUR, settings.SESSION_COOKIE_AGE)
    assert ages(short, ann) == pytest.approx(expected, abs=60)


@pytest.mark.parametrize("expiry", [-1, timedelta(days=-1)])
def test_an_age_in_the_past_ends_the_session(ann: Any, expiry: Any) -> None:
    store = sign_in_store(ann)
    store.set_expiry(expiry)
    store.save()
    assert live_keys(ann) == []
    assert reasons(ann) == ["expired"]


def test_reading_does_not_prolong_a_session(ann: Any) -> None:
    """To Django, reading is no activity."""
    store = sign_in_store(ann)
    redis_client().expire(payload_name(store.session_key), HOUR)
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        SessionStore(store.session_key).load()
    assert ages(store, ann)[0] == pytest.approx(HOUR, abs=60)


# SESSION_SAVE_EVERY_REQUEST


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_a_save_of_every_request_renews_the_age(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    store = SessionStore(key_of(browser))
    for key in (payload_name(key_of(browser)), index_name(ann)):
        redis_client().expire(key, HOUR)
    response = browser.get("/get/x/")
    age = settings.SESSION_COOKIE_AGE
    assert response.cookies["sessionid"]["max-age"] == age
    assert ages(store, ann) == pytest.approx((age, age), abs=60)


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_two_tabs_that_write_different_things_keep_both(
    ann: Any, sign_in: SignIn
) -> None:
    browser = sign_in(ann)
    browser.get("/set/one/1/")
    browser.get("/set/two/2/")
    assert browser.get("/get/one/").content == b"1"
    assert browser.get("/get/two/").content == b"2"


def test_a_tab_that_only_reads_does_not_undo_what_another_wrote(ann: Any) -> None:
    """It has loaded before the other saved, and is saved after it."""
    store = sign_in_store(ann)
    reading, writing = request_of(store).session, request_of(store).session
    writing["x"] = 1
    writing.save()
    reading.save()
    assert SessionStore(store.session_key)["x"] == 1


def test_a_change_inside_a_value_is_saved(ann: Any) -> None:
    """SESSION_SAVE_EVERY_REQUEST saves what does not look modified."""
    store = sign_in_store(ann)
    store["list"] = [1]
    store.save()
    other = request_of(store).session
    other["list"].append(2)
    other.modified = False
    other.save()
    assert SessionStore(store.session_key)["list"] == [1, 2]


# Several caches on one server.


def reversed_key(key: str, prefix: str, version: int) -> str:
    """Name keys the other way round."""
    return f"{version}|{key}|{prefix}"


@pytest.mark.parametrize(
    "changes",
    [
        {"KEY_PREFIX": "other:{x}*?[a]"},
        {"VERSION": 2},
        {"KEY_FUNCTION": "tests.test_lives.reversed_key", "KEY_PREFIX": "^-\\"},
    ],
    ids=["prefix", "version", "key function"],
)
def test_caches_on_one_server_do_not_mix(ann: Any, changes: dict[str, Any]) -> None:
    here = sign_in_store(ann)
    other = {**settings.CACHES["default"], **changes}
    with override_settings(
        CACHES={**settings.CACHES, "other": other}, SESSION_CACHE_ALIAS="other"
    ):
        there = sign_in_store(ann)
        assert SessionStore(here.session_key).load() == {}
        SessionStore.clear_expired()
        assert live_keys(ann, "other") == [there.session_key]
        dead = index_name("nobody", "other")
        redis_client("other").zadd(dead, {"dead": 1})
        SessionStore.clear_expired()
        assert not redis_client("other").exists(dead)
    assert live_keys(ann) == [here.session_key]


@pytest.mark.parametrize("user_id", ["1", "a:{b}%2F*?[c]", "ü☃ \\", "%41"])
def test_the_name_of_an_index_gives_the_user_back(user_id: str) -> None:
    keys = connection_for("default").keys
    name = keys.index(user_id).rpartition(":")[2]
    assert not set(name) & set(":{}*?[]\\ ")
    assert keys.user_id(keys.index(user_id)) == user_id


# What hardly ever happens.


def test_a_logout_follows_a_session_that_has_just_moved(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store.cycle_key()
    slow.session.flush()
    assert live_keys(ann) == []
    assert reasons(ann) == ["flushed"]


def test_an_age_beyond_all_measure_is_a_century(ann: Any) -> None:
    store = sign_in_store(ann)
    store.set_expiry(10**17)
    store.save()
    assert ages(store, ann)[0] == pytest.approx(100 * 365 * 86400, abs=60)


def test_a_login_whose_session_is_gone_by_then_takes_no_place(ann: Any) -> None:
    visitor = SessionStore()
    visitor["cart"] = "full"
    visitor.save()
    request = request_of(visitor)
    login(request, ann)
    SessionStore(request.session.session_key).delete()
    with pytest.raises(UpdateError):
        request.session.save()
    assert live_keys(ann) == []
    assert reasons(ann) == ["interrupted"]


def test_a_new_key_for_data_of_another_user_ends_the_session(
    ann: Any, bob: Any
) -> None:
    store = sign_in_store(ann)
    store[SESSION_KEY] = id_of(bob)
    store.cycle_key()
    store.save()
    assert live_keys(ann) == []
    assert live_keys(bob) == [store.session_key]


def test_a_slow_request_does_not_follow_to_what_it_cannot_read(ann: Any) -> None:
    store = sign_in_store(ann)
    slow = request_of(store)
    store.cycle_key()
    put_payload(store.session_key, b"no payload")
    slow.session.cycle_key()
    assert slow.session.is_empty()


def test_a_new_session_with_an_age_in_the_past_never_begins(ann: Any) -> None:
    store = SessionStore()
    store[SESSION_KEY] = id_of(ann)
    store.set_expiry(-1)
    store.save()
    assert live_keys(ann) == []
    with pytest.raises(UpdateError):
        store.save()
