"""The login that waits for a choice: usable once, for minutes, by nobody else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client, override_settings

from expire_sessions import views
from expire_sessions.backend import SessionStore
from expire_sessions.pending import PENDING, PENDING_AGE
from expire_sessions.signals import session_ended
from tests.asking import redis_client
from tests.choosing import (
    CHOOSE,
    asking,
    data_of,
    offered,
    store_of,
    try_login,
    waiting,
    with_the_cookies_of,
)
from tests.loops import on_a_loop
from tests.sessions import ids, key_of, live_ids, sign_in, who

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ask() -> Iterator[None]:
    """Let the project ask."""
    with asking():
        yield


def assert_it_is_over(browser: Client) -> None:
    """See that a choice signs nobody in."""
    for response in (browser.get(CHOOSE), browser.post(CHOOSE, {"all": ""})):
        assert response.status_code == 400
        assert "took too long" in response.text
        assert 'href="/accounts/login/"' in response.text
    assert who(browser) == ""


def test_without_one_there_is_nothing_to_choose(ann: Any) -> None:
    first = sign_in(ann)
    assert_it_is_over(Client())
    assert live_ids(ann) == ids(first)


def test_who_is_signed_in_goes_on(ann: Any) -> None:
    browser = Client()
    try_login(browser)
    assert browser.get(CHOOSE).headers["Location"] == "/accounts/profile/"


def test_it_is_used_once(ann: Any) -> None:
    sign_in(ann)
    browser = waiting()
    replayed = with_the_cookies_of(browser)
    browser.post(CHOOSE, {"all": ""})
    assert_it_is_over(replayed)
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))
    assert PENDING not in data_of(browser)


def test_it_is_used_once_by_two_tabs_at_once(ann: Any, handle: Any) -> None:
    """The second tab comes while the first is between its look and its login."""
    sign_in(ann)
    tabs = [waiting()]
    tabs.append(with_the_cookies_of(tabs[0]))
    late: list[Any] = []

    def come_between(**kwargs: object) -> None:
        if len(tabs) == 2:
            late.append(tabs.pop().post(CHOOSE, {"all": ""}))

    handle(come_between)
    lost = tabs[0].post(CHOOSE, {"all": ""})
    assert late[0].headers["Location"] == "/accounts/profile/"
    assert (lost.status_code, lost.headers["Location"]) == (302, CHOOSE)
    assert "sessionid" not in lost.cookies, "the browser keeps that of the faster one"
    assert len(live_ids(ann)) == 1
    assert late[0].cookies["sessionid"].value in str(redis_client().keys())


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_of_many_that_have_loaded_it_one_has_it(ann: Any, colour: str) -> None:
    sign_in(ann)
    browser = waiting()
    first, second = store_of(browser), store_of(browser)

    async def claims() -> list[bool]:
        return [await first.aclaim(), await second.aclaim()]

    if colour == "sync":
        assert [first.claim(), second.claim()] == [True, False]
    else:
        assert on_a_loop(claims) == [True, False]
    assert first.session_key != second.session_key == key_of(browser)
    assert (first.modified, second.modified) == (True, False)
    first.save()
    assert PENDING in SessionStore(first.session_key)
    assert not SessionStore().exists(key_of(browser))


def test_it_is_used_up_also_where_the_project_refuses(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a listener of ``user_logged_in`` that raises."""
    sign_in(ann)
    browser = waiting()

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionDenied

    with monkeypatch.context() as patch:
        patch.setattr(views, "login", refuse)
        assert browser.post(CHOOSE, {"all": ""}).status_code == 403
    assert_it_is_over(browser)


def test_who_cancels_leaves_nothing(ann: Any) -> None:
    first = sign_in(ann)
    browser = Client()
    browser.get("/set/basket/two/")
    browser.post("/accounts/login/?next=/x/", {"username": "ann", "password": "ann"})
    late = store_of(browser)
    replayed = with_the_cookies_of(browser)
    response = browser.post(CHOOSE, {"cancel": "", "session": [*ids(first)]})
    assert response.headers["Location"] == "/accounts/login/?next=/x/"
    assert data_of(browser) == {"basket": "two"}
    assert not SessionStore().exists(late.session_key)
    assert_it_is_over(browser)
    assert_it_is_over(replayed)
    assert live_ids(ann) == ids(first)


def test_who_cancels_too_late_cancels_nothing(ann: Any, handle: Any) -> None:
    sign_in(ann)
    browser = waiting()
    tab = with_the_cookies_of(browser)
    browser.post(CHOOSE, {"all": ""})
    assert tab.post(CHOOSE, {"cancel": ""}).status_code == 400
    assert who(browser) == "ann"


def move_back(browser: Client, seconds: int) -> None:
    """Let a login wait since so many seconds."""
    store = store_of(browser)
    store[PENDING] = {
        **store[PENDING],
        "asked": store[PENDING]["asked"] - seconds,
    }
    store.save()


def test_it_is_void_after_minutes(ann: Any) -> None:
    first = sign_in(ann)
    browser = waiting()
    move_back(browser, PENDING_AGE - 60)
    assert browser.get(CHOOSE).status_code == 200
    move_back(browser, 61)
    assert_it_is_over(browser)
    assert live_ids(ann) == ids(first)


def set_password(user: Any) -> None:
    user.set_password("another")
    user.save()


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


CHANGES: dict[str, Callable[[Any], object]] = {
    "a new password": set_password,
    "deactivated": deactivate,
    "deleted": lambda user: user.delete(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_the_account_voids_it(ann: Any, change: str) -> None:
    sign_in(ann)
    browser = waiting()
    CHANGES[change](ann)
    assert_it_is_over(browser)


def test_a_backend_that_is_no_more_voids_it(ann: Any) -> None:
    sign_in(ann)
    browser = waiting()
    with override_settings(AUTHENTICATION_BACKENDS=["tests.gone.Backend"]):
        assert_it_is_over(browser)


@pytest.mark.parametrize("found", [{}, None, 1, {"user_id": "1"}, []])
def test_what_is_none_is_none(ann: Any, found: object) -> None:
    sign_in(ann)
    browser = waiting()
    store = store_of(browser)
    store[PENDING] = found
    store.save()
    assert_it_is_over(browser)


def test_an_id_of_another_user_model_is_nobody(ann: Any) -> None:
    sign_in(ann)
    browser = waiting()
    store = store_of(browser)
    store[PENDING] = {**store[PENDING], "user_id": "no number"}
    store.save()
    assert_it_is_over(browser)


def test_a_logout_takes_it_away(ann: Any) -> None:
    sign_in(ann)
    browser = waiting()
    browser.get("/logout/")
    assert_it_is_over(browser)


def test_a_login_in_the_same_browser_takes_its_place(ann: Any, bob: Any) -> None:
    sign_in(ann)
    browser = waiting()
    try_login(browser, "bob")
    assert who(browser) == "bob"
    assert PENDING not in data_of(browser)
    browser.get("/logout/")
    assert_it_is_over(browser)


def test_of_two_that_wait_in_one_browser_the_second_does(ann: Any, bob: Any) -> None:
    first, _ = sign_in(ann), sign_in(bob)
    browser = waiting("ann")
    try_login(browser, "bob")
    browser.post(CHOOSE, {"all": ""})
    assert who(browser) == "bob"
    assert live_ids(ann) == ids(first)


def test_nothing_of_the_refused_login_is_in_it(ann: Any) -> None:
    """The last access neither: it is for who is signed in."""
    sign_in(ann)
    browser = waiting()
    assert [*data_of(browser)] == [PENDING]
    assert SessionStore(key_of(browser)).last_access is None
    browser.post(CHOOSE, {"all": ""})
    assert SessionStore(key_of(browser)).last_access is not None


def test_who_was_faster_has_the_place(ann: Any) -> None:
    """Somebody signs in between the end of the chosen session and the login."""
    first = sign_in(ann)
    browser = waiting()
    asked = data_of(browser)[PENDING]
    faster: list[SessionStore] = []

    def come_between(**kwargs: object) -> None:
        if not faster:
            faster.append(sign_in(ann))

    session_ended.connect(come_between)
    try:
        page = browser.post(CHOOSE, {"session": [*ids(first)]})
    finally:
        session_ended.disconnect(come_between)
    assert "Another device was faster" in page.text
    assert {*offered(page)} == ids(*faster) == live_ids(ann)
    assert who(browser) == ""
    assert data_of(browser) == {PENDING: asked}, "it waits no longer than before"
    browser.post(CHOOSE, {"session": offered(page)})
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))
    assert who(browser) == "ann"


def test_a_second_click_leaves_the_new_cookie_alone(ann: Any) -> None:
    """It comes with the cookie from before the first, which Django would delete."""
    sign_in(ann)
    browser = waiting()
    twin = Client()
    twin.cookies["sessionid"] = key_of(browser)
    assert browser.post(CHOOSE, {"all": ""}).status_code == 302
    late = twin.post(CHOOSE, {"all": ""})
    assert "sessionid" not in late.cookies
    assert who(browser) == "ann"
