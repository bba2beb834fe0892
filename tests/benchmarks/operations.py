"""What is measured, and in which order it is told."""

from importlib import import_module
from typing import Any

__all__ = ["LABELS", "SECTIONS", "SERVED", "Operation", "find"]

SECTIONS: dict[str, str] = {
    "store": "The session store alone",
    "due": "The session store alone, in a process that has not seen the session",
    "client": "A request through Django's test client",
    "server": "A request to a WSGI server (gunicorn, one thread, keep-alive)",
    "login": "Login and logout, without the password hash",
    "sessions": "A user's sessions (ten of them)",
    "async": "200 loads at once on one event loop",
    "asgi": "A request to an ASGI server (uvicorn, 200 browsers, keep-alive)",
}

LABELS: dict[str, str] = {
    "store.load": "load",
    "store.change": "load, changed, save",
    "store.keep": "load, unchanged, save",
    "due.load": "load, touch due",
    "due.mix": "load, as in one of 32 workers",
    "due.handler": "that with superuser_handler",
    "client.none": "no session",
    "client.read": "read",
    "client.change": "change",
    "client.every": "read, SESSION_SAVE_EVERY_REQUEST",
    "server.none": "no session",
    "server.read": "read",
    "server.change": "change",
    "server.every": "read, SESSION_SAVE_EVERY_REQUEST",
    "login.first": "the first",
    "login.limit": "with one before",
    "login.visit": "with one before, and the first request",
    "login.ten": "with ten before",
    "login.logout": "logout",
    "sessions.list": "list",
    "sessions.end": "end one",
    "async.load": "200 loads, each as in a request of its own",
    "asgi.read": "read, in an async view",
}

SERVED = ("server.", "asgi.")
"""How the operations begin that ask a server, in a process of its own."""


class Operation:
    """Something that is done many times over, in batches.

    Args:
        site: of the contender; None for the floors.
        pool: how many users there are for it, where it needs some of its own.
    """

    most = 10_000
    """The largest batch."""

    def __init__(self, site: Any, pool: int) -> None:
        self.site = site
        self.pool = pool

    def prepare(self) -> None:
        """Make once what it needs, and prove that it does its work."""

    def warm(self) -> None:
        """Have the processor know it again, after the other contenders. Not timed."""

    def ready(self, times: int) -> None:
        """Make what a batch needs and clear away after the last. Not timed."""

    def run(self, times: int) -> None:
        """Do it. This is what is timed and counted."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise where the batch has not done its work."""

    def close(self) -> None:
        """Undo what would disturb the next operation."""


MODULES = {
    "store": "stores",
    "due": "due",
    "client": "pages",
    "login": "logins",
    "sessions": "listings",
    "async": "concurrent",
}


def find(name: str, *, is_floor: bool) -> type[Operation]:
    """Return the class of an operation."""
    module = "floors" if is_floor else MODULES[name.partition(".")[0]]
    found: type[Operation] = import_module(f"tests.benchmarks.{module}").OPERATIONS[
        name
    ]
    return found
