"""The address of a client behind proxies, and a word where there is none."""

import logging
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from example_project.demo.browsers import USER_AGENTS
from expire_sessions.clients import behind_proxies, describe, device, no_address
from expire_sessions.models import LoggedSession

CLIENT = "203.0.113.9"
LIE = "198.51.100.66"

behind_two = behind_proxies(2)


@pytest.fixture(autouse=True)
def new_process() -> Iterator[None]:
    """Let nothing have been said yet."""
    no_address.reset()
    yield
    no_address.reset()


def forwarded(header: str | None) -> HttpRequest:
    """Return a request that a proxy has sent with this X-Forwarded-For."""
    headers = {} if header is None else {"X-Forwarded-For": header}
    return RequestFactory(REMOTE_ADDR="10.0.0.1").get("/", headers=headers)


@pytest.mark.parametrize(
    "proxies,header",
    [
        (1, CLIENT),
        (1, f"{LIE}, {CLIENT}"),
        (1, f"{LIE},{CLIENT} "),
        (1, f", ,{CLIENT}"),
        (2, f"{CLIENT}, 10.0.0.2"),
        (2, f"{LIE}, {LIE}, {CLIENT}, 10.0.0.2"),
        (2, f"{CLIENT}, unknown"),
        (3, f"{LIE}, {CLIENT}, 10.0.0.3, 10.0.0.2"),
    ],
)
def test_the_address_is_what_the_outermost_proxy_saw(proxies: int, header: str) -> None:
    assert behind_proxies(proxies)(forwarded(header)) == CLIENT


@pytest.mark.parametrize(
    "proxies,header",
    [
        (1, None),
        (1, ""),
        (2, None),
        (2, CLIENT),
        (3, f"{LIE}, {CLIENT}"),
    ],
)
def test_a_request_that_came_past_a_proxy_has_no_address(
    proxies: int, header: str | None
) -> None:
    assert behind_proxies(proxies)(forwarded(header)) is None


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "unknown",
        "_hidden",
        "203.0.113",
        "203.0.113.9:http",
        "203.0.113.9:",
        "203.0.113.9:80:80",
        "[203.0.113.9",
        "[]",
        "[2001:db8::1]x",
        "2001:db8::1::2",
        "203.0.113.٩",
        "203.0.113.9 203.0.113.10",
        "<script>",
    ],
)
def test_garbage_is_no_address_and_nothing_else_is_taken_for_it(entry: str) -> None:
    assert behind_proxies(1)(forwarded(f"{LIE}, {entry}")) is None


@pytest.mark.parametrize(
    "entry,address",
    [
        ("203.0.113.9:5678", "203.0.113.9"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::1", "::1"),
        ("[::1]:80", "::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_a_port_is_no_part_of_the_address(entry: str, address: str) -> None:
    assert behind_proxies(1)(forwarded(f"{LIE}, {entry}")) == address


def test_several_lines_of_the_header_are_one() -> None:
    """As a server hands them over: under WSGI it joins them, under ASGI Django does."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [
            (b"x-forwarded-for", LIE.encode()),
            (b"x-forwarded-for", CLIENT.encode()),
            (b"x-forwarded-for", b"10.0.0.2"),
        ],
    }
    assert behind_two(ASGIRequest(scope, BytesIO())) == CLIENT


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2", None])
def test_the_number_of_proxies_is_one_or_more(count: Any) -> None:
    with pytest.raises(ValueError, match="an integer from 1"):
        behind_proxies(count)


@pytest.mark.django_db
@override_settings(EXPIRE_CLIENT_IP="tests.test_clients.behind_two")
def test_the_history_has_the_address(ann: Any, sign_in: Any) -> None:
    sign_in(ann, headers={"X-Forwarded-For": f"{LIE}, {CLIENT}, 10.0.0.2"})
    assert LoggedSession.objects.get().ip == CLIENT


@pytest.mark.parametrize("found", ["", "unix:"])
def test_a_missing_address_is_said_once(
    found: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = RequestFactory(REMOTE_ADDR=found).get("/")
    for _ in range(3):
        assert describe(request).ip is None
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("expire_sessions", logging.WARNING)
    assert "EXPIRE_CLIENT_IP" in record.getMessage()


def test_an_address_that_is_there_is_no_matter_for_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert describe(forwarded(None)).ip == "10.0.0.1"
    assert caplog.records == []


@override_settings(EXPIRE_CLIENT_IP="tests.test_clients.behind_two")
def test_what_a_client_has_written_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert describe(forwarded("secret, 10.0.0.2")).ip is None
    assert "returned nothing" in caplog.text
    assert "secret" not in caplog.text


DEVICES = {
    "": "unknown",
    "curl/8.15.0": "curl/8.15.0",
    "python-requests/2.32.5": "python-requests/2.32.5",
    "Mozilla/5.0": "unknown",
    "Mozilla/5.0 (X11; Linux x86_64)": "unknown on Linux",
    "MyApp/7 (Linux; Android 15) okhttp/5": "MyApp/7 on Android",
    "Mozilla/5.0 (X11; CrOS x86_64) Chrome/142.0 Safari/537.36": "Chrome on ChromeOS",
    "Mozilla/5.0 (iPad; CPU OS 18) CriOS/142.0 Safari/604.1": "Chrome on iPad",
    "x" * 500: "x" * 40,
}


@pytest.mark.parametrize(
    "name,user_agent", [*USER_AGENTS.items(), *((v, k) for k, v in DEVICES.items())]
)
def test_a_device_has_a_short_name(name: str, user_agent: str) -> None:
    assert device(user_agent) == name
