"""What a browser reads on the pages of the site."""

import html
import re
from typing import Final, NamedTuple

NOBODY: Final = "nobody"
SIGNED_OUT: Final = "You have signed out."
WRONG_PASSWORD: Final = "Please enter a correct username and password."

TOKEN: Final = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
USER: Final = re.compile(r'<span id="user">(.*?)</span>')
SESSION: Final = re.compile(r'<tr data-session="\w{64}">')
NOTICE: Final = re.compile(r'<p id="ended">(.*?)</p>')
PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>")
OFFER: Final = re.compile(
    r'name="session" value="(\w{64})".*?<span class="what">(.*?)</span>', re.DOTALL
)


class Home(NamedTuple):
    """What the home page shows."""

    user: str
    """Whom the site takes this browser for."""

    sessions: int
    """How many live sessions it lists."""

    told: str | None
    """What it says about the end of a session: SIGNED_OUT, a notice or nothing."""


def home_in(page: str) -> Home:
    """Read the home page."""
    user = USER.search(page)
    return Home(
        user=user[1] if user else NOBODY,
        sessions=len(SESSION.findall(page)),
        told=SIGNED_OUT if SIGNED_OUT in page else _text(NOTICE.search(page)),
    )


def reason_in(page: str) -> str | None:
    """Return the first paragraph of the page that refuses a login."""
    return _text(PARAGRAPH.search(page))


def offers_in(page: str) -> dict[str, str]:
    """Return the devices that the page of the choice offers, each with its value."""
    return {device: value for value, device in OFFER.findall(page)}


def hidden_in(page: str) -> dict[str, str]:
    """Return what a form sends beside what the person has filled in."""
    token = TOKEN.search(page)
    return {"csrfmiddlewaretoken": token[1]} if token else {}


def _text(found: re.Match[str] | None) -> str | None:
    return html.unescape(found[1]) if found else None
