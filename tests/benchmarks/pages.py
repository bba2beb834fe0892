"""Requests through the whole of Django, from the test client."""

from django.test import Client, override_settings

from tests.benchmarks.operations import Operation
from tests.benchmarks.place import AGENT

__all__ = ["OPERATIONS"]


class Page(Operation):
    """Ask for a page with many browsers in turn."""

    path = "/read/"

    def prepare(self) -> None:
        self.browsers = [self._browser(key) for key in self.site.kept()]
        self.at = 0
        for browser in self.browsers:
            browser.get(self.path)

    def warm(self) -> None:
        for browser in self.browsers[:5]:
            browser.get(self.path)

    def run(self, times: int) -> None:
        browsers, path, at = self.browsers, self.path, self.at
        size = len(browsers)
        for number in range(at, at + times):
            self.response = browsers[number % size].get(path)
        self.at = at + times

    def check(self) -> None:
        content = self.response.content
        assert content.startswith(b"user"), f"the answer is {content!r}"

    def _browser(self, key: str) -> Client:
        browser = Client(headers={"user-agent": AGENT})
        browser.cookies["sessionid"] = key
        return browser


class WithoutSession(Page):
    """A page that looks at no session, for a browser that has none."""

    path = "/none/"

    def check(self) -> None:
        assert self.response.content == b"nobody"

    def _browser(self, key: str) -> Client:
        return Client(headers={"user-agent": AGENT})


class Change(Page):
    """A page that changes the session."""

    path = "/change/"


class EveryRequest(Page):
    """A page that reads, and Django saves nevertheless."""

    def prepare(self) -> None:
        self._every = override_settings(SESSION_SAVE_EVERY_REQUEST=True)
        self._every.enable()
        super().prepare()

    def check(self) -> None:
        super().check()
        assert self.response.cookies, "nothing was saved"

    def close(self) -> None:
        self._every.disable()


OPERATIONS = {
    "client.none": WithoutSession,
    "client.read": Page,
    "client.change": Change,
    "client.every": EveryRequest,
}
