"""Notices on real pages: login pages, and requests that are under way at the end."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import update_session_auth_hash
from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from expire_sessions.backend import SessionStore
from expire_sessions.reasons import EndReason
from expire_sessions.sessions import UserSessions
from tests import pages
from tests.asking import live_keys, lose_payload
from tests.loops import on_a_loop
from tests.sessions import CHROME, enter, key_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

SignIn = Callable[..., Client]


ENGINES = ("evicted", "ended", "password_changed", "deactivated", "user_deleted")
"""What ends a session without its user having asked for it here."""


def end(how: str, user: Any, key: str) -> None:
    """End a session while a request of it is under way."""
    if how == "evicted":
        enter(user, CHROME)
    elif how == "deleted":
        SessionStore().delete(key)
    elif how == "lost":
        lose_payload(key)
    elif how == "logout":
        log_out(key)
    else:
        UserSessions(user).end_all(EndReason(how))


def log_out(key: str) -> None:
    """Log out, as another tab does."""
    other = SessionStore(key)
    other.load()
    other.remember_logout()
    other.flush()


def end_under_way(request: HttpRequest, how: str) -> HttpResponse:
    """Let the session end while the request is under way, then write to it."""
    user = request.user
    user.get_username()
    end(how, user, str(request.session.session_key))
    request.session["x"] = 1
    return HttpResponse("done")


def end_and_rotate(request: HttpRequest) -> HttpResponse:
    """Let it end before the password changes."""
    user = cast("Any", request.user)
    user.get_username()
    enter(user, CHROME)
    request.session.cycle_key()
    return HttpResponse("done")


def end_and_stay(request: HttpRequest) -> HttpResponse:
    """Do the same as Django does it."""
    user = cast("Any", request.user)
    user.get_username()
    enter(user, CHROME)
    update_session_auth_hash(request, user)
    return HttpResponse("done")


async def aend_under_way(request: HttpRequest, how: str) -> HttpResponse:
    """See ``end_under_way``."""
    user = await request.auser()
    await sync_to_async(end)(how, user, str(request.session.session_key))
    await request.session.aset("x", 1)
    return HttpResponse("done")


urlpatterns = [
    *pages.urlpatterns,
    path("under-way/<str:how>/", end_under_way),
    path("end-and-rotate/", end_and_rotate),
    path("end-and-stay/", end_and_stay),
    path("a/under-way/<str:how>/", aend_under_way),
]


def test_the_login_page_shows_it_after_a_redirect(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    enter(ann, CHROME)
    response = browser.get("/private/")
    assert response.status_code == 302
    page = browser.get(response.headers["Location"])
    assert "another device (Chrome on Windows)" in page.content.decode()
    again = browser.get(response.headers["Location"])
    assert "another device" not in again.content.decode()
    form = {"username": "ann", "password": "ann"}
    response = browser.post(response.headers["Location"], form)
    assert response.headers["Location"] == "/private/"
    assert browser.get("/private/").content == b"private"
    assert "another device" not in browser.get("/show/").content.decode()


def test_pages_that_do_not_show_it_leave_it(
    ann: Any, sign_in: SignIn, site: str
) -> None:
    browser = sign_in(ann)
    UserSessions(ann).end_all()
    for _ in range(3):
        assert who(browser, site) == ""
    assert b"from another device" in browser.get(f"{site}/show/").content
    assert browser.get(f"{site}/show/").content.strip() == b""


def test_who_sees_it_at_once_has_no_session_for_it(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    UserSessions(ann).end_all()
    assert b"(ended)" in browser.get("/show/").content
    assert key_of(browser) == ""


@pytest.mark.parametrize("how", ENGINES)
def test_a_request_under_way_is_answered_and_the_next_page_tells(
    ann: Any, sign_in: SignIn, site: str, how: str
) -> None:
    browser = sign_in(ann)
    key = key_of(browser)
    response = browser.get(f"{site}/under-way/{how}/")
    assert (response.status_code, response.content) == (200, b"done")
    assert not SessionStore().exists(key)
    assert key not in live_keys(ann)
    assert browser.get(f"{site}/show/").content.strip() != b""
    assert browser.get(f"{site}/get/x/").content == b"", "what it had set is dropped"
    assert browser.get(f"{site}/show/").content.strip() == b""


@pytest.mark.parametrize("how", ["logout", "deleted", "lost"])
def test_what_is_no_doing_of_the_engine_stays_as_in_django(
    ann: Any, sign_in: SignIn, site: str, how: str
) -> None:
    browser = sign_in(ann)
    key = key_of(browser)
    assert browser.get(f"{site}/under-way/{how}/").status_code == 400
    assert not SessionStore().exists(key)


@override_settings(EXPIRE_NOTICE_AGE=0)
def test_so_does_all_where_there_are_no_notices(ann: Any, sign_in: SignIn) -> None:
    assert sign_in(ann).get("/under-way/evicted/").status_code == 400


@override_settings(EXPIRE_IDLE_AGE=900, EXPIRE_ABSOLUTE_AGE=7200)
def test_sessions_with_ages_are_no_other(ann: Any, sign_in: SignIn, site: str) -> None:
    for how, status in (("evicted", 200), ("ended", 200), ("logout", 400)):
        assert sign_in(ann).get(f"{site}/under-way/{how}/").status_code == status
    assert sign_in(ann).get(f"{site}/under-way/lost/").status_code == 400


@pytest.mark.parametrize("page", ["end-and-rotate", "end-and-stay"])
def test_also_where_the_request_gives_the_session_a_new_key(
    ann: Any, sign_in: SignIn, page: str
) -> None:
    browser = sign_in(ann)
    response = browser.get(f"/{page}/")
    assert (response.status_code, response.content) == (200, b"done")
    assert who(browser) == ""
    assert b"(evicted)" in browser.get("/show/").content


def save_later(store: SessionStore) -> None:
    """Save what was loaded before."""
    store.save()


def asave_later(store: SessionStore) -> None:
    """Do it on an event loop."""
    on_a_loop(store.asave)


@pytest.mark.parametrize("save", [save_later, asave_later])
def test_the_store_itself_drops_what_it_has(
    ann: Any, save: Callable[[SessionStore], None]
) -> None:
    late = SessionStore(sign_in_store(ann).session_key)
    late["x"] = 1
    newest = sign_in_store(ann)
    save(late)
    save(late)
    assert live_keys(ann) == [newest.session_key]
    assert not SessionStore().exists(late.session_key)
    UserSessions(ann).end_all()
    gone = SessionStore(sign_in_store(ann).session_key)
    gone["x"] = 1
    log_out(str(gone.session_key))
    with pytest.raises(UpdateError):
        save(gone)
