"""Why a session has ended: told to the browser that still has its cookie, once."""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore as OtherStore
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, override_settings
from django.utils import timezone, translation

from expire_sessions.backend import SessionStore
from expire_sessions.clock import time_of
from expire_sessions.context_processors import session_notice
from expire_sessions.notices import TEXTS, Notice
from expire_sessions.protocol.session_keys import new_session_key, session_id
from expire_sessions.sessions import UserSessions
from tests.asking import lose_payload, redis_client
from tests.ends import ENDS
from tests.loops import server_loop
from tests.passing import Passing, passing_time
from tests.sessions import CHROME, enter, key_of
from tests.sessions import sign_in as sign_in_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.pages")]

SignIn = Callable[..., Client]

TOLD = (
    *("evicted", "ended", "password_changed", "deactivated", "user_deleted", "deleted"),
    "replaced",
)
"""Reasons with which somebody ends a session."""


@pytest.fixture(params=["sync", "async"])
def notice_at(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[str | None], Notice | None]]:
    """Look with a cookie, as the next request does."""
    if request.param == "sync":
        yield lambda key: SessionStore(key).notice
    else:
        with server_loop() as loop:
            yield lambda key: loop(SessionStore(key).anotice())


@pytest.fixture
def later() -> Iterator[Passing]:
    """Let time pass."""
    with passing_time() as passing:
        yield passing


def words() -> dict[str, bytes]:
    """Return what Redis keeps beside payloads and indexes for who comes back."""
    names = redis_client().keys("*life*")
    return {name.decode(): redis_client().get(name) for name in names}


def twice(browser: Client, ann: Any) -> str:
    """Sign in twice with one page; return the key of the first."""
    mark = {django_settings.CSRF_COOKIE_NAME: "drawn for this browser"}
    key = str(sign_in_store(ann, cookies=mark).session_key)
    sign_in_store(ann, cookies=mark)
    return key


@pytest.mark.parametrize("reason", TOLD)
def test_each_end_is_told_once(
    ann: Any,
    sign_in: SignIn,
    reason: str,
    notice_at: Callable[[str | None], Notice | None],
) -> None:
    browser = sign_in(ann)
    key = key_of(browser)
    if reason == "replaced":
        key = twice(browser, ann)
    else:
        dict(ENDS)[reason](browser, ann)
    notice = notice_at(key)
    assert notice is not None
    assert notice.reason == reason
    assert abs(timezone.now() - notice.when) < datetime.timedelta(minutes=1)
    assert notice.by == ("worker" if reason == "evicted" else "")
    assert notice_at(key) is None


AGES = {"EXPIRE_IDLE_AGE": 900, "EXPIRE_ABSOLUTE_AGE": 7200, "SESSION_COOKIE_AGE": 3600}


@pytest.mark.parametrize(
    "reason,ages",
    [
        ("idle", {}),
        ("absolute", {"EXPIRE_IDLE_AGE": None, "SESSION_COOKIE_AGE": 9000}),
        ("expired", {"EXPIRE_IDLE_AGE": None}),
    ],
)
def test_an_age_that_has_passed_is_told_once(
    ann: Any,
    later: Passing,
    reason: str,
    ages: dict[str, Any],
    notice_at: Callable[[str | None], Notice | None],
) -> None:
    with override_settings(**{**AGES, **ages}):
        key = enter(ann).session_key
        later(8000, key)
        notice = notice_at(key)
        assert notice is not None
        assert (notice.reason, notice.by) == (reason, "")
        assert notice.when < timezone.now()
        assert notice_at(key) is None


def test_ages_that_have_not_passed_ended_nothing(ann: Any) -> None:
    """Redis has lost it: nobody knows why."""
    with override_settings(**AGES):
        store = enter(ann)
        lose_payload(store.session_key)
        assert SessionStore(store.session_key).notice is None


@pytest.mark.parametrize("user_agent,by", [(CHROME, "Chrome on Windows"), ("", "")])
def test_an_eviction_names_the_device_and_no_address(
    ann: Any, user_agent: str, by: str
) -> None:
    store = enter(ann)
    newer = enter(ann, user_agent, "203.0.113.77")
    (word,) = words().values()
    for secret in ("203.0.113.77", "192.0.2.1", newer.session_key, store.session_key):
        assert str(secret).encode() not in word
    carried = SessionStore(store.session_key)
    carried.get("x")
    carried.save()
    data = repr(dict(SessionStore(carried.session_key).items()))
    for secret in ("203.0.113.77", "192.0.2.1", newer.session_key, store.session_key):
        assert str(secret) not in data
    notice = carried.notice
    assert notice is not None
    assert notice.by == by


def test_a_limit_that_was_lowered_names_no_device(ann: Any, settings: Any) -> None:
    settings.EXPIRE_MAX_USERS = 2
    store, newer = enter(ann), enter(ann, CHROME)
    settings.EXPIRE_MAX_USERS = 1
    newer["x"] = 1
    newer.save()
    notice = SessionStore(store.session_key).notice
    assert notice is not None
    assert (notice.reason, notice.by) == ("evicted", "")


@pytest.mark.parametrize("guess", ["another", "id", "part", "more", "case"])
def test_who_guesses_learns_nothing(ann: Any, client: Client, guess: str) -> None:
    key = str(enter(ann).session_key)
    enter(ann)
    client.cookies["sessionid"] = {
        "another": new_session_key(),
        "id": session_id(key),
        "part": key[:-1],
        "more": f"{key}x",
        "case": key.upper(),
    }[guess]
    assert client.get("/show/").content.strip() == b""
    client.cookies["sessionid"] = key
    assert b"(evicted)" in client.get("/show/").content


def test_a_live_session_has_none(ann: Any, sign_in: SignIn, site: str) -> None:
    assert sign_in(ann).get(f"{site}/show/").content.strip() == b""


def test_an_own_logout_leaves_none(ann: Any, sign_in: SignIn, site: str) -> None:
    browser = sign_in(ann)
    key = key_of(browser)
    browser.get(f"{site}/logout/")
    assert words() == {}
    assert SessionStore(key).notice is None


def test_an_anonymous_session_leaves_none() -> None:
    for end in ("delete", "flush", "delete by key"):
        store = SessionStore()
        store["basket"] = 1
        store.save()
        key = store.session_key
        if end == "delete by key":
            SessionStore().delete(key)
        else:
            getattr(store, end)()
        assert words() == {}, end
        assert SessionStore(key).notice is None


def test_it_waits_for_its_age(ann: Any) -> None:
    for age in (86_400, 600):
        with override_settings(EXPIRE_NOTICE_AGE=age):
            enter(ann), enter(ann)
            UserSessions(ann).end_all()
            ages = [redis_client().ttl(name) for name in words()]
            assert len(ages) == 2
            assert all(age - 10 < found <= age for found in ages)
            redis_client().flushall()


@override_settings(EXPIRE_NOTICE_AGE=0)
def test_without_an_age_nothing_is_left(ann: Any) -> None:
    stores = [enter(ann) for _ in range(3)]
    UserSessions(ann).end_all()
    SessionStore().delete(enter(ann).session_key)
    assert words() == {}
    assert [SessionStore(store.session_key).notice for store in stores] == [None] * 3


@override_settings(EXPIRE_NOTICE_AGE=0, EXPIRE_IDLE_AGE=900)
def test_also_of_sessions_with_ages(ann: Any) -> None:
    key = enter(ann).session_key
    enter(ann)
    assert SessionStore(key).notice is None
    UserSessions(ann).end_all()
    assert words() == {}


def test_a_session_that_moved_is_known_by_its_new_key(ann: Any) -> None:
    store = enter(ann)
    key = store.session_key
    store.cycle_key()
    UserSessions(ann).end(session_id(str(key)))
    assert SessionStore(key).notice is None
    assert SessionStore(store.session_key).notice is not None


# Texts.


def test_every_reason_has_a_text_for_people() -> None:
    when = time_of(0)
    texts = {reason: str(Notice(reason, when)) for reason in (*TEXTS, "deleted", "new")}
    assert texts["deleted"] == texts["new"]
    for reason, text in texts.items():
        assert text.endswith("."), reason
        assert text.count(". ") <= 1, "two sentences"
        assert "session" not in text
    named = str(Notice("evicted", when, "Firefox on Windows"))
    assert named == (
        "You signed in on another device (Firefox on Windows), so this one was signed"
        " out. If that was not you, change your password."
    )


def test_it_is_translated_when_it_is_shown() -> None:
    notice = Notice("password_changed", time_of(0))
    with translation.override(None), pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.utils.translation._trans.gettext", str.upper)
        assert str(notice) == str(notice).upper()


# Templates.


def shown(store: Any, template: str) -> str:
    """Return what a page shows, with the context processor."""
    request = HttpRequest()
    request.session = store
    page = Template("{% load expire_sessions %}" + template)
    return page.render(Context({"request": request, **session_notice(request)}))


TAG = "{% session_notice as notice %}{% if notice %}{{ notice }}{% endif %}"
PROCESSOR = "{% if session_notice %}{{ session_notice }}{% endif %}"


@pytest.mark.parametrize("template", [TAG, PROCESSOR])
def test_a_page_shows_it(ann: Any, template: str) -> None:
    key = enter(ann).session_key
    assert shown(SessionStore(key), template) == ""
    enter(ann, "<script>alert(1)</script>")
    text = shown(SessionStore(key), template)
    assert "another device (&lt;script&gt;" in text
    assert shown(SessionStore(key), template) == ""
    for other in (SessionStore(), OtherStore()):
        assert shown(other, template) == ""


def test_the_tag_and_the_processor_show_the_same_on_one_page(ann: Any) -> None:
    key = enter(ann).session_key
    enter(ann)
    first, second = shown(SessionStore(key), f"{TAG}|{PROCESSOR}").split("|")
    assert first == second != ""


def test_the_tag_needs_no_request() -> None:
    page = Template(
        "{% load expire_sessions %}{% session_notice as notice %}{{ notice }}"
    )
    assert page.render(Context()) == "None"


def test_a_page_that_does_not_look_leaves_it(ann: Any) -> None:
    key = enter(ann).session_key
    enter(ann)
    carried = SessionStore(key)
    assert shown(carried, "") == ""
    assert not carried.accessed
    assert carried.get(SESSION_KEY) is None, "as a page that asks who it is"
    carried.save()
    assert SessionStore(carried.session_key).notice is not None


def test_what_is_no_notice_shows_nothing() -> None:
    for data in (1, [], ["idle"], {"reason": "idle"}):
        store = SessionStore()
        store["_expire_notice"] = data
        assert store.notice is None
