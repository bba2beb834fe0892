"""Browsers: HTTP clients, each with cookies and a user agent of its own."""

from contextlib import ExitStack
from typing import Final

import httpx

from example_project.demo.accounts import Account
from example_project.demo.pages import Home, hidden_in, home_in, offers_in

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

HTML: Final = "text/html"
JSON: Final = "application/json"
CHOICE: Final = "/sessions/choose/"


class Browser:
    """One browser, at the site's home page.

    Every method raises ``httpx.HTTPError`` where the site does not answer as it
    should.
    """

    def __init__(self, name: str, client: httpx.Client) -> None:
        self.name = name
        self._client = client

    def sign_in(self, account: Account) -> Home:
        """Fill in the login form; return the page that follows."""
        return home_in(self.try_sign_in(account).raise_for_status().text)

    def try_sign_in(
        self, account: Account, *, to: str = "", accept: str = HTML
    ) -> httpx.Response:
        """Fill in the login form; return what is answered, whatever it is.

        Args:
            to: where to go on then; the home page, where it is empty.
            accept: the type of answer that this client prefers.
        """
        form = {"username": account.name, "password": account.password, "next": to}
        return self._submit("/login/", form, form_on="/login/", accept=accept)

    def sign_out(self) -> Home:
        """Press "Sign out" on the home page; return the page that follows."""
        page = self._submit("/logout/", {}, form_on="/")
        return home_in(page.raise_for_status().text)

    def home(self) -> Home:
        """Ask for the home page."""
        return home_in(self._page("/"))

    def offers(self) -> dict[str, str]:
        """Return the devices that may be chosen at the limit, each with its value."""
        return offers_in(self._page(CHOICE))

    def choose(self, value: str) -> httpx.Response:
        """Choose one of them; return the page that follows."""
        chosen = self._submit(CHOICE, {"session": value}, form_on=CHOICE)
        return chosen.raise_for_status()

    def _page(self, path: str) -> str:
        return self._client.get(path).raise_for_status().text

    def _submit(
        self, path: str, data: dict[str, str], *, form_on: str, accept: str = HTML
    ) -> httpx.Response:
        form = {**data, **hidden_in(self._page(form_on))}
        return self._client.post(path, data=form, headers={"Accept": accept})


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
