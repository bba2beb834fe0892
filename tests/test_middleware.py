"""The session middleware with this engine: cookies, and when they are set."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.test import Client, RequestFactory, override_settings

from expire_sessions.backend import SessionStore

View = Callable[[HttpRequest], HttpResponse]


def answer(view: View, key: str | None = None) -> HttpResponse:
    """Let a browser, with a session or none, ask for a view."""
    request = RequestFactory().get("/")
    if key is not None:
        request.COOKIES["sessionid"] = key
    response = SessionMiddleware(view)(request)
    assert isinstance(response, HttpResponse)
    return response


def setting(request: HttpRequest) -> HttpResponse:
    """Put something into the session."""
    request.session["hello"] = "world"
    return HttpResponse()


def reading(request: HttpRequest) -> HttpResponse:
    """Look into the session."""
    return HttpResponse(request.session.get("hello", ""))


def ignoring(request: HttpRequest) -> HttpResponse:
    """Do something else."""
    return HttpResponse()


def failing(request: HttpRequest) -> HttpResponse:
    """Put something into the session, and fail."""
    request.session["hello"] = "world"
    return HttpResponseServerError()


def flushing(request: HttpRequest) -> HttpResponse:
    """End the session."""
    request.session.flush()
    return HttpResponse()


@pytest.fixture
def key() -> str:
    """The key of a saved session."""
    return str(answer(setting).cookies["sessionid"].value)


def test_a_cookie_is_set_when_the_session_is_saved() -> None:
    response = answer(setting)
    cookie = response.cookies["sessionid"]
    assert SessionStore(cookie.value)["hello"] == "world"
    assert cookie["max-age"] == 1209600
    assert response.headers["Vary"] == "Cookie"


ATTRIBUTES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "secure": ({"SESSION_COOKIE_SECURE": True}, {"secure": True}),
    "readable by scripts": ({"SESSION_COOKIE_HTTPONLY": False}, {"httponly": ""}),
    "httponly by default": ({}, {"httponly": True, "samesite": "Lax", "path": "/"}),
    "samesite": ({"SESSION_COOKIE_SAMESITE": "Strict"}, {"samesite": "Strict"}),
    "path": ({"SESSION_COOKIE_PATH": "/here/"}, {"path": "/here/"}),
    "domain": ({"SESSION_COOKIE_DOMAIN": ".example.org"}, {"domain": ".example.org"}),
    "until the browser closes": (
        {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
        {"max-age": "", "expires": ""},
    ),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_the_cookie_is_as_the_settings_say(case: str) -> None:
    configured, expected = ATTRIBUTES[case]
    with override_settings(**configured):
        cookie = answer(setting).cookies["sessionid"]
    assert {name: cookie[name] for name in expected} == expected


def test_nothing_is_saved_after_a_server_error() -> None:
    response = answer(failing)
    assert response.cookies == {}


def test_a_server_error_leaves_the_session_as_it_was(key: str) -> None:
    def failing_later(request: HttpRequest) -> HttpResponse:
        request.session["hello"] = "changed"
        return HttpResponseServerError()

    assert answer(failing_later, key).cookies == {}
    assert SessionStore(key)["hello"] == "world"


def test_an_untouched_session_sets_nothing_and_varies_on_nothing() -> None:
    response = answer(ignoring)
    assert response.cookies == {}
    assert "Vary" not in response.headers


def test_reading_varies_on_the_cookie_and_sets_none(key: str) -> None:
    response = answer(reading, key)
    assert response.content == b"world"
    assert response.cookies == {}
    assert response.headers["Vary"] == "Cookie"


def test_an_empty_session_is_not_saved() -> None:
    def touching(request: HttpRequest) -> HttpResponse:
        request.session["x"] = 1
        del request.session["x"]
        return HttpResponse()

    assert answer(touching).cookies == {}


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_every_request_sets_the_cookie_where_the_settings_say(key: str) -> None:
    response = answer(reading, key)
    assert response.cookies["sessionid"].value == key
    assert response.cookies["sessionid"]["max-age"] == 1209600


@override_settings(
    SESSION_COOKIE_DOMAIN=".example.org",
    SESSION_COOKIE_PATH="/here/",
    SESSION_COOKIE_SAMESITE="Strict",
)
def test_a_flushed_session_takes_the_cookie_back(key: str) -> None:
    response = answer(flushing, key)
    cookie = response.cookies["sessionid"]
    assert (cookie.value, cookie["max-age"]) == ("", 0)
    assert (cookie["domain"], cookie["path"]) == (".example.org", "/here/")
    assert cookie["samesite"] == "Strict"
    assert response.headers["Vary"] == "Cookie"
    assert not SessionStore().exists(key)


def test_flushing_without_a_session_sets_nothing() -> None:
    response = answer(flushing)
    assert response.cookies == {}


@pytest.mark.parametrize("value", ["x" * 32, "short", "", "ü" * 32])
def test_a_cookie_that_leads_nowhere_is_taken_back(value: str) -> None:
    response = answer(reading, value)
    assert response.cookies["sessionid"]["max-age"] == 0


def test_a_session_that_ends_during_the_request_interrupts_it(key: str) -> None:
    def ended_elsewhere(request: HttpRequest) -> HttpResponse:
        request.session["hello"] = "again"
        SessionStore(key).delete()
        return HttpResponse()

    with pytest.raises(SessionInterrupted):
        answer(ended_elsewhere, key)
    assert not SessionStore().exists(key)


def end_of(get_response: View) -> View:
    """End the session of each request while it is under way."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.session["x"] = 1
        SessionStore(request.session.session_key).delete()
        return get_response(request)

    return middleware


def test_an_interrupted_request_is_a_bad_request(key: str, client: Client) -> None:
    client.cookies["sessionid"] = key
    chain = [*settings.MIDDLEWARE, f"{__name__}.end_of"]
    with override_settings(MIDDLEWARE=chain):
        response = client.get("/get/x/")
    assert response.status_code == 400
    assert not SessionStore().exists(key)
