"""A Redis with replicas, and sentinels around it, to be broken by the tests."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import redis

from example_project.redis_server import RedisServer
from tests.server_plugin import another_server, server_program

NAME = "main"
"""What the sentinels call the primary."""

READY_SECONDS = 60

CONFIGURATION = """\
port {port}
bind 127.0.0.1
dir {directory}
sentinel monitor {name} 127.0.0.1 {primary} 2
sentinel down-after-milliseconds {name} 2000
sentinel failover-timeout {name} 3000
"""


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def eventually(condition: Callable[[], object], seconds: float = READY_SECONDS) -> None:
    """Wait until something outside of this process has come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        threading.Event().wait(0.02)


class Server:
    """One server on a port of its own; on a Unix socket, too."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        listening = ("--bind", "127.0.0.1", "--port", str(self.port))
        self._server: RedisServer = another_server(
            *listening, "--repl-diskless-sync-delay", "0", *options
        )

    def client(self) -> redis.Redis:
        """Return a client that asks this server, whoever is the primary."""
        return redis.Redis(port=self.port)

    def kill(self) -> None:
        """End it as a crash would."""
        self._server.stop()

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        process = self._server._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.__exit__(*args)


class Sentinel:
    """One sentinel."""

    def __init__(self, primary: int, directory: Path) -> None:
        self.port = free_port()
        file = directory / f"{self.port}.conf"
        file.write_text(
            CONFIGURATION.format(
                port=self.port, directory=directory, name=NAME, primary=primary
            )
        )
        self._command = [server_program(), str(file), "--sentinel"]

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def knows(self, replicas: int, sentinels: int) -> bool:
        """Tell whether it has found all that there are, and nothing wrong."""
        with redis.Redis(port=self.port) as client:
            try:
                (state,) = client.sentinel_masters().values()
            except redis.ConnectionError:
                assert self._process.poll() is None, "a sentinel did not start"
                return False
        found = (state["num-slaves"], state["num-other-sentinels"], state["flags"])
        return bool(found == (replicas, sentinels - 1, "master"))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *args: object) -> None:
        self.kill()


class Sentinels:
    """A primary, its replicas and its sentinels, all known to each other.

    Takes some seconds to start: sentinels tell of each other every two.
    """

    def __init__(self, *, replicas: int = 1, sentinels: int = 3) -> None:
        self._counts = replicas, sentinels
        self._stack = ExitStack()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The ``SENTINELS`` of django-redis."""
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    def replicate(self) -> None:
        """Wait until a replica has all that was written so far."""
        with self.primary.client() as client:
            client.set("tests:written", "")
            assert client.wait(1, READY_SECONDS * 1000)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *args: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        replicas, sentinels = self._counts
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.primary = stack.enter_context(Server())
        following = ("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replicas = [
            stack.enter_context(Server(*following)) for _ in range(replicas)
        ]
        with self.primary.client() as client:
            eventually(lambda: _online(client) == replicas)
        self.sentinels = [
            stack.enter_context(Sentinel(self.primary.port, directory))
            for _ in range(sentinels)
        ]
        for sentinel in self.sentinels:
            eventually(lambda each=sentinel: each.knows(replicas, sentinels))  # type: ignore[misc] # a closure


def _online(primary: redis.Redis) -> int:
    """Return how many replicas have caught up."""
    info: dict[str, Any] = primary.info("replication")
    return sum(
        info[f"slave{n}"]["state"] == "online" for n in range(info["connected_slaves"])
    )
