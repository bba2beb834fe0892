"""How many sessions a user may have: the promises of django-expire, kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from expire_sessions.backend import SessionStore
from expire_sessions.context import Context
from expire_sessions.endings import Ended
from expire_sessions.limits import Limits
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import superuser_handler
from tests.asking import add_members, members
from tests.sessions import live, who
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]
Handle = Callable[[Callable[..., None]], None]


def signed_in(browsers: list[Client]) -> list[bool]:
    """Tell which browsers are still signed in."""
    return [who(browser) != "" for browser in browsers]


def test_one_session_is_the_default(ann: Any, sign_in: SignIn) -> None:
    browsers = [sign_in(ann), sign_in(ann)]
    assert live(ann) == 1
    assert signed_in(browsers) == [False, True]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_newest_are_signed_in_up_to_the_limit(
    ann: Any, sign_in: SignIn, limit: int
) -> None:
    with override_settings(EXPIRE_MAX_USERS=limit):
        browsers = [sign_in(ann) for _ in range(5)]
        assert signed_in(browsers) == [False] * (5 - limit) + [True] * limit


@pytest.mark.parametrize("limit", [0, None])
def test_zero_and_none_are_no_limit(ann: Any, sign_in: SignIn, limit: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=limit):
        assert signed_in([sign_in(ann) for _ in range(7)]) == [True] * 7


def test_others_are_not_concerned(ann: Any, bob: Any, sign_in: SignIn) -> None:
    browsers = [sign_in(ann), sign_in(bob)]
    assert signed_in(browsers) == [True, True]


@override_settings(EXPIRE_MAX_USERS=2, EXPIRE_TOUCH_INTERVAL=0)
def test_the_least_recently_seen_goes(ann: Any, sign_in: SignIn) -> None:
    first, second = sign_in(ann), sign_in(ann)
    who(first)
    third = sign_in(ann)
    assert signed_in([first, second, third]) == [True, False, True]


@pytest.mark.parametrize("request_path", ["/set/x/1/", "/whoami/"])
def test_a_lowered_limit_removes_all_above_it_at_once(
    ann: Any, sign_in: SignIn, request_path: str
) -> None:
    """At the next save, and at the next touch."""
    with override_settings(EXPIRE_MAX_USERS=5):
        browsers = [sign_in(ann) for _ in range(5)]
    with override_settings(EXPIRE_MAX_USERS=2, EXPIRE_TOUCH_INTERVAL=0):
        browsers[0].get(request_path)
        assert live(ann) == 2
        assert signed_in(browsers) == [True, False, False, False, True]
    reasons = LoggedSession.objects.ended().values_list("end_reason", flat=True)
    assert list(reasons) == ["evicted"] * 3


def test_the_signal_comes_before_the_test_with_a_single_key(
    ann: Any, sign_in: SignIn, handle: Handle
) -> None:
    seen: list[tuple[Any, dict[str, Any], int]] = []

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        seen.append((sender, dict(settings), live(ann)))

    sign_in(ann)
    handle(handler)
    sign_in(ann)
    (sender, settings, live_before), *others = seen
    assert others == [], "it is sent once for a login"
    assert sender == ann
    assert settings == {"max_users": 1}
    assert live_before == 1


@pytest.mark.parametrize("allowed", [0, None, 3])
def test_a_handlers_change_counts_for_its_user_only(
    ann: Any, bob: Any, sign_in: SignIn, handle: Handle, allowed: Any
) -> None:
    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        if sender == bob:
            settings["max_users"] = allowed

    handle(handler)
    of_ann = [sign_in(ann) for _ in range(3)]
    of_bob = [sign_in(bob) for _ in range(3)]
    assert signed_in(of_ann) == [False, False, True]
    assert signed_in(of_bob) == [True, True, True]


def test_superusers_have_no_limit_with_the_example_handler(
    ann: Any, bob: Any, sign_in: SignIn, handle: Handle
) -> None:
    handle(superuser_handler)
    bob.is_superuser = True
    bob.save()
    assert signed_in([sign_in(bob) for _ in range(4)]) == [True] * 4
    assert signed_in([sign_in(ann), sign_in(ann)]) == [False, True]


def test_the_example_handler_is_not_connected(bob: Any, sign_in: SignIn) -> None:
    bob.is_superuser = True
    bob.save()
    assert signed_in([sign_in(bob), sign_in(bob)]) == [False, True]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_handler_that_looks_at_no_more_than_the_pk_costs_no_query(
    ann: Any, sign_in: SignIn, handle: Handle, django_assert_num_queries: Any
) -> None:
    asked: list[object] = []

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        asked.append(sender.pk)

    browser, _ = sign_in(ann), sign_in(ann)
    handle(handler)
    with django_assert_num_queries(0):
        browser.get("/set/x/1/")
    assert asked == [ann.pk]


@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_user_with_one_session_is_not_asked_about(
    ann: Any, sign_in: SignIn, handle: Handle
) -> None:
    """One is never too many: a handler costs such a user nothing after the login."""
    browser = sign_in(ann)
    asked: list[object] = []

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        asked.append(sender)

    handle(handler)
    browser.get("/set/x/1/")
    assert asked == []


def looking(names: list[str]) -> Callable[..., None]:
    """Return a handler that looks at the user."""

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        names.append(sender.username)

    return handler


def test_at_a_login_the_user_is_at_hand(
    ann: Any, handle: Handle, django_assert_num_queries: Any
) -> None:
    """A handler that looks at it costs no query then."""
    names: list[str] = []
    sign_in_store(ann)  # the first of an account looks once more for what was before
    UserSessions(ann).end_all()
    with CaptureQueriesContext(connection) as queries:
        sign_in_store(ann)
    UserSessions(ann).end_all()
    handle(looking(names))
    with django_assert_num_queries(len(queries)):
        sign_in_store(ann)
    assert names == ["ann"]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_handler_that_looks_at_the_user_gets_it(
    ann: Any, sign_in: SignIn, handle: Handle
) -> None:
    names: list[str] = []
    browser, _ = sign_in(ann), sign_in(ann)
    handle(looking(names))
    browser.get("/set/x/1/")
    assert names == ["ann"]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_user_that_the_request_has_loaded_is_not_fetched_again(
    ann: Any, sign_in: SignIn, handle: Handle, django_assert_num_queries: Any
) -> None:
    browser, _ = sign_in(ann), sign_in(ann)
    names: list[str] = []
    handle(looking(names))
    with django_assert_num_queries(1):
        browser.get("/greet/")
    assert names == ["ann"]


@override_settings(EXPIRE_MAX_USERS=2, EXPIRE_TOUCH_INTERVAL=0)
def test_a_request_fetches_it_once_for_all_its_questions(
    ann: Any, sign_in: SignIn, handle: Handle, django_assert_num_queries: Any
) -> None:
    browser, _ = sign_in(ann), sign_in(ann)
    names: list[str] = []
    handle(looking(names))
    with django_assert_num_queries(1):
        browser.get("/set/x/1/")
    assert names == ["ann", "ann"]


@override_settings(EXPIRE_MAX_USERS=2, EXPIRE_TOUCH_INTERVAL=None)
@pytest.mark.parametrize("page", ["/rename/", "/set/x/1/"])
def test_a_handler_sees_what_is_in_the_database(
    ann: Any, sign_in: SignIn, handle: Handle, page: str
) -> None:
    """Not what a view has made of it without saving, nor what was there before."""
    browser, _ = sign_in(ann), sign_in(ann)
    names: list[str] = []
    handle(looking(names))
    browser.get("/greet/")
    type(ann).objects.update(username="eve")
    browser.get(page)
    assert names == ["ann", "eve"]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_user_that_was_made_by_hand_is_not_taken_for_it(
    ann: Any, handle: Handle
) -> None:
    store, _ = sign_in_store(ann), sign_in_store(ann)
    names: list[str] = []
    handle(looking(names))
    store = SessionStore(store.session_key)
    store["x"] = 1
    made = type(ann)(pk=ann.pk, username="by hand")
    store.save()
    assert names == ["ann"] != [made.username]


def test_anonymous_sessions_are_not_indexed(server: Any) -> None:
    browser = Client()
    browser.get("/set/x/1/")
    assert browser.get("/get/x/").content == b"1"
    assert server.keys("*index*") == []


@override_settings(EXPIRE_MAX_USERS=0)
def test_the_index_of_a_user_without_limit_does_not_grow_for_ever(ann: Any) -> None:
    """Each new session looks at a few of the oldest, however many there are."""
    add_members(ann, {f"dead{n:04}": n for n in range(300)})
    for _ in range(5):
        sign_in_store(ann)
    assert len(members(ann)) == 300 - 5 * 10 + 5


Told = list[tuple[str, dict[str, Any]]]

ARGUMENTS = {
    "session_entering": {"sender", "user_id", "session_id", "context"},
    "session_started": {
        *("sender", "user_id", "session_id", "context", "live"),
        *("concurrent", "new_device", "failures"),
    },
    "session_rotated": {"sender", "user_id", "session_id", "previous_id"},
    "sessions_ended": {"sender", "ended", "reason", "context"},
    "session_ended": {"sender", "user_id", "session_id", "reason", "context"},
}


def test_the_signals_tell_a_sessions_life(
    ann: Any, sign_in: SignIn, told: Told
) -> None:
    browser = sign_in(ann, headers={"user-agent": "Test"})
    browser.get("/password/", {"password": "new"})
    browser.get("/logout/")
    life = [(name, kwargs) for name, kwargs in told if name != "expire_check"]
    assert {name: set(kwargs) for name, kwargs in life} == ARGUMENTS
    assert [name for name, _ in life] == list(ARGUMENTS)
    assert {kwargs["sender"] for _, kwargs in life} == {SessionStore}
    entering, started, rotated, together, ended = (kwargs for _, kwargs in life)
    alone = (entering, started, rotated, ended)
    assert {kwargs["user_id"] for kwargs in alone} == {str(ann.pk)}
    assert together["ended"] == (Ended(str(ann.pk), ended["session_id"]),)
    assert entering["context"] == Context("127.0.0.1", "Test", by=str(ann.pk))
    assert started["live"] == {entering["session_id"]}
    limits = Limits(max_users=1, log_limit=None)
    assert started["context"] == replace(entering["context"], limits=limits)
    assert rotated["previous_id"] == started["session_id"]
    assert ended["session_id"] == rotated["session_id"]
    assert ended["reason"] == "logout"


def test_an_eviction_tells_of_the_login_that_caused_it(
    ann: Any, sign_in: SignIn, told: Told
) -> None:
    sign_in(ann)
    sign_in(ann, headers={"user-agent": "Newer"})
    first, second = (kwargs for name, kwargs in told if name == "session_started")
    (ended,) = (kwargs for name, kwargs in told if name == "session_ended")
    assert ended["session_id"] == first["session_id"]
    assert ended["reason"] == "evicted"
    assert ended["context"] == second["context"]
    assert ended["context"].user_agent == "Newer"
    assert second["live"] == {second["session_id"]}


def test_an_anonymous_session_tells_nothing(told: Told) -> None:
    browser = Client()
    browser.get("/set/x/1/")
    browser.get("/logout/")
    assert told == []
