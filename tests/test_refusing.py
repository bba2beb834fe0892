"""The policy "refuse": a login that finds no free place leaves nothing behind."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth import alogin, login
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import UpdateError
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SessionLimitReached, StoreUnavailable
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from tests.asking import add_members, lose_payload, members, redis_client
from tests.loops import server_loop
from tests.sessions import ids, key_of, live_ids, log_in, reasons
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db(transaction=True)  # async is another thread

Login = Callable[[HttpRequest, Any], None]


@pytest.fixture(autouse=True)
def refuse() -> Iterator[None]:
    """Let the one place of each user be refused."""
    with override_settings(EXPIRE_POLICY="refuse"):
        yield


@pytest.fixture(params=["sync", "async"])
def attempt(request: pytest.FixtureRequest) -> Iterator[Login]:
    """Call login() as a view does."""
    if request.param == "sync":
        yield login
        return
    with server_loop() as loop:
        yield lambda request, user: loop(alogin(request, user))


async def nobody() -> AnonymousUser:
    return AnonymousUser()


def request_with(**data: Any) -> Any:
    """Return a request whose anonymous session holds something."""
    request = HttpRequest()
    request.session = SessionStore()
    request.user = AnonymousUser()
    request.auser = nobody
    request.session.update(data)
    if data:
        request.session.save()
    return request


def test_the_first_has_its_place_inside_of_login(ann: Any, attempt: Login) -> None:
    request = request_with()
    attempt(request, ann)
    assert live_ids(ann) == ids(request.session)
    request.session.save()
    assert live_ids(ann) == ids(request.session)
    assert reasons(ann) == [""]


def test_nothing_stays_of_a_refused_login(ann: Any, attempt: Login, told: Any) -> None:
    first = sign_in_store(ann)
    keys = redis_client().dbsize()
    told.clear()
    request = request_with()
    with pytest.raises(SessionLimitReached):
        attempt(request, ann)
    assert live_ids(ann) == ids(first)
    assert members(ann) == [first.session_key]
    assert not request.user.is_authenticated
    assert not asyncio.run(request.auser()).is_authenticated
    assert dict(request.session.items()) == {}
    assert request.session.is_empty()
    assert redis_client().dbsize() == keys
    names = [name for name, _ in told]
    assert "session_refused" in names
    assert "session_started" not in names
    assert reasons(ann) == ["", "refused"]
    assert LoggedSession.objects.active().count() == 1


def test_what_the_visitor_had_stays(ann: Any, attempt: Login) -> None:
    sign_in_store(ann)
    request = request_with(basket=[1, 2])
    with pytest.raises(SessionLimitReached):
        attempt(request, ann)
    request.session.save()
    assert dict(SessionStore(request.session.session_key).items()) == {"basket": [1, 2]}
    assert len(live_ids(ann)) == 1


def test_the_session_that_holds_the_place_goes_on(ann: Any, attempt: Login) -> None:
    first = sign_in_store(ann)
    with pytest.raises(SessionLimitReached):
        attempt(request_with(), ann)
    first["x"] = 1
    first.save()
    assert SessionStore(first.session_key)["x"] == 1


@pytest.mark.parametrize("free", ["expired", "signed out", "ended"])
def test_a_place_is_free_where_no_session_is_live(
    ann: Any, attempt: Login, free: str
) -> None:
    first = sign_in_store(ann)
    if free == "expired":
        lose_payload(first.session_key)
    elif free == "signed out":
        first.flush()
    else:
        UserSessions(ann).end_all()
    request = request_with()
    attempt(request, ann)
    assert live_ids(ann) == ids(request.session)


@override_settings(EXPIRE_MAX_USERS=3)
def test_of_many_dead_ones_none_blocks(ann: Any, attempt: Login) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        stores = [sign_in_store(ann) for _ in range(12)]
    lose_payload(*(store.session_key for store in stores[:10]))
    attempt(request_with(), ann)
    with pytest.raises(SessionLimitReached):
        attempt(request_with(), ann)
    assert len(live_ids(ann)) == 3


def test_it_reads_as_no_wrong_password(ann: Any) -> None:
    sign_in_store(ann)
    with pytest.raises(PermissionDenied) as caught:
        sign_in_store(ann)
    assert "details are right" in str(caught.value)
    assert "Sign out on one of them" in str(caught.value)
    assert SessionLimitReached.code == "session_limit_reached"


def test_a_handler_chooses_the_policy_of_a_user(
    ann: Any, bob: Any, handle: Any
) -> None:
    def patient(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings["policy"] = "refuse" if sender.pk == ann.pk else "evict"

    handle(patient)
    with override_settings(EXPIRE_POLICY="evict"):
        for user in (ann, bob):
            sign_in_store(user)
        with pytest.raises(SessionLimitReached):
            sign_in_store(ann)
        newest = sign_in_store(bob)
        assert live_ids(bob) == ids(newest)


def test_over_a_limit_that_was_lowered_nobody_gets_in(ann: Any) -> None:
    """And those that are too many end, as ever, with their next request."""
    with override_settings(EXPIRE_MAX_USERS=3):
        stores = [sign_in_store(ann) for _ in range(3)]
    with pytest.raises(SessionLimitReached):
        sign_in_store(ann)
    stores[2]["x"] = 1
    stores[2].save()
    assert live_ids(ann) == ids(stores[2])


# In a browser.


def test_a_page_says_so(ann: Any, site: str) -> None:
    log_in(Client(), "ann", site)
    second = Client()
    response = second.get(f"{site}/login/", {"username": "ann", "password": "ann"})
    assert response.status_code == 403
    assert second.get(f"{site}/whoami/").content == b""
    assert len(live_ids(ann)) == 1


def test_the_same_browser_may_sign_in_again(ann: Any, site: str) -> None:
    browser = Client()
    log_in(browser, "ann", site)
    log_in(browser, "ann", site)
    assert browser.get(f"{site}/whoami/").content == b"ann"
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))


def test_a_button_that_is_clicked_twice_is_one_session(ann: Any) -> None:
    """Two requests with the same cookies: the answer to the first came too late."""
    cookies = {"csrftoken": "drawn for this browser"}
    first = sign_in_store(ann, cookies)
    second = sign_in_store(ann, cookies)
    assert live_ids(ann) == ids(second)
    assert reasons(ann) == ["replaced", ""]
    assert SessionStore(first.session_key).notice is not None
    with pytest.raises(SessionLimitReached):
        sign_in_store(ann, {"csrftoken": "of another browser"})


def test_of_another_user_it_replaces_nobody(ann: Any, bob: Any) -> None:
    cookies = {"csrftoken": "drawn for this browser"}
    stores = [sign_in_store(ann, cookies), sign_in_store(bob, cookies)]
    assert [live_ids(ann), live_ids(bob)] == [ids(store) for store in stores]


def test_of_a_thousand_dead_ones_none_blocks(ann: Any) -> None:
    add_members(ann, {f"dead{n:05}": n for n in range(2100)})
    store = sign_in_store(ann)
    assert live_ids(ann) == ids(store)
    with pytest.raises(SessionLimitReached):
        sign_in_store(ann)


def test_a_request_that_fails_gives_its_place_back(ann: Any) -> None:
    """No browser will have the session, and the person tries again."""
    browser = Client(raise_request_exception=False)
    name = {"username": "ann", "password": "ann"}
    assert browser.get("/login-and-raise/", name).status_code == 500
    assert live_ids(ann) == set()
    assert browser.get("/login/", name).status_code == 200


def test_an_outage_signs_nobody_in(
    ann: Any, attempt: Login, admin: redis.Redis, no_retries: None
) -> None:
    admin.config_set("maxmemory", 1)
    request = request_with()
    with pytest.raises(StoreUnavailable):
        attempt(request, ann)
    assert not request.user.is_authenticated
    assert "_auth_user_id" not in request.session
    admin.config_set("maxmemory", 0)
    assert live_ids(ann) == set()


def test_the_answer_to_a_first_click_that_comes_late_is_not_taken(ann: Any) -> None:
    """It would put the cookie of the session that has ended over the other."""
    cookies = {"csrftoken": "drawn for this browser"}
    first = sign_in_store(ann, cookies)
    sign_in_store(ann, cookies)
    first["x"] = 1
    with pytest.raises(UpdateError):
        first.save()


def test_a_login_in_its_own_session_keeps_it_where_the_page_fails(ann: Any) -> None:
    """The browser has its cookie already."""
    browser = Client(raise_request_exception=False)
    log_in(browser, "ann")
    name = {"username": "ann", "password": "ann"}
    assert browser.get("/login-and-raise/", name).status_code == 500
    assert browser.get("/whoami/").content == b"ann"
