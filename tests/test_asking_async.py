"""The policy "ask" under an event loop, and where many choose at once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client

from expire_sessions.backend import SessionStore
from expire_sessions.pending import PENDING
from tests.choosing import CHOOSE, asking, data_of, offered, waiting
from tests.loops import on_a_loop
from tests.sessions import ids, key_of, live_ids, sign_in, who
from tests.threads import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)  # async is another thread

FORM = {"username": "ann", "password": "ann", "next": "/a/whoami/"}


@pytest.fixture(autouse=True)
def ask() -> Iterator[None]:
    """Let the project ask."""
    with asking():
        yield


@pytest.mark.parametrize("way", ["/accounts/login/", "/a/login/", "/login/"])
def test_a_person_chooses_on_an_async_server(ann: Any, way: str) -> None:
    first = sign_in(ann)

    async def visit() -> AsyncClient:
        browser = AsyncClient()
        # The hand-written views read the address, Django's reads the form.
        query = {"username": "ann", "password": "ann"}
        is_djangos = way == "/accounts/login/"
        sent = browser.post(way, FORM) if is_djangos else browser.get(way, query)
        response = await sent
        assert (response.status_code, response.headers["Location"]) == (302, CHOOSE)
        assert (await browser.get("/a/whoami/")).content == b""
        page = await browser.get(CHOOSE)
        assert {*offered(page)} == ids(first)
        done = await browser.post(CHOOSE, {"session": offered(page)})
        to = "/a/whoami/" if is_djangos else "/accounts/profile/"
        assert done.headers["Location"] == to
        assert (await browser.get("/a/whoami/")).content == b"ann"
        return browser

    browser = on_a_loop(visit)
    assert live_ids(ann) == ids(SessionStore(browser.cookies["sessionid"].value))
    assert PENDING not in SessionStore(browser.cookies["sessionid"].value)


def test_two_tabs_at_once_are_one_session_on_an_async_server(ann: Any) -> None:
    sign_in(ann)
    browser = waiting()

    async def choose() -> list[Any]:
        tabs = [AsyncClient(), AsyncClient()]
        for tab in tabs:
            tab.cookies.load({"sessionid": key_of(browser)})
        return await asyncio.gather(*(tab.post(CHOOSE, {"all": ""}) for tab in tabs))

    responses = on_a_loop(choose)
    signed_in = [it for it in responses if it.cookies.get("sessionid", "")]
    assert len(live_ids(ann)) == 1
    assert sum(bool(it.cookies["sessionid"].value) for it in signed_in) == 1


def test_an_async_view_under_wsgi_asks_too(ann: Any) -> None:
    sign_in(ann)
    browser = Client()
    response = browser.get("/a/login/", {"username": "ann", "password": "ann"})
    assert response.headers["Location"] == CHOOSE
    assert [*data_of(browser)] == [PENDING]
    browser.post(CHOOSE, {"all": ""})
    assert who(browser, "/a") == "ann"


@pytest.mark.race
def test_of_many_who_choose_the_same_session_one_has_its_place(ann: Any) -> None:
    first = sign_in(ann)
    browsers = [waiting() for _ in range(8)]
    chosen = [*browsers]

    def choose() -> None:
        chosen.pop().post(CHOOSE, {"session": [*ids(first)]})

    assert all_at_once(choose, len(browsers)) == []
    signed_in = [browser for browser in browsers if who(browser) == "ann"]
    assert len(signed_in) == 1
    assert live_ids(ann) == ids(SessionStore(key_of(signed_in[0])))
    still = [browser for browser in browsers if browser is not signed_in[0]]
    assert {browser.get(CHOOSE).status_code for browser in still} == {200}
