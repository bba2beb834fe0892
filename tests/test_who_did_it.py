"""What signals tell of who and what is behind them: ``context``, and its ``by``."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.context import Context
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.sessions import UserSessions
from tests.asking import id_of, lose_payload
from tests.sessions import CHROME, FIREFOX, enter, ids, log_in, request_of
from tests.sessions import sign_in as sign_in_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.pages")]

Told = list[tuple[str, dict[str, Any]]]
SignIn = Callable[..., Client]


def contexts(told: Told, signal: str = "session_ended") -> list[tuple[Any, ...]]:
    """Return what was told each time: reason, address, user agent, and who."""
    found = [kwargs for name, kwargs in told if name == signal]
    return [
        (kwargs.get("reason"), context.ip, context.user_agent, context.by)
        for kwargs in found
        if (context := kwargs["context"]) is not None
    ]


def test_a_login_is_its_users(ann: Any, site: str, told: Told) -> None:
    log_in(Client(REMOTE_ADDR="192.0.2.7", headers={"user-agent": CHROME}), "ann", site)
    for signal in ("session_entering", "session_started"):
        assert contexts(told, signal) == [(None, "192.0.2.7", CHROME, id_of(ann))]


def test_a_logout_is_its_users_and_tells_where(
    ann: Any, sign_in: SignIn, site: str, told: Told
) -> None:
    browser = sign_in(ann)
    browser.get(
        f"{site}/logout/", headers={"user-agent": CHROME}, REMOTE_ADDR="192.0.2.7"
    )
    assert contexts(told) == [("logout", "192.0.2.7", CHROME, id_of(ann))]


def test_a_logout_of_nobody_is_nobodys(client: Client, site: str, told: Told) -> None:
    client.get("/set/x/1/")
    client.get(f"{site}/logout/")
    assert contexts(told) == []


def test_a_newer_login_of_the_user_evicts(ann: Any, told: Told) -> None:
    enter(ann)
    enter(ann, CHROME, "192.0.2.2")
    assert contexts(told) == [("evicted", "192.0.2.2", CHROME, id_of(ann))]


def test_a_limit_that_was_lowered_is_nobodys(ann: Any, told: Told) -> None:
    with override_settings(EXPIRE_MAX_USERS=2):
        enter(ann)
        request = request_of(enter(ann, CHROME))
    request.session["x"] = 1
    request.session.save()
    assert contexts(told) == [("evicted", None, None, None)]


def test_a_button_clicked_twice_is_its_users(ann: Any, told: Told) -> None:
    mark = {django_settings.CSRF_COOKIE_NAME: "drawn for this browser"}
    for _ in range(2):
        sign_in_store(ann, cookies=mark)
    assert contexts(told) == [("replaced", "127.0.0.1", "worker", id_of(ann))]


@override_settings(EXPIRE_POLICY="refuse")
def test_a_refused_login_is_its_users(ann: Any, told: Told) -> None:
    enter(ann)
    with pytest.raises(SessionLimitReached):
        enter(ann, CHROME, "192.0.2.2")
    ((_, refused),) = (each for each in told if each[0] == "session_refused")
    context = refused["context"]
    assert (context.ip, context.user_agent) == ("192.0.2.2", CHROME)
    assert context.by == refused["user_id"] == id_of(ann)
    assert context.limits.policy == "refuse"
    news = [refused[name] for name in ("concurrent", "new_device", "failures")]
    assert news == [True, True, 0]
    assert contexts(told) == [("refused", "192.0.2.2", CHROME, id_of(ann))]


@override_settings(EXPIRE_POLICY="refuse")
def test_a_refused_login_may_be_no_news(ann: Any, told: Told) -> None:
    enter(ann)
    with pytest.raises(SessionLimitReached):
        enter(ann)
    ((_, refused),) = (each for each in told if each[0] == "session_refused")
    assert (refused["concurrent"], refused["new_device"]) == (False, False)


def test_an_administrator_ends_the_sessions_of_another(
    ann: Any, bob: Any, sign_in: SignIn, site: str, told: Told
) -> None:
    administrator = sign_in(bob)
    store = enter(ann)
    assert administrator.get(f"{site}/end/ann/").content == b"1"
    assert contexts(told) == [("ended", None, None, id_of(bob))]
    assert {told[-1][1]["session_id"]} == ids(store)


def test_without_a_request_nobody_is_named(ann: Any, bob: Any, told: Told) -> None:
    enter(ann)
    UserSessions(ann).end_all()
    assert contexts(told) == [("ended", None, None, None)]


def test_who_knows_better_says_so(ann: Any, bob: Any, told: Told) -> None:
    """A token's user, or that of a task."""
    store = enter(ann)
    UserSessions(ann, by=bob).end(*ids(store))
    enter(ann)
    UserSessions.of_pk(ann.pk, by=id_of(bob)).end_all()
    assert contexts(told) == [("ended", None, None, id_of(bob))] * 2


def test_a_visitor_is_nobody(ann: Any, told: Told) -> None:
    enter(ann)
    Client().get("/end/ann/")
    assert contexts(told) == [("ended", None, None, None)]


def test_where_the_request_has_sessions_of_several_nobody_is_named(
    ann: Any, bob: Any, sign_in: SignIn, told: Told
) -> None:
    for browser in (Client(), sign_in(bob)):
        browser.get(f"/end/ann/{enter(ann).session_key}/")
    assert contexts(told) == [("ended", None, None, None)] * 2


def test_a_session_that_was_only_looked_at_does_not_count(
    ann: Any, bob: Any, sign_in: SignIn, told: Told
) -> None:
    sign_in(bob).get(f"/end-after/ann/{enter(ann).session_key}/")
    assert contexts(told) == [("ended", None, None, id_of(bob))]


@pytest.mark.parametrize("who", ["bob", "ann", ""])
def test_a_new_password_is_given_by_who_is_signed_in(
    ann: Any,
    bob: Any,
    sign_in: SignIn,
    site: str,
    told: Told,
    commits: Any,
    who: str,
    settings: Any,
) -> None:
    """By somebody else, by oneself on another device, and in a reset by mail."""
    settings.EXPIRE_MAX_USERS = 2
    enter(ann)
    users = {"ann": ann, "bob": bob}
    browser = sign_in(users[who]) if who else Client()
    with commits():
        browser.get(f"{site}/set-password/ann/")
    by = id_of(users[who]) if who else None
    assert contexts(told)[0] == ("password_changed", None, None, by)


def test_nobody_ends_what_is_found_gone(ann: Any, told: Told) -> None:
    store = enter(ann)
    loaded = SessionStore(store.session_key)
    loaded.load()
    lose_payload(store.session_key)
    loaded.remember_logout(Context("192.0.2.7", CHROME, id_of(ann)))
    loaded.flush()
    assert contexts(told) == [("expired", None, None, None)]


def test_a_login_without_a_request_is_nobodys(ann: Any, told: Told) -> None:
    store = SessionStore()
    store[SESSION_KEY] = id_of(ann)
    store.save()
    assert contexts(told, "session_started") == [(None, None, None, None)]


def test_another_user_in_the_same_browser(
    ann: Any, bob: Any, sign_in: SignIn, told: Told
) -> None:
    browser = sign_in(ann, headers={"user-agent": FIREFOX})
    log_in(browser, "bob")
    assert contexts(told) == [("flushed", None, None, None)]
