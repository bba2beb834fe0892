"""Whatever a handler of expire_check does: nobody is let in or signed out by it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import InvalidLimits
from expire_sessions.limits import Answers, Limits
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import expire_check
from tests.loops import on_a_loop
from tests.sessions import ids, live_ids, sign_in

pytestmark = pytest.mark.django_db


def raising(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
    """Fail."""
    raise LookupError("no subscription")


def leaving(key: str, value: object) -> Callable[..., None]:
    """Return a handler that leaves this in the dictionary."""

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings[key] = value

    return handler


def removing(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
    """Leave nothing."""
    settings.clear()


HANDLERS: dict[str, Callable[..., None]] = {
    "raises": raising,
    "a negative number": leaving("max_users", -1),
    "a string": leaving("max_users", "3"),
    "a bool": leaving("max_users", value=True),
    "a fraction": leaving("max_users", 1.5),
    "nothing": removing,
    "a misspelt key": leaving("max_user", 3),
    "an unknown policy": leaving("policy", "postpone"),
    "a bad log limit": leaving("log_limit", "many"),
    "a bad age": leaving("idle_age", 0),
}


@pytest.fixture(params=HANDLERS)
def held(request: pytest.FixtureRequest, ann: Any) -> Iterator[list[SessionStore]]:
    """Ann's sessions from before her handler broke: one more than her limit."""
    with override_settings(EXPIRE_MAX_USERS=2):
        stores = [sign_in(ann), sign_in(ann)]
    handler = HANDLERS[request.param]
    expire_check.connect(handler)
    yield stores
    expire_check.disconnect(handler)


def test_a_broken_handler_lets_nobody_in_and_ends_nothing(
    ann: Any, held: list[SessionStore]
) -> None:
    with pytest.raises((InvalidLimits, LookupError)):
        sign_in(ann)
    assert live_ids(ann) == ids(*held)
    assert LoggedSession.objects.active().count() == LoggedSession.objects.count() == 2


@pytest.mark.parametrize("site", ["", "/a"])
@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_broken_handler_signs_nobody_out(
    ann: Any, held: list[SessionStore], site: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Client()
    browser.cookies["sessionid"] = held[0].session_key or ""
    assert browser.get(f"{site}/set/x/1/").status_code == 200
    assert browser.get(f"{site}/get/x/").content == b"1"
    assert browser.get(f"{site}/whoami/").content == b"ann"
    assert live_ids(ann) == ids(*held)
    errors = {r.getMessage() for r in caplog.records if r.name == "expire_sessions"}
    assert any("expire_check failed" in error for error in errors)


def test_a_broken_handler_is_a_server_error_at_the_login_page(
    held: list[SessionStore],
) -> None:
    browser = Client(raise_request_exception=False)
    response = browser.get("/login/", {"username": "ann", "password": "ann"})
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


def test_none_from_a_handler_is_no_limit(ann: Any, handle: Any) -> None:
    handler = leaving("max_users", None)
    handle(handler)
    for _ in range(3):
        sign_in(ann)
    assert len(UserSessions(ann).list()) == 3


@pytest.mark.django_db(transaction=True)
@override_settings(EXPIRE_MAX_USERS=2)
@pytest.mark.parametrize("site", ["", "/a"])
def test_a_handler_that_runs_out_of_items_is_a_failure_like_any_other(
    ann: Any, site: str, caplog: pytest.LogCaptureFixture, handle: Any
) -> None:
    """next() without a default raises what means another thing in a generator."""
    store, _ = sign_in(ann), sign_in(ann)

    def find(**kwargs: object) -> None:
        next(iter(()))

    async def save() -> None:
        await store.aset("x", 1)
        await asyncio.wait_for(store.asave(), 60)

    handle(find)
    if site:
        on_a_loop(save)
    else:
        store["x"] = 1
        store.save()
    assert "StopIteration" in caplog.text
    with pytest.raises(RuntimeError, match="StopIteration"):
        sign_in(ann)


@override_settings(EXPIRE_TOUCH_INTERVAL=60)
def test_an_answer_is_forgotten_when_a_setting_changes(ann: Any, handle: Any) -> None:
    def look(**kwargs: object) -> None:
        """Ask, and change nothing."""

    with override_settings(EXPIRE_MAX_USERS=0):
        first, second = sign_in(ann), sign_in(ann)
    handle(look)
    with override_settings(EXPIRE_MAX_USERS=0):
        second["x"] = 1
        second.save()
    with override_settings(EXPIRE_MAX_USERS=1):
        second.save()
    assert not SessionStore().exists(first.session_key)


def test_the_answer_of_one_handler_is_not_that_of_the_next() -> None:
    answers = Answers()

    def connect_another() -> None:
        def handler(**kwargs: object) -> None:
            """One of many, at whatever address the last one had."""

        expire_check.connect(handler, weak=False, dispatch_uid="one")

    connect_another()
    answers.add("1", Limits(max_users=0, log_limit=None))
    assert answers.get("1") is not None
    expire_check.disconnect(dispatch_uid="one")
    connect_another()
    try:
        assert answers.get("1") is None
    finally:
        expire_check.disconnect(dispatch_uid="one")
