"""The recipes of docs/events.md do what it says of them: they are run as they stand."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import connections
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from rest_framework.permissions import IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from expire_sessions import signals
from expire_sessions.backend import SessionStore
from expire_sessions.noticing import arefusal
from expire_sessions.receivers.audit import FIELDS
from expire_sessions.sessions import UserSessions
from tests import examples, urls
from tests.loops import on_a_loop
from tests.sessions import CHROME, FIREFOX, enter, key_of
from tests.sessions import sign_in as sign_in_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

SignIn = Callable[..., Client]

LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

run_example = partial(examples.run_example, "docs/events.md")


class Members(APIView):  # type: ignore[misc] # it has no types
    """A page of an API for who is signed in."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        """Answer."""
        return Response({"user": request.user.get_username()})


class Staff(Members):
    """A page for those who may see it."""

    permission_classes = (IsAdminUser,)


def done(request: HttpRequest) -> HttpResponse:
    """Be there for who is signed in."""
    return HttpResponse("done")


def plain(request: HttpRequest) -> HttpResponse:
    """Answer without a framework."""
    response = run_example("api")["api"](done)(request)
    assert isinstance(response, HttpResponse)
    return response


urlpatterns = [
    *urls.urlpatterns,
    path("api/", Members.as_view()),
    path("staff/", Staff.as_view()),
    path("plain/", plain),
]


@pytest.fixture(autouse=True)
def connections_of_the_tests() -> Iterator[None]:
    """Let what a recipe connects be gone after the test."""
    ours = [each for each in vars(signals).values() if isinstance(each, Signal)]
    before = [list(each.receivers) for each in ours]
    yield
    for each, receivers in zip(ours, before, strict=True):
        each.receivers = receivers
        each.sender_receivers_cache.clear()


# Mails.


def test_a_new_device_is_told_by_mail(ann: Any) -> None:
    recipe = run_example("mail_new_device")
    get_user_model().objects.filter(pk=ann.pk).update(email="ann@example.org")
    enter(ann)
    enter(ann)
    assert recipe["session_started"] is signals.session_started
    assert mail.outbox == [], "the first one, and the same again"
    enter(ann, CHROME, "192.0.2.2")
    (message,) = mail.outbox
    assert message.to == ["ann@example.org"]
    assert "Chrome on Windows from 192.0.2.2" in message.body
    enter(ann, FIREFOX)
    assert len(mail.outbox) == 1


# Channels.


class Socket:
    """A WebSocket of a browser, as a server opens it."""

    def __init__(self, application: Any, key: str | None) -> None:
        cookie = f"sessionid={key}".encode()
        scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)]}
        communicator: Any = ApplicationCommunicator  # it has no types
        self._end = communicator(AuthMiddlewareStack(application), scope)

    async def open(self) -> str:
        """Connect; return what the server says."""
        await self._end.send_input({"type": "websocket.connect"})
        return await self.said()

    async def said(self) -> str:
        """Return what the server says next."""
        message = await self._end.receive_output(timeout=10)
        return f"{message['type']} {message.get('code', '')}".strip()

    async def says_nothing(self) -> bool:
        """Tell whether it is silent."""
        return bool(await self._end.receive_nothing())

    async def close(self) -> None:
        """Go away."""
        await self._end.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._end.wait()


@pytest.fixture
def before_it() -> list[Callable[[], object]]:
    """What happens between the look at the session and the consumer."""
    return []


@pytest.fixture
def sockets(
    before_it: list[Callable[[], object]],
) -> Iterator[Callable[[str | None], Socket]]:
    """Open sockets of the recipe's consumer."""
    with override_settings(CHANNEL_LAYERS=LAYERS):
        recipe = run_example("PageConsumer")
        consumer = recipe["PageConsumer"].as_asgi()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            for act in before_it:
                await sync_to_async(act)()
            await consumer(scope, receive, send)

        yield partial(Socket, application)
        assert recipe["close_sockets"], "kept, for signals hold them weakly"


def on_one_loop(act: Callable[[], Any]) -> None:
    """Run it; the database connection of its thread goes with it."""

    async def main() -> None:
        try:
            await act()
        finally:
            await sync_to_async(connections.close_all)()

    asyncio.run(main())


Sockets = Callable[[str | None], Socket]


@pytest.mark.django_db(transaction=True)
@override_settings(EXPIRE_MAX_USERS=2)
def test_the_sockets_of_an_ended_session_close(ann: Any, sockets: Sockets) -> None:
    first, second = sign_in_store(ann), sign_in_store(ann)

    async def act() -> None:
        keys = [first.session_key, first.session_key, second.session_key]
        opened = [sockets(key) for key in keys]
        assert [await each.open() for each in opened] == ["websocket.accept"] * 3
        ended = sync_to_async(UserSessions(ann).end)
        assert await ended(str(first.session_id))
        assert [await each.said() for each in opened[:2]] == [
            "websocket.close 4401"
        ] * 2
        assert await opened[2].says_nothing()
        await second.aflush()
        assert await opened[2].said() == "websocket.close 4401"
        for each in opened:
            await each.close()

    on_one_loop(act)


@pytest.mark.django_db(transaction=True)
def test_a_socket_goes_on_under_the_new_id(ann: Any, sockets: Sockets) -> None:
    store = sign_in_store(ann)

    async def act() -> None:
        socket = sockets(store.session_key)
        assert await socket.open() == "websocket.accept"
        await store.acycle_key()
        assert await socket.says_nothing()
        await store.aflush()
        assert await socket.said() == "websocket.close 4401"
        await socket.close()

    on_one_loop(act)


@pytest.mark.django_db(transaction=True)
def test_nobody_has_no_socket(ann: Any, sockets: Sockets) -> None:
    store = sign_in_store(ann)
    store.flush()

    async def act() -> None:
        for key in ("x" * 32, store.session_key, None):
            socket = sockets(key)
            assert (await socket.open()).startswith("websocket.close")

    on_one_loop(act)


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ends_just_then_gets_none(
    ann: Any, sockets: Sockets, before_it: list[Callable[[], object]]
) -> None:
    store = sign_in_store(ann)
    before_it.append(UserSessions(ann).end_all)

    async def act() -> None:
        assert (await sockets(store.session_key).open()).startswith("websocket.close")

    on_one_loop(act)


# The log.


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What a handler with the recipe's formatter writes, line by line."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(run_example("JSONLines")["JSONLines"]())
    logger = logging.getLogger("expire_sessions")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_each_event_is_one_line_of_json(
    ann: Any, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    enter(ann)
    store = enter(ann, CHROME, "192.0.2.2")
    store.flush()
    events = [(line["event"], line["reason"], line["device"]) for line in lines()]
    assert events == [
        ("session_started", None, "Firefox on Linux"),
        ("session_ended", "evicted", "Chrome on Windows"),
        ("session_started", None, "Chrome on Windows"),
        ("session_ended", "flushed", None),
    ]
    for line in lines():
        assert set(FIELDS) < set(line)
        assert str(store.session_key) not in json.dumps(line)
    assert lines()[2]["new_device"] is True
    assert lines()[2]["ip"] == "192.0.2.2"


def test_a_client_cannot_forge_a_line(
    ann: Any, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    forged = '{"event": "session_started", "user_id": "1"}'
    enter(ann, f'x"\r\n{forged}\u2028{forged}\x85{forged}\n')
    (line,) = lines()
    assert line["event"] == "session_started"
    assert line["device"].isprintable()
    logging.getLogger("expire_sessions").warning("of %r", f"\n{forged}")
    assert [each["event"] for each in lines()] == ["session_started", None]


def test_an_error_is_one_line_too(lines: Callable[[], list[dict[str, Any]]]) -> None:
    error = ValueError("a\nb")
    logging.getLogger("expire_sessions").error("It failed.", exc_info=error)
    (line,) = lines()
    assert line["error"] == "ValueError: a\nb"


def test_the_fields_are_those_of_the_records() -> None:
    assert run_example("JSONLines")["FIELDS"] == FIELDS


PROGRAM = """
import logging, sys, types
from tests.examples import run_example
project, logs = types.ModuleType("myproject"), types.ModuleType("myproject.logs")
project.logs = logs
vars(logs).update(run_example("docs/events.md", "JSONLines"))
sys.modules.update({"myproject": project, "myproject.logs": logs})
import django
from django.conf import settings
settings.configure(LOGGING=run_example("docs/events.md", "LOGGING")["LOGGING"])
django.setup()
logging.getLogger("expire_sessions").info("hello", extra={"event": "x"})
"""


def test_the_settings_of_the_log_are_those_of_django() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["event"] == "x"


# APIs.


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A project with the recipe's exception handler."""
    recipe = run_example("with_reason")
    module = ModuleType("myproject.api")
    vars(module).update(recipe)
    monkeypatch.setitem(sys.modules, "myproject", ModuleType("myproject"))
    monkeypatch.setitem(sys.modules, "myproject.api", module)
    with override_settings(REST_FRAMEWORK=recipe["REST_FRAMEWORK"]):
        yield


EVICTED = {
    "code": "session_evicted",
    "detail": (
        "You signed in on another device (Chrome on Windows), so this one was signed"
        " out. If that was not you, change your password."
    ),
}


@pytest.mark.usefixtures("api")
def test_an_api_client_learns_why_it_is_refused(ann: Any, sign_in: SignIn) -> None:
    client = sign_in(ann, headers={"accept": "application/json"})
    assert client.get("/api/").json() == {"user": "ann"}
    enter(ann, CHROME)
    response = client.get("/api/")
    assert (response.status_code, response.json()) == (403, EVICTED)
    again = client.get("/api/")
    assert (again.status_code, set(again.json())) == (403, {"detail"})


@pytest.mark.usefixtures("api")
def test_it_is_told_also_where_another_page_was_asked_before(
    ann: Any, sign_in: SignIn
) -> None:
    client = sign_in(ann)
    UserSessions(ann).end_all()
    assert client.get("/whoami/").content == b""
    assert client.get("/api/").json()["code"] == "session_ended"


@pytest.mark.usefixtures("api")
def test_who_is_signed_in_is_told_nothing_else_than_before(
    ann: Any, sign_in: SignIn
) -> None:
    browser = sign_in(ann)
    UserSessions(ann).end_all()
    browser.get("/whoami/")  # it waits in an anonymous session
    browser.get("/login/", {"username": "ann", "password": "ann"})
    response = browser.get("/staff/")
    assert (response.status_code, set(response.json())) == (403, {"detail"})


@pytest.mark.usefixtures("api")
def test_a_visitor_and_who_guesses_are_told_nothing(ann: Any, sign_in: SignIn) -> None:
    browser = sign_in(ann)
    UserSessions(ann).end_all()
    for cookie in (None, "x" * 32, key_of(browser)[:-1]):
        client = Client()
        if cookie:
            client.cookies["sessionid"] = cookie
        assert set(client.get("/api/").json()) == {"detail"}


def test_a_view_without_a_framework_tells_it_too(ann: Any, sign_in: SignIn) -> None:
    client = sign_in(ann)
    assert client.get("/plain/").content == b"done"
    enter(ann, CHROME)
    assert client.get("/plain/").json() == EVICTED
    response = client.get("/plain/")
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"


@pytest.mark.django_db(transaction=True)
def test_an_async_view_asks_without_blocking(ann: Any) -> None:
    key = enter(ann).session_key
    enter(ann, CHROME)
    request = RequestFactory().get("/")
    assert on_a_loop(partial(arefusal, request)) is None, "it has no session"
    request.session = SessionStore(key)
    assert on_a_loop(partial(arefusal, request)) == EVICTED
    request.session = SessionStore(key)
    assert on_a_loop(partial(arefusal, request)) is None
