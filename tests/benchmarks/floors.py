"""What lies below every session: a round trip with redis-py, and one without it."""

import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis

from tests.benchmarks.operations import Operation
from tests.benchmarks.place import Place

__all__ = ["OPERATIONS", "connect", "packed"]

PAYLOAD: Final = b"x" * 250
AGE: Final = 3600


def connect(url: str) -> socket.socket:
    """Connect to the Unix socket of a server, without a client."""
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(urlsplit(url).path)
    return raw


def packed(*words: bytes | str | int) -> bytes:
    """Return a command as it goes over the wire."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    head = f"*{len(parts)}\r\n".encode()
    return head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Floor(Operation):
    """GET, and SET where the session engines save."""

    saves = False

    def prepare(self) -> None:
        place = Place.from_environment()
        kind = _with_redis_py if place.contender == "redis-py" else _with_socket
        names = [f"{place.prefix}:1:{number:059}" for number in range(100)]
        self.gets, self.sets = kind(place.redis, names)
        for save in self.sets:
            save()
        assert PAYLOAD in self.gets[0]()
        self.at = 0

    def warm(self) -> None:
        for get in self.gets[:20]:
            get()

    def run(self, times: int) -> None:
        gets, sets, at = self.gets, self.sets, self.at
        for number in range(at, at + times):
            gets[number % 100]()
            if self.saves:
                sets[number % 100]()
        self.at = at + times


class FloorWithSave(Floor):
    """GET and SET."""

    saves = True


Calls = list[Callable[[], Any]]


def _with_redis_py(url: str, names: list[str]) -> tuple[Calls, Calls]:
    client = Redis.from_url(url)

    def get(name: str) -> Callable[[], Any]:
        return lambda: client.get(name)

    def put(name: str) -> Callable[[], Any]:
        return lambda: client.set(name, PAYLOAD, ex=AGE)

    return [get(name) for name in names], [put(name) for name in names]


def _with_socket(url: str, names: list[str]) -> tuple[Calls, Calls]:
    raw = connect(url)

    def trip(sent: bytes, length: int) -> Callable[[], Any]:
        def call() -> bytes:
            raw.sendall(sent)
            reply = raw.recv(4096)
            while len(reply) < length:
                reply += raw.recv(4096)
            return reply

        return call

    value = len(b"$%d\r\n%s\r\n" % (len(PAYLOAD), PAYLOAD))
    gets = [trip(packed("GET", name), value) for name in names]
    sets = [trip(packed("SET", name, PAYLOAD, "EX", AGE), 5) for name in names]
    return gets, sets


OPERATIONS = {
    "store.load": Floor,
    "store.change": FloorWithSave,
    "store.keep": FloorWithSave,
}
