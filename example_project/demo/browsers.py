"""Browsers: HTTP clients, each with cookies and a user agent of its own."""

import re
from contextlib import ExitStack
from typing import Final

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


class Browser:
    """One browser, at the site's home page.

    Every method raises ``httpx.HTTPError`` where the site does not answer as it
    should.
    """

    def __init__(self, name: str, client: httpx.Client) -> None:
        self.name = name
        self._client = client

    def sign_in(self, account: Account) -> str:
        """Fill in the login form; return who is signed in then."""
        form = {"username": account.name, "password": account.password}
        self._submit("/login/", form, form_on="/login/")
        return self.user()

    def sign_out(self) -> str:
        """Press "Sign out" on the home page; return who is signed in then."""
        self._submit("/logout/", {}, form_on="/")
        return self.user()

    def user(self) -> str:
        """Return whom the site takes this browser for."""
        found = USER.search(self._page("/"))
        return found[1] if found else NOBODY

    def listed_sessions(self) -> int:
        """Return how many live sessions the home page lists."""
        return len(SESSION.findall(self._page("/")))

    def _page(self, path: str) -> str:
        return self._client.get(path).raise_for_status().text

    def _submit(self, path: str, data: dict[str, str], *, form_on: str) -> None:
        token = TOKEN.search(self._page(form_on))
        hidden = {"csrfmiddlewaretoken": token[1]} if token else {}
        self._client.post(path, data={**data, **hidden}).raise_for_status()


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
