"""Browsers: HTTP clients, each with cookies and a user agent of its own."""

import re
from contextlib import ExitStack
from typing import Final, NamedTuple

import httpx

from example_project.demo.accounts import Account

NOBODY: Final = "nobody"

WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
USER_AGENTS: Final = {
    "Firefox on Linux": (
        "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    ),
    "Chrome on Windows": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0"
        " Safari/537.36"
    ),
    "Safari on iPhone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15"
        " (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"
    ),
    "Edge on Windows": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/142.0.0.0"
        " Safari/537.36 Edg/142.0.0.0"
    ),
    "Chrome on Android": (
        f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/142.0.0.0 Mobile"
        " Safari/537.36"
    ),
}
NAMES: Final = tuple(USER_AGENTS)

TOKEN: Final = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
USER: Final = re.compile(r'<span id="user">(.*?)</span>')
SESSION: Final = re.compile(r'<tr data-session="\w{64}">')
SIGNED_OUT: Final = "You have signed out."
ENDED: Final = "so this one was signed out."


class Page(NamedTuple):
    """What the home page shows."""

    user: str
    """Whom the site takes this browser for."""

    sessions: int
    """How many live sessions it lists."""

    told: str | None
    """What it says about the end of a session: SIGNED_OUT, ENDED or nothing."""


class Browser:
    """One browser, at the site's home page.

    Every method raises ``httpx.HTTPError`` where the site does not answer as it
    should.
    """

    def __init__(self, name: str, client: httpx.Client) -> None:
        self.name = name
        self._client = client

    def sign_in(self, account: Account) -> Page:
        """Fill in the login form; return the page that follows."""
        form = {"username": account.name, "password": account.password}
        return _read(self._submit("/login/", form, form_on="/login/"))

    def sign_out(self) -> Page:
        """Press "Sign out" on the home page; return the page that follows."""
        return _read(self._submit("/logout/", {}, form_on="/"))

    def home(self) -> Page:
        """Ask for the home page."""
        return _read(self._page("/"))

    def _page(self, path: str) -> str:
        return self._client.get(path).raise_for_status().text

    def _submit(self, path: str, data: dict[str, str], *, form_on: str) -> str:
        token = TOKEN.search(self._page(form_on))
        hidden = {"csrfmiddlewaretoken": token[1]} if token else {}
        response = self._client.post(path, data={**data, **hidden})
        return response.raise_for_status().text


def _read(html: str) -> Page:
    user = USER.search(html)
    return Page(
        user=user[1] if user else NOBODY,
        sessions=len(SESSION.findall(html)),
        told=next((text for text in (SIGNED_OUT, ENDED) if text in html), None),
    )


class Browsers(ExitStack):
    """Opens browsers at the site, and closes them all at the end."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address

    def open(self, name: str) -> Browser:
        """Open a browser that knows nothing yet."""
        client = httpx.Client(
            base_url=self._address,
            headers={"User-Agent": USER_AGENTS[name]},
            follow_redirects=True,
            trust_env=False,  # a proxy does not know this machine's own address
        )
        return Browser(name, self.enter_context(client))
