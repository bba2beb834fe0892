"""A Redis whose memory is full signs nobody out."""

from typing import Any

import pytest
import redis
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.modes import Mode, Outcome
from expire_sessions.sessions import UserSessions
from tests.asking import index
from tests.caches import other_cache
from tests.sessions import live_ids, sign_in

pytestmark = pytest.mark.django_db

KEY = "k" * 32


def test_a_full_server_still_lets_in_who_ends_another(
    ann: Any, bob: Any, admin: redis.Redis
) -> None:
    old = sign_in(ann)
    admin.config_set("maxmemory", 1)
    new = sign_in(ann)
    assert not SessionStore().exists(old.session_key)
    new["x"] = 1
    new.save()
    new.cycle_key()
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        assert SessionStore(new.session_key)["x"] == 1
    with pytest.raises(StoreUnavailable, match=r"OOM|memory"):
        sign_in(bob)
    new.flush()
    assert UserSessions(ann).list() == []
    admin.config_set("maxmemory", 0)
    sign_in(bob)
    active = LoggedSession.objects.for_user(bob).active()
    assert active.count() == 1, "the login that failed is no longer active"


def test_a_login_that_is_repeated_is_known_on_a_server_that_is_full_by_now(
    ann: Any, admin: redis.Redis
) -> None:
    arguments: dict[str, Any] = {"user_id": str(ann.pk), "age": 60_000, "call": "call"}
    assert index().place(Mode.NEW, KEY, **arguments).outcome is Outcome.SAVED
    admin.config_set("maxmemory", 1)
    assert index().place(Mode.NEW, KEY, **arguments).outcome is Outcome.SAVED


@pytest.mark.parametrize("site", ["", "/a"])
@pytest.mark.parametrize("ignore", [False, True])
def test_a_full_server_signs_nobody_out(
    ann: Any, bob: Any, admin: redis.Redis, site: str, ignore: bool
) -> None:
    browser, visitor = Client(), Client(raise_request_exception=False)
    browser.force_login(ann)
    admin.config_set("maxmemory", 1)
    with (
        other_cache(IGNORE_EXCEPTIONS=ignore),
        override_settings(EXPIRE_TOUCH_INTERVAL=0),
    ):
        browser.get(f"{site}/set/x/1/")
        assert browser.get(f"{site}/get/x/").content == b"1"
        refused = visitor.get(f"{site}/login/", {"username": "bob", "password": "bob"})
        assert refused.status_code == 500
        assert "sessionid" not in refused.cookies
        assert browser.get(f"{site}/whoami/").content == b"ann"
        assert browser.get(f"{site}/logout/").status_code == 200
    assert live_ids(ann) == live_ids(bob) == set()
