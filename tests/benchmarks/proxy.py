"""A proxy on a Unix socket that counts what passes, or delays it.

``python -m tests.benchmarks.proxy LISTEN TARGET redis|other``, a process of its own, so
that it takes no time from what is measured. It stands before Redis, and before
PostgreSQL too, whose protocol it does not read. It is asked in lines on its standard
input.
"""

import json
import os
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from tests.benchmarks.floors import connect


@dataclass(slots=True)
class Commands:
    """Counts the commands in what a client of Redis sends."""

    count: int = 0
    _rest: bytes = b""
    _strings: int = 0
    """Still to come of this command."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._rest += data
        while self._step():
            pass

    def _step(self) -> bool:
        head, found, rest = self._rest.partition(b"\r\n")
        if not found:
            return False
        number = int(head[1:])
        if not self._strings:
            self.count += 1
            self._strings, self._rest = number, rest
            return True
        if len(rest) < number + 2:
            return False
        self._strings -= 1
        self._rest = rest[number + 2 :]
        return True


@dataclass(slots=True)
class Traffic:
    """What has passed, of all connections."""

    commands: int = 0
    trips: int = 0
    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class Proxy:
    """Passes everything on to ``target``."""

    target: str
    is_redis: bool
    delay: float = 0
    """Seconds that each request waits. It does not count commands then: that takes
    longer the more words they have, and no network does."""

    traffic: Traffic = field(default_factory=Traffic)

    def listen(self, path: str) -> None:
        """Take connections, each in a thread, as long as the process lives."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(256)
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with connect(self.target) as server, client, suppress(OSError):
            commands = Commands()
            asks = False
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(65536)
                    if not data:
                        return
                    if side is server:
                        asks = False
                        self._pass_reply(data, client)
                    else:
                        self._pass_request(data, server, commands, follows=asks)
                        asks = True

    def _pass_request(
        self, data: bytes, server: socket.socket, commands: Commands, *, follows: bool
    ) -> None:
        if self.delay and not follows:
            time.sleep(self.delay)
        # Counted before it is passed on: who sees the reply sees the count.
        self.traffic.sent += len(data)
        self.traffic.trips += not follows
        if self.is_redis and not self.delay:
            before = commands.count
            commands.feed(data)
            self.traffic.commands += commands.count - before
        server.sendall(data)

    def _pass_reply(self, data: bytes, client: socket.socket) -> None:
        self.traffic.received += len(data)
        client.sendall(data)


def main(path: str, target: str, kind: str) -> None:
    """Answer until the parent is gone."""
    proxy = Proxy(target, is_redis=kind == "redis")
    proxy.listen(path)
    os.write(1, b"ready\n")
    for line in sys.stdin:
        asked = json.loads(line)
        proxy.delay = asked.get("delay", proxy.delay)
        os.write(1, json.dumps(asdict(proxy.traffic)).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
