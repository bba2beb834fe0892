"""A sign-in while the account is in use elsewhere, and one on a new device."""

from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions.access import Before, SignIn, news_of
from expire_sessions.backend import SessionStore
from expire_sessions.clients import device
from expire_sessions.context import Context
from tests.asking import add_members, id_of, lose_payload
from tests.sessions import CHROME, FIREFOX, enter, log_in

pytestmark = pytest.mark.django_db

Told = list[tuple[str, dict[str, Any]]]

NEWER = FIREFOX.replace("140", "141")


def news(told: Told) -> list[tuple[Any, Any]]:
    """Return what was told of each login: concurrent, and on a new device."""
    started = [kwargs for name, kwargs in told if name == "session_started"]
    return [(kwargs["concurrent"], kwargs["new_device"]) for kwargs in started]


@pytest.mark.parametrize("limit", [1, 2, 0])
@pytest.mark.parametrize(
    "place,expected",
    [
        ({}, (False, False)),
        ({"user_agent": NEWER}, (False, False)),
        ({"ip": "192.0.2.2"}, (True, False)),
        ({"user_agent": CHROME}, (True, True)),
    ],
    ids=["the same", "a new version", "another address", "another device"],
)
def test_a_login_is_compared_with_the_live_session(
    ann: Any, told: Told, limit: int, place: Any, expected: tuple[bool, bool]
) -> None:
    """Also with the one that it ends."""
    with override_settings(EXPIRE_MAX_USERS=limit):
        enter(ann)
        enter(ann, **place)
    assert news(told) == [(False, None), expected]


def test_it_is_told_in_both_colours(ann: Any, told: Told, site: str) -> None:
    enter(ann)
    log_in(Client(headers={"user-agent": CHROME}), "ann", site)
    assert news(told)[1:] == [(True, True)]


def test_a_session_that_has_ended_is_not_in_use(ann: Any, told: Told) -> None:
    enter(ann).flush()
    lose_payload(enter(ann).session_key)  # its row is open still
    enter(ann, CHROME, "192.0.2.2")
    enter(ann, FIREFOX, "192.0.2.2").flush()
    enter(ann, CHROME, "192.0.2.2")
    assert news(told)[2:] == [(False, True), (True, False), (False, False)]


def test_another_users_sessions_do_not_count(ann: Any, bob: Any, told: Told) -> None:
    enter(ann)
    enter(bob, CHROME)
    assert news(told) == [(False, None), (False, None)]


def test_a_login_without_a_request_is_not_compared(ann: Any, told: Told) -> None:
    enter(ann)
    store = SessionStore()
    store[SESSION_KEY] = id_of(ann)
    store.save()
    assert news(told)[1:] == [(None, None)]


@override_settings(EXPIRE_MAX_USERS=0)
def test_with_too_many_sessions_to_list_the_history_decides(
    ann: Any, told: Told
) -> None:
    add_members(ann, {f"{n:032}": 2**53 for n in range(150)})
    enter(ann)
    enter(ann)
    enter(ann, CHROME)
    assert [kwargs["live"] for name, kwargs in told if name == "session_started"] == [
        None
    ] * 3
    assert news(told) == [(False, None), (False, False), (True, True)]


def earlier(ip: str | None, user_agent: str) -> Before:
    """Return a history with one login."""
    return Before((SignIn("1", timezone.now(), ip, user_agent, is_active=True),))


@pytest.mark.parametrize(
    "before,now,expected",
    [
        ((None, ""), ("192.0.2.1", FIREFOX), (False, None)),
        (("192.0.2.1", ""), ("192.0.2.1", FIREFOX), (False, None)),
        (("192.0.2.1", FIREFOX), ("192.0.2.1", None), (False, None)),
        (("192.0.2.1", FIREFOX), (None, None), (False, None)),
        (("192.0.2.1", FIREFOX), (None, CHROME), (True, True)),
        (("192.0.2.1", FIREFOX), ("192.0.2.2", None), (True, None)),
    ],
)
def test_what_is_not_known_is_no_difference(
    before: Any, now: Any, expected: tuple[bool, bool | None]
) -> None:
    context = Context(ip=now[0], user_agent=now[1])
    assert news_of(earlier(*before), context, "2", {"1", "2"})[:2] == expected


def test_a_session_is_not_compared_with_its_own_row() -> None:
    """A key that is saved anew has a row already."""
    context = Context(ip="192.0.2.2", user_agent=CHROME)
    before = earlier("192.0.2.1", FIREFOX)
    for live in (None, {"1"}):
        assert news_of(before, context, "1", live).concurrent is False
        assert news_of(before, context, "2", live).concurrent is True


def test_a_device_has_a_name_that_can_be_printed() -> None:
    assert device("a\nb\x1b[0m\u202ec d") == "ab[0mc"
