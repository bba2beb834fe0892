"""The pages in a real browser: ``nox -s browser``."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from example_project.demo.accounts import ANN, BOB, CLEO, DAN, ROOT, Account
from example_project.demo.pages import SIGNED_OUT
from tests.test_demo import demo_on_terminal

pytest.importorskip("playwright", reason="It is for nox -s browser.")

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

PROGRAM = "EXPIRE_SESSIONS_BROWSER"
"""Holds the path of a Chromium."""

PHONE = ViewportSize(width=390, height=844)
TABLET = ViewportSize(width=800, height=1000)
DESKTOP = ViewportSize(width=1280, height=800)

CUT_OFF = """() => [...document.querySelectorAll("main *")]
    .filter(element => element.getBoundingClientRect().width > 1)
    .filter(element => element.getBoundingClientRect().right > innerWidth
        || element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
    .map(element => element.outerHTML.slice(0, 80))"""
"""The elements that stand out of the window, or out of what holds them."""

ENDED = "so this one was signed out."

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the example site, after the demo."""
    with demo_on_terminal() as terminal:
        terminal.read_until("Ctrl-C ends it.")
        stays = re.search(r"The site stays up at (\S+)", terminal.text)
        assert stays
        yield stays[1]
        terminal.interrupt()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    program = os.environ.get(PROGRAM)
    if not program:
        pytest.skip(f"{PROGRAM} names no Chromium.")
    with sync_playwright() as playwright:
        # Its sandbox does not work for root, which is who containers run as.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        yield playwright.chromium.launch(executable_path=program, args=options)


@pytest.fixture
def try_sign_in(chromium: Browser, site: str) -> Iterator[Open]:
    """Fill in the login form with a new profile; return the page, whatever it is."""
    opened: list[Page] = []

    def try_sign_in(
        account: Account, window: ViewportSize, scheme: str = "light"
    ) -> Page:
        dark = scheme == "dark"
        page = chromium.new_page(
            viewport=window, color_scheme="dark" if dark else "light"
        )
        opened.append(page)
        page.goto(f"{site}login/")
        page.fill("[name=username]", account.name)
        page.fill("[name=password]", account.password)
        page.click("main button")
        return page

    yield try_sign_in
    for page in opened:
        page.close()


@pytest.fixture
def sign_in(try_sign_in: Open) -> Open:
    """Sign in with a new profile; return the page that follows."""

    def sign_in(account: Account, window: ViewportSize, scheme: str = "light") -> Page:
        page = try_sign_in(account, window, scheme)
        page.wait_for_selector("text=You have signed in.")
        return page

    return sign_in


@pytest.mark.parametrize("window", [PHONE, TABLET, DESKTOP], ids=lambda w: w["width"])
def test_nothing_of_the_page_is_cut_off(sign_in: Open, window: ViewportSize) -> None:
    page = sign_in(BOB, window)
    assert page.locator("tr[data-session]").count() == 3
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") == window["width"]


def test_on_a_phone_each_value_has_its_name_before_it(sign_in: Open) -> None:
    page = sign_in(BOB, PHONE)
    told = page.eval_on_selector_all(
        "tr[data-session]:first-of-type > *",
        "cells => cells.map(c => getComputedStyle(c, '::before').content)",
    )
    assert told == ['"Browser"', '"IP address"', '"Signed in"', '"Last seen"']
    assert page.locator("thead").first.evaluate("head => head.offsetWidth") <= 1


def test_there_is_a_dark_page(sign_in: Open) -> None:
    """Dark on light, or light on dark, as the reader's system is set."""
    for scheme in ("light", "dark"):
        page = sign_in(BOB, PHONE, scheme)
        ground, text = (
            sum(map(int, re.findall(r"\d+", page.evaluate(colour))[:3])) / 3
            for colour in (
                "getComputedStyle(document.body).backgroundColor",
                "getComputedStyle(document.body).color",
            )
        )
        assert (ground < text) == (scheme == "dark")
        assert abs(ground - text) > 150


def test_signing_out_is_told_as_what_it_was(sign_in: Open) -> None:
    page = sign_in(ANN, PHONE)
    page.click("header button")
    page.wait_for_selector(f"text={SIGNED_OUT}")
    assert ENDED not in page.content()
    page.reload()
    assert SIGNED_OUT not in page.content()


def test_a_session_that_ended_is_told_once(sign_in: Open) -> None:
    first = sign_in(ANN, PHONE)
    sign_in(ANN, DESKTOP)
    first.reload()
    assert ENDED in " ".join(first.inner_text("main").split())
    first.reload()
    assert first.locator("#ended").count() == 0


def test_a_login_that_is_refused_fits_a_phone(try_sign_in: Open) -> None:
    page = try_sign_in(CLEO, PHONE)
    page.wait_for_selector("text=Your sign-in details are right")
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_on_a_phone_the_choice_fits_and_needs_no_mouse(try_sign_in: Open) -> None:
    page = try_sign_in(DAN, PHONE)
    page.wait_for_selector("text=Choose which devices to sign out")
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for key, focused in (
        ("Tab", "input[name=session]"),
        ("Space", "input[name=session]:checked"),
        ("Tab", "button.first"),
    ):
        page.keyboard.press(key)
        assert page.locator(f"{focused}:focus-visible").count() == 1
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#user:text-is('{DAN.name}')")
    assert page.locator("tr[data-session]").count() == 1


def test_the_admin_shows_how_sessions_ended(sign_in: Open, site: str) -> None:
    page = sign_in(ROOT, DESKTOP)
    page.goto(f"{site}admin/expire_sessions/loggedsession/")
    heads = page.locator("#result_list thead th")
    for name in ("Ended", "Reason"):
        box = heads.filter(has_text=name).bounding_box()
        table = page.locator(".results").bounding_box()
        assert box
        assert table
        assert box["x"] + box["width"] <= table["x"] + table["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
