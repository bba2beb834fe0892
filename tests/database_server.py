"""A PostgreSQL or a MariaDB of its own for one command.

``python -m tests.database_server postgresql python -m pytest``

The server lives in a new directory, listens on a Unix socket in it and nowhere
else, and ends with the command, which finds it through the environment. Without a
command: only tell whether the programs of that server are there.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.databases import VARIABLE

START_SECONDS = 60
STOP_SECONDS = 20
NAME = "test_expire_sessions"
UNPRIVILEGED = "nobody"
"""Who runs the server where root runs the tests: no database server runs as root."""


class NoServerError(Exception):
    """The server cannot be started."""


class Server(Protocol):
    """What is to be known of a kind of server. Its directory is empty at first."""

    def __init__(self, directory: Path) -> None: ...

    def creation(self) -> list[str]:
        """Return the command that fills the directory."""

    def service(self) -> list[str]:
        """Return the command that serves from it."""

    def is_ready(self) -> bool:
        """Tell whether it takes connections."""

    def entry(self) -> dict[str, Any]:
        """Return its entry of DATABASES."""


class PostgreSQL:
    """Everybody who can open the socket is its superuser."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._data = str(directory / "data")
        # Of one version: Debian keeps several side by side, and none on PATH.
        self._programs = program("initdb").resolve().parent

    def creation(self) -> list[str]:
        command = [str(self._programs / "initdb"), "--pgdata", self._data]
        command += ["--username", NAME, "--auth", "trust", "--no-sync"]
        return [*command, "--encoding", "UTF8", "--locale", "C"]

    def service(self) -> list[str]:
        command = [str(self._programs / "postgres"), "-D", self._data]
        command += ["-k", str(self._directory), "-c", "listen_addresses="]
        return [*command, "-c", "fsync=off", "-c", "full_page_writes=off"]

    def is_ready(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-d", "postgres"]
        command += ["-h", str(self._directory)]
        return subprocess.run(command, check=False).returncode == 0

    def entry(self) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": str(self._directory),
            "USER": NAME,
        }


class MariaDB:
    """Its root has no password."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._data = f"--datadir={directory / 'data'}"
        self._socket = directory / "socket"
        self._install, self._server = program("mariadb-install-db"), program("mariadbd")

    def creation(self) -> list[str]:
        command = [str(self._install), "--no-defaults", self._data, "--skip-test-db"]
        return [*command, "--auth-root-authentication-method=normal"]

    def service(self) -> list[str]:
        command = [str(self._server), "--no-defaults", self._data, "--skip-networking"]
        command += [f"--socket={self._socket}", "--character-set-server=utf8mb4"]
        return [*command, "--innodb-flush-log-at-trx-commit=0", "--pid-file=pid"]

    def is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
            except OSError:
                return False
            return bool(client.recv(1))  # it greets first

    def entry(self) -> dict[str, Any]:
        return {
            "ENGINE": "django.db.backends.mysql",
            "HOST": str(self._socket),
            "USER": "root",
            "OPTIONS": {"charset": "utf8mb4"},
        }


SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}


def program(name: str) -> Path:
    """Find a program, also where Debian and others keep servers off PATH.

    Raises:
        NoServerError: it is not there.
    """
    places = [*os.get_exec_path(), "/usr/local/sbin", "/usr/sbin"]
    if config := shutil.which("pg_config"):
        found = subprocess.run(
            [config, "--bindir"], stdout=subprocess.PIPE, text=True, check=False
        )
        places.append(found.stdout.strip())
    places += sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    path = shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        raise NoServerError(f"There is no {name} on this machine.")
    return Path(path)


@contextmanager
def running(kind: type[Server]) -> Iterator[dict[str, Any]]:
    """Run a server; give its entry of DATABASES."""
    with tempfile.TemporaryDirectory(prefix="db-", ignore_cleanup_errors=True) as path:
        directory = Path(path)
        log = directory / "log"
        server = kind(directory)
        account = _account(directory)
        with log.open("wb") as output:
            made = subprocess.run(
                server.creation(),
                cwd=path,
                stdout=output,
                stderr=output,
                check=False,
                **account,
            )
            if made.returncode:
                raise NoServerError(log.read_text(errors="replace"))
            process = subprocess.Popen(
                server.service(),
                cwd=path,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the command; the server goes after it.
                start_new_session=True,
                **account,
            )
        try:
            _wait_for(server, process, log)
            # One name: the processes of the race tests find what the tests made.
            yield {**server.entry(), "NAME": NAME, "TEST": {"NAME": NAME}}
        finally:
            _end(process)


def _account(directory: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(UNPRIVILEGED)
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoServerError(log.read_text(errors="replace"))
        time.sleep(0.05)  # nothing tells when a server begins to listen


def _end(process: subprocess.Popen[bytes]) -> None:
    # To PostgreSQL, SIGTERM means to wait until the last client has gone; to
    # MariaDB, SIGQUIT and SIGTERM are the same.
    process.send_signal(signal.SIGQUIT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(name: str, *command: str) -> int:
    """Run ``command`` with a server of this name; return its exit code."""
    # As an exception, so that the server is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if not command:
            SERVERS[name](Path())
            return 0
        with running(SERVERS[name]) as entry:
            environment = {**os.environ, VARIABLE: json.dumps(entry)}
            return subprocess.run(command, env=environment, check=False).returncode
    except NoServerError as error:
        sys.stderr.write(f"{error}\n")
        return os.EX_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
