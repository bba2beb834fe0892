"""Many browsers at once: ``python -m tests.benchmarks.crowd HOST PORT``.

A process of its own, which takes a fiftieth of the time that the server takes: bytes
ready to send, answers not parsed. It is asked in lines of JSON, see ``worker.serve``.
"""

import selectors
import socket
import sys
import time

from tests.benchmarks.web import is_whole, request_of
from tests.benchmarks.worker import serve

__all__: list[str] = []

PATIENCE = 60
"""Seconds without any answer."""


class Crowd:
    """Connections that are kept alive, each with one request under way at a time."""

    def __init__(self) -> None:
        self._address = (sys.argv[1], int(sys.argv[2]))
        self._selector = selectors.DefaultSelector()
        self._requests: list[bytes] = []
        self._clients: list[socket.socket] = []

    def connect(self, path: str, keys: list[str]) -> None:
        """Open a connection for each of these sessions."""
        for at, key in enumerate(keys):
            client = socket.create_connection(self._address, PATIENCE)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(client, selectors.EVENT_READ, at)
            self._requests.append(request_of(path, key))
            self._clients.append(client)

    def run(self, each: int) -> float:
        """Let every browser ask so often; return the seconds that one request took.

        Raises:
            RuntimeError: an answer is not the one expected.
        """
        left = [each] * len(self._clients)
        answers = [b""] * len(self._clients)
        waiting = len(self._clients)
        begin = time.perf_counter()
        for at, client in enumerate(self._clients):
            client.sendall(self._requests[at])
        while waiting:
            for at in self._readable():
                answers[at] += self._clients[at].recv(65536)
                if not is_whole(answers[at]):
                    continue
                if not _is_right(answers[at]):
                    raise RuntimeError(f"the server said {answers[at][:200]!r}")
                answers[at] = b""
                left[at] -= 1
                if left[at]:
                    self._clients[at].sendall(self._requests[at])
                else:
                    waiting -= 1
        return (time.perf_counter() - begin) / (each * len(self._clients))

    def _readable(self) -> list[int]:
        found = self._selector.select(PATIENCE)
        if not found:
            raise RuntimeError(f"the server said nothing for {PATIENCE} seconds")
        return [key.data for key, _ in found]


def _is_right(answer: bytes) -> bool:
    """Tell whether it holds the number that is in the session, whatever it is."""
    text, _, number = answer.rpartition(b"\r\n\r\n")[2].partition(b" ")
    return answer.startswith(b"HTTP/1.1 200") and text == b"user" and number.isdigit()


if __name__ == "__main__":
    serve(Crowd)
