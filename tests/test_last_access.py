"""When and from where an account was last signed in to: told to its next login."""

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import login
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.cache import SessionStore as OtherStore
from django.db import connection
from django.db.utils import OperationalError
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions.access import LastAccess
from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from tests.asking import lose_payload
from tests.loops import on_a_loop
from tests.sessions import key_of, log_in, make_older, request_of, rows_of
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def last_access(browser: Client) -> LastAccess | None:
    """Return what the browser's session tells."""
    return SessionStore(key_of(browser)).last_access


def shown(store: Any) -> str:
    """Return what a page shows of it."""
    page = Template(
        "{% load expire_sessions %}{% last_access as access %}"
        "{% if access %}{{ access.device }}, {{ access.failures }} failed{% endif %}"
    )
    request = HttpRequest()
    request.session = store
    return page.render(Context({"request": request}))


def test_the_first_login_has_none(ann: Any, sign_in: SignIn) -> None:
    assert last_access(sign_in(ann)) is None


def test_a_login_is_told_of_the_one_before(ann: Any, site: str) -> None:
    log_in(Client(REMOTE_ADDR="192.0.2.1", headers={"user-agent": FIREFOX}), "ann")
    make_older()
    browser = Client()
    log_in(browser, "ann", site)
    (when,) = LoggedSession.objects.ended().values_list("date_logged", flat=True)
    expected = LastAccess(when=when, ip="192.0.2.1", user_agent=FIREFOX, failures=0)
    assert last_access(browser) == expected
    assert expected.device == "Firefox on Linux"


@pytest.mark.django_db(transaction=True)
def test_the_async_method_tells_the_same(ann: Any) -> None:
    sign_in_store(ann)
    key = sign_in_store(ann).session_key
    expected = SessionStore(key).last_access
    assert expected is not None
    assert on_a_loop(lambda: SessionStore(key).alast_access()) == expected


def test_it_is_told_as_long_as_the_session_lasts(ann: Any, sign_in: SignIn) -> None:
    """Also after a new password, and by a session that signs in again."""
    sign_in(ann)
    browser = sign_in(ann)
    before = last_access(browser)
    assert before is not None
    browser.get("/password/", {"password": "ann"})
    assert last_access(browser) == before
    log_in(browser, "ann")
    again = last_access(browser)
    assert again is not None
    assert again.when > before.when


@pytest.mark.parametrize("reason", ["interrupted", "lost", "refused"])
def test_a_login_that_had_no_place_is_no_access(ann: Any, reason: str) -> None:
    (taken,) = rows_of(ann, 1, user_agent="taken")
    rows_of_others = LoggedSession.objects.bulk_create(
        LoggedSession(user=ann, session_id=name, end_reason=reason)
        for name in ("a", "b")
    )
    LoggedSession.objects.filter(pk__in=[row.pk for row in rows_of_others]).update(
        ended_at=timezone.now()
    )
    access = sign_in_store(ann).last_access
    assert access is not None
    assert access.user_agent == taken.user_agent


def test_another_user_is_told_of_the_own_one(
    ann: Any, bob: Any, sign_in: SignIn
) -> None:
    sign_in(ann), sign_in(bob, headers={"user-agent": "Bob's"})
    browser = sign_in(ann)
    assert last_access(browser) is not None
    log_in(browser, "bob")
    access = last_access(browser)
    assert access is not None
    assert access.user_agent == "Bob's"
    browser.get("/logout/")
    assert SessionStore().last_access is None


@override_settings(EXPIRE_LOG_LIMIT=0)
def test_a_history_that_keeps_nothing_tells_nothing(ann: Any, sign_in: SignIn) -> None:
    sign_in(ann).get("/logout/")
    assert last_access(sign_in(ann)) is None


def test_a_history_that_does_not_answer_leaves_nothing_of_an_earlier_login(
    ann: Any, sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    sign_in(ann)
    browser = sign_in(ann)
    assert last_access(browser) is not None

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "expire_sessions" in sql:
            raise OperationalError("gone away")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        log_in(browser, "ann")
    assert last_access(browser) is None
    assert "_look_back" in caplog.text


def test_reading_makes_no_query_and_saves_nothing(
    ann: Any, django_assert_num_queries: Any
) -> None:
    sign_in_store(ann)
    store = SessionStore(sign_in_store(ann).session_key)
    with django_assert_num_queries(0):
        assert store.last_access is not None
        assert shown(store)
    assert not store.modified


def test_it_is_there_where_the_session_is_saved_within_the_login(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in_store(ann)
    remember = SessionStore.remember_login

    def remember_and_save(self: SessionStore, *args: Any) -> None:
        remember(self, *args)
        self.save()

    monkeypatch.setattr(SessionStore, "remember_login", remember_and_save)
    request = HttpRequest()
    request.session = SessionStore()
    login(request, ann)
    assert SessionStore(request.session.session_key).last_access is not None


def test_a_session_without_it_in_its_own_form_tells_nothing() -> None:
    store = SessionStore()
    for data in (None, 1, "x", {}, {"when": "now"}, {"when": 1}):
        store["_expire_last_access"] = data
        assert store.last_access is None


def test_a_time_without_a_zone_stays_one() -> None:
    when = datetime.datetime(2026, 11, 24, 12, 0, 0, 5)  # noqa: DTZ001 - USE_TZ is off
    access = LastAccess(when=when, ip=None, user_agent="", failures=3, seen=True)
    assert LastAccess.from_data(access.as_data()) == access


def test_a_page_shows_it_until_the_person_has_seen_it(ann: Any) -> None:
    sign_in_store(ann)
    key = sign_in_store(ann).session_key
    for _ in range(2):  # a page that was shown may still not have been read
        assert shown(SessionStore(key)) == "worker, 0 failed"
    store = SessionStore(key)
    store.hide_last_access()
    store.save()
    assert shown(SessionStore(key)) == ""
    seen = SessionStore(key).last_access
    assert seen is not None
    assert seen.seen


@pytest.mark.django_db(transaction=True)
def test_the_async_way_to_hide_it(ann: Any) -> None:
    sign_in_store(ann)
    key = sign_in_store(ann).session_key

    async def hide() -> bool:
        store = SessionStore(key)
        await store.ahide_last_access()
        await store.asave()
        store = SessionStore(key)
        await store.ahide_last_access()
        return store.modified

    assert on_a_loop(hide) is False, "it was hidden already"
    assert shown(SessionStore(key)) == ""


def test_hiding_what_is_not_there_changes_nothing(ann: Any) -> None:
    store = SessionStore(sign_in_store(ann).session_key)
    store.hide_last_access()
    assert not store.modified


@pytest.mark.parametrize("context", [{}, {"request": HttpRequest()}])
def test_a_page_without_a_session_shows_nothing(context: dict[str, Any]) -> None:
    page = Template("{% load expire_sessions %}{% last_access as a %}{{ a }}")
    assert page.render(Context(context)) == "None"


def test_a_session_of_another_engine_shows_nothing() -> None:
    assert shown(OtherStore()) == ""


def test_a_login_that_was_interrupted_is_not_told_of(ann: Any) -> None:
    sign_in_store(ann)
    visitor = SessionStore()
    visitor["cart"] = "full"
    visitor.save()
    request = request_of(visitor)
    request.META = {"HTTP_USER_AGENT": "interrupted"}
    login(request, ann)
    lose_payload(request.session.session_key)
    with pytest.raises(UpdateError):
        request.session.save()
    access = sign_in_store(ann).last_access
    assert access is not None
    assert access.user_agent == "worker"
