"""Signing in: from a visit, as another user, in the test clients, and in vain.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, login
from django.contrib.sessions.backends.base import UpdateError
from django.test import AsyncClient, Client

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from tests.asking import id_of, live_keys
from tests.sessions import key_of, log_in, reasons, request_of, who
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db


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
