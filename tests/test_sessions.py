"""A user's sessions, as pages and commands see them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions.context import Context
from expire_sessions.flows.ending import BATCH
from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import session_ended
from tests.asking import lose_payload
from tests.sessions import key_of
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def three_allowed(settings: Any) -> None:
    """Allow three sessions."""
    settings.EXPIRE_MAX_USERS = 3


def test_the_list_tells_what_a_user_wants_to_know(ann: Any, sign_in: SignIn) -> None:
    before = timezone.now()
    sign_in(ann, headers={"user-agent": "Firefox"})
    phone = sign_in(ann, headers={"user-agent": "Phone"})
    latest, first = UserSessions(ann, key_of(phone)).list()
    assert (latest.user_agent, first.user_agent) == ("Phone", "Firefox")
    assert (latest.is_current, first.is_current) == (True, False)
    assert latest.ip == "127.0.0.1"
    assert latest.since is not None
    assert before <= latest.since <= timezone.now()
    assert abs(latest.last_seen - timezone.now()) < timedelta(hours=1)


def test_only_live_sessions_of_this_user_are_listed(
    ann: Any, bob: Any, sign_in: SignIn
) -> None:
    gone = sign_in(ann)
    sign_in(ann)
    sign_in(bob)
    lose_payload(key_of(gone))
    assert len(UserSessions(ann).list()) == 1


def test_a_session_without_a_row_is_listed(ann: Any, sign_in: SignIn) -> None:
    sign_in(ann)
    LoggedSession.objects.all().delete()
    (info,) = UserSessions(ann).list()
    assert (info.since, info.ip, info.user_agent) == (None, None, "")


def test_one_is_ended_by_its_id(ann: Any, sign_in: SignIn) -> None:
    other, mine = sign_in(ann), sign_in(ann)
    sessions = UserSessions(ann, key_of(mine))
    (listed,) = [info for info in sessions.list() if not info.is_current]
    assert sessions.end(listed.session_id)
    assert other.get("/whoami/").content == b""
    assert mine.get("/whoami/").content == b"ann"
    assert LoggedSession.objects.ended().get().end_reason == "ended"
    assert not sessions.end(listed.session_id)


def test_an_end_is_told(
    ann: Any, sign_in: SignIn, told: list[tuple[str, dict[str, Any]]]
) -> None:
    sign_in(ann)
    (info,) = UserSessions(ann).list()
    UserSessions(ann).end(info.session_id)
    (kwargs,) = (kwargs for name, kwargs in told if name == "session_ended")
    assert kwargs == {
        "sender": UserSessions,
        "user_id": str(ann.pk),
        "session_id": info.session_id,
        "reason": "ended",
        "context": Context(),
    }


def test_a_session_that_has_gone_is_not_ended_again(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    (info,) = UserSessions(ann).list()
    browser.get("/logout/")
    assert not UserSessions(ann).end(info.session_id)
    assert UserSessions(ann).end_all() == 0
    assert LoggedSession.objects.get().end_reason == "logout"


def test_nobody_ends_the_session_of_another(
    ann: Any, bob: Any, sign_in: SignIn
) -> None:
    sign_in(bob)
    (of_bob,) = UserSessions(bob).list()
    assert not UserSessions(ann).end(of_bob.session_id)
    assert UserSessions(bob).list() == [of_bob]


def test_all_others_are_ended(ann: Any, bob: Any, sign_in: SignIn) -> None:
    browsers = [sign_in(ann) for _ in range(3)]
    of_bob = sign_in(bob)
    assert UserSessions(ann, key_of(browsers[1])).end_others() == 2
    found = [browser.get("/whoami/").content for browser in [*browsers, of_bob]]
    assert found == [b"", b"ann", b"", b"bob"]


def test_the_others_are_only_known_beside_a_current_one(ann: Any) -> None:
    with pytest.raises(ValueError, match="current_key"):
        UserSessions(ann).end_others()


def test_all_are_ended(ann: Any, sign_in: SignIn) -> None:
    for _ in range(3):
        sign_in(ann)
    assert UserSessions(ann).end_all() == 3
    assert UserSessions(ann).list() == []
    assert set(LoggedSession.objects.values_list("end_reason", flat=True)) == {"ended"}


@override_settings(EXPIRE_MAX_USERS=0)
def test_those_that_end_meanwhile_are_not_counted(ann: Any) -> None:
    keys = [str(sign_in_store(ann).session_key) for _ in range(BATCH + 3)]

    def end_the_rest(**kwargs: object) -> None:
        lose_payload(*keys)

    session_ended.connect(end_the_rest)
    try:
        assert UserSessions(ann).end_all() == BATCH
    finally:
        session_ended.disconnect(end_the_rest)
