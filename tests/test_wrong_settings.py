"""Settings that are wrong, where a server was started without the checks."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.models import LoggedSession
from tests.sessions import ids, live_ids, sign_in

pytestmark = pytest.mark.django_db

KEY = "k" * 32


@pytest.mark.parametrize(
    "name",
    [
        "EXPIRE_MAX_USERS",
        "EXPIRE_LOG_LIMIT",
        "EXPIRE_POLICY",
        "EXPIRE_TOUCH_INTERVAL",
    ],
)
def test_a_wrong_setting_lets_nobody_in_and_ends_nothing(ann: Any, name: str) -> None:
    store = sign_in(ann)
    with override_settings(**{name: "wrong"}), pytest.raises(InvalidSetup, match=name):
        sign_in(ann)
    assert live_ids(ann) == ids(store)
    assert LoggedSession.objects.get().active


@pytest.mark.parametrize("name", ["EXPIRE_MAX_USERS", "EXPIRE_POLICY"])
@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_wrong_limit_signs_nobody_out(
    ann: Any, sign_in: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(EXPIRE_MAX_USERS=2):
        browsers = [sign_in(ann), sign_in(ann)]
    with override_settings(**{name: "wrong"}):
        for browser in browsers:
            browser.get("/set/x/1/")
            assert browser.get("/whoami/").content == b"ann"
    assert name in caplog.text


ALIASES: dict[str, dict[str, Any]] = {
    "missing": {},
    "in memory": {
        "other": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    },
    "Django's own Redis": {
        "other": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    },
}


@pytest.mark.parametrize("case", ALIASES)
def test_a_cache_that_cannot_hold_sessions_is_a_clear_error(case: str) -> None:
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    changed = {**settings.CACHES, **ALIASES[case]}
    with override_settings(CACHES=changed, SESSION_CACHE_ALIAS="other"):
        with pytest.raises(InvalidSetup, match="'other'"):
            SessionStore()
        response = browser.get("/get/x/")
    assert response.status_code == 500
    assert "sessionid" not in response.cookies
