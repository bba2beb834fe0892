"""Loads and saves of the session store, without a request around it."""

from tests.benchmarks.operations import Operation
from tests.benchmarks.views import NUMBER

__all__ = ["OPERATIONS"]


class Load(Operation):
    """Load a session with a fresh store, as each request does."""

    def prepare(self) -> None:
        self.keys = self.site.kept()
        self.at = 0
        for key in self.keys:  # the first of the process is not an ordinary one
            self.one(key)
        assert all(self.site.is_live(key) for key in self.keys)

    def warm(self) -> None:
        for key in self.keys[:20]:
            self.one(key)

    def run(self, times: int) -> None:
        keys, at, one, size = self.keys, self.at, self.one, len(self.keys)
        for number in range(at, at + times):
            one(keys[number % size])
        self.at = at + times

    def check(self) -> None:
        last = self.keys[(self.at - 1) % len(self.keys)]
        assert self.site.is_live(last), "the session has ended"

    def one(self, key: str) -> None:
        self.site.store(key).load()


class Change(Load):
    """Load a session, change it, save it."""

    def one(self, key: str) -> None:
        session = self.site.store(key)
        session[NUMBER] += 1
        session.save()

    def ready(self, times: int) -> None:
        # One of the sessions stands for all.
        size = len(self.keys)
        self.last = self.keys[(self.at + times - 1) % size]
        self.due = self.site.store(self.last)[NUMBER] + (times - 1) // size + 1

    def check(self) -> None:
        assert self.site.store(self.last)[NUMBER] == self.due, "a change was lost"


class Keep(Load):
    """Load a session and save it as it is, as SESSION_SAVE_EVERY_REQUEST does."""

    def one(self, key: str) -> None:
        session = self.site.store(key)
        session.get(NUMBER)
        session.save()


OPERATIONS = {"store.load": Load, "store.change": Change, "store.keep": Keep}
