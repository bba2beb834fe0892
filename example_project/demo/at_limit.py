"""The steps in which a login does not end a session by itself."""

from typing import Final

import httpx

from example_project.demo.accounts import CLEO, DAN
from example_project.demo.browsers import CHOICE, JSON, NAMES, Browser, Browsers
from example_project.demo.pages import NOBODY, WRONG_PASSWORD, reason_in
from example_project.demo.report import verify
from example_project.demo.verified import TOLD_ENDED, sign_in, verify_in, verify_out

FIREFOX, CHROME, *_ = NAMES
REFUSAL: Final = (
    "Your sign-in details are right, but this account is signed in on as many devices"
    " as it may be. Sign out on one of them, then sign in here again."
)
CODE: Final = "session_limit_reached"
WANTED: Final = "/?from=a-mail"
"""Where the person wanted to go when they were asked to sign in."""


def refused(browsers: Browsers) -> None:
    """Cleo may have one, and keeps it: a handler sets the policy "refuse"."""
    (first,) = sign_in(browsers, CLEO, (FIREFOX,))
    second = browsers.open(CHROME)
    _verify_refused(second)
    verify_in(CLEO, [first])
    page = first.sign_out()
    verify(f"Cleo signs out with {first.name}", expected=NOBODY, found=page.user)
    page = second.sign_in(CLEO)
    verify(f"Now {second.name} gets in", expected=CLEO.name, found=page.user)


def chosen(browsers: Browsers) -> None:
    """Dan may have one, and chooses which: a handler sets the policy "ask"."""
    (first,) = sign_in(browsers, DAN, (FIREFOX,))
    second = browsers.open(CHROME)
    answer = second.try_sign_in(DAN, to=WANTED)
    verify(
        f"{second.name} is led to the choice, for a link to {WANTED}",
        expected=(200, CHOICE),
        found=(answer.status_code, _target(answer)),
    )
    offers = second.offers()
    verify(f"It shows {first.name}", expected=[first.name], found=list(offers))
    page = second.home()
    verify("Nobody is signed in there yet", expected=NOBODY, found=page.user)
    verify_in(DAN, [first])
    went_on = _target(second.choose(offers[first.name]))
    verify(
        f"Dan chooses it, and is sent on to {WANTED}", expected=WANTED, found=went_on
    )
    verify_in(DAN, [second])
    verify_out(first, TOLD_ENDED)


def _verify_refused(browser: Browser) -> None:
    page = browser.try_sign_in(CLEO)
    verify(
        f"{browser.name} is refused: status 403", expected=403, found=page.status_code
    )
    verify(f"Its page says: {REFUSAL}", expected=REFUSAL, found=reason_in(page.text))
    verify(
        "It does not look like a wrong password",
        expected=False,
        found=WRONG_PASSWORD in page.text,
    )
    answer = browser.try_sign_in(CLEO, accept=JSON)
    verify(
        f"A client that asks for JSON is told the code: {CODE}",
        expected=(403, CODE),
        found=(answer.status_code, answer.json()["code"]),
    )
    verify("Nobody is signed in there", expected=NOBODY, found=browser.home().user)


def _target(response: httpx.Response) -> str:
    return response.url.raw_path.decode()
