"""Real servers for a contender, and browsers that cost next to nothing."""

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Self

from tests.benchmarks.place import AGENT, Place
from tests.benchmarks.processes import Asked, Child, ContenderError

__all__ = ["AsyncServer", "Browser", "Crowd", "WebServer", "is_whole", "request_of"]

APPLICATION = "django.core.wsgi:get_wsgi_application()"
START_SECONDS = 30
TRIES = 3

EACH = 4
"""Requests of each of many browsers in a batch, which takes a second or two."""


class Server(Child):
    """A server of the contender's site, with one process, on a port of its own."""

    def __init__(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
            self.address: tuple[str, int] = listening.getsockname()
            number = listening.fileno()
            super().__init__(
                [sys.executable, "-m", *self.command(number)],
                env=place.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
            )

    def command(self, number: int) -> Sequence[str]:
        """Return the module to run, and its arguments, for this listening socket."""
        raise NotImplementedError


class WebServer(Server):
    """gunicorn with one thread."""

    def command(self, number: int) -> Sequence[str]:
        """See ``Server``."""
        return [
            *("gunicorn", "--bind", f"fd://{number}"),
            *("--workers", "1", "--worker-class", "gthread"),
            *("--threads", "1", "--keep-alive", "600"),
            *("--no-control-socket", APPLICATION),
        ]


class AsyncServer(Server):
    """uvicorn."""

    def command(self, number: int) -> Sequence[str]:
        """See ``Server``."""
        return ["tests.benchmarks.asgi_server", f"{number}"]


class Browser:
    """One connection, kept alive, and the cookies of many sessions in turn.

    ``has_cookie``: the answers must set one, as a session does that is saved.
    """

    def __init__(
        self,
        server: Server,
        path: str,
        keys: list[str],
        *,
        has_cookie: bool = False,
    ) -> None:
        self._has_cookie = has_cookie
        self._is_signed_in = all(keys)
        self._requests = [request_of(path, key) for key in keys]
        try:
            self._socket = socket.create_connection(server.address, START_SECONDS)
        except OSError as error:
            raise ContenderError(f"the server does not answer: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._at = 0
        self.times = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._socket.close()

    def warm(self) -> None:
        """Make every request once; raise where an answer is not the one expected."""
        for request in self._requests:
            self._check(self._ask(request))

    def calibrate(self, seconds: float) -> None:
        """Find how many requests take as long."""
        while min(self.time() for _ in range(TRIES)) * self.times < seconds:
            self.times *= 2

    def time(self) -> float:
        """Make a batch of requests; return the seconds that one took."""
        for request in self._requests[:5]:  # the processor has forgotten it
            self._ask(request)
        begin = time.perf_counter()
        for number in range(self._at, self._at + self.times):
            answer = self._ask(self._requests[number % len(self._requests)])
        took = time.perf_counter() - begin
        self._check(answer)
        self._at += self.times
        return took / self.times

    def _ask(self, request: bytes) -> bytes:
        answer = b""
        try:
            self._socket.sendall(request)
            while not is_whole(answer):
                data = self._socket.recv(65536)
                if not data:
                    raise ContenderError("the server has closed the connection")
                answer += data
        except OSError as error:
            raise ContenderError(f"the server does not answer: {error}") from error
        return answer

    def _check(self, answer: bytes) -> None:
        is_known = b"\r\n\r\nuser" in answer
        if not answer.startswith(b"HTTP/1.1 200") or is_known != self._is_signed_in:
            raise ContenderError(f"the server said {answer[:200]!r}")
        if self._has_cookie and b"\r\nset-cookie:" not in answer.lower():
            raise ContenderError("the session was not saved")


class Crowd(Asked):
    """Many browsers at once, in a process of their own; see ``crowd``."""

    def __init__(self, server: Server) -> None:
        super().__init__("crowd", *map(str, server.address))

    def connect(self, path: str, keys: list[str]) -> None:
        """Open a connection for each session, and make every request."""
        self.result()
        self.ask("connect", path=path, keys=keys)
        self.time()

    def time(self) -> float:
        """Let every browser make its requests; return the seconds that one took."""
        seconds: float = self.ask("run", each=EACH)
        return seconds


def request_of(path: str, key: str) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"User-Agent: {AGENT}"]
    lines += [f"Cookie: sessionid={key}"] if key else []
    return "\r\n".join([*lines, "", ""]).encode()


def is_whole(answer: bytes) -> bool:
    """Tell whether an answer has come to its end."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    _, _, rest = head.lower().partition(b"content-length: ")
    # Without a length, as an error page has it, what has come is all that is read.
    return not rest or len(body) >= int(rest.partition(b"\r\n")[0])
