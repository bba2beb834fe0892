"""A proxy before Redis that can lose a reply: the command ran, nobody hears of it."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Listen on a Unix socket and pass everything on to the Redis at ``url``."""

    def __init__(self, url: str, directory: Path) -> None:
        self._target = urlsplit(url)
        self._path = str(directory / "proxy")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self._path)
        self._server.listen()
        self._losing = b""
        self.lost = 0
        self.url = f"unix://{self._path}?db=0"

    def lose_reply_to(self, command: bytes) -> None:
        """Cut the connection instead of passing on the next reply to ``command``."""
        self._losing = command

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        redis = self._connect()
        losing = threading.Event()
        pump = threading.Thread(
            target=self._pass_replies, args=(redis, client, losing), daemon=True
        )
        pump.start()
        with suppress(OSError):  # cut, by either side
            while request := client.recv(65536):
                if self._losing and self._losing in request:
                    self._losing = b""
                    losing.set()
                redis.sendall(request)
            redis.shutdown(socket.SHUT_RDWR)
        pump.join()
        client.close()
        redis.close()

    def _pass_replies(
        self, redis: socket.socket, client: socket.socket, losing: threading.Event
    ) -> None:
        with suppress(OSError):
            while reply := redis.recv(65536):
                if losing.is_set():
                    self.lost += 1
                    break
                client.sendall(reply)
            client.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> socket.socket:
        if self._target.scheme == "unix":
            redis = socket.socket(socket.AF_UNIX)
            redis.connect(self._target.path)
            return redis
        return socket.create_connection(
            (self._target.hostname, self._target.port or 6379)
        )
