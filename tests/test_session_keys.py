"""Whatever a cookie holds: what is no session key is just no session."""

from typing import Any

import pytest
from django.test import Client

from expire_sessions.backend import SessionStore
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

COOKIES = {
    "empty": "",
    "too short": "1234567",
    "a megabyte": "x" * 1_000_000,
    "NUL": "a\0b" * 10,
    "newline": "a\nb\r\nc" * 5,
    "unicode": "ü☃" * 10,
    "half a pair": "\udcff" * 10,
    "glob": "*?[a-z]" * 4,
    "Lua": "'] redis.call('FLUSHALL') --",
    "hash tag": "{user}:a%2F" * 2,
}


@pytest.mark.parametrize("case", COOKIES)
def test_any_cookie_is_just_no_session(case: str, ann: Any) -> None:
    held = sign_in(ann)
    value = COOKIES[case]
    store = SessionStore(value)
    assert store.load() == {}
    assert not store.exists(value)
    store.delete(value)
    store.flush()
    store["x"] = 1
    store.save()
    assert store.session_key != value
    assert SessionStore().exists(held.session_key)


@pytest.mark.parametrize("case", COOKIES)
@pytest.mark.parametrize("path", ["/get/x/", "/set/x/1/", "/a/get/x/", "/a/set/x/1/"])
def test_any_cookie_is_answered(case: str, path: str) -> None:
    sent = COOKIES[case].encode("utf-8", "surrogateescape").decode("latin-1")
    response = Client().get(path, headers={"cookie": f"sessionid={sent}"})
    assert response.status_code == 200
