"""The demo: it shows the job, notices where it is not done, and ends what it began."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from example_project.redis_server import VARIABLE

ROOT = Path(__file__).parents[1]
DEMO = ("-m", "example_project.demo")
SECONDS = 60
"""Long enough for any machine; only a demo that hangs takes them."""

WITHOUT = """
from example_project.members.apps import MembersConfig
from expire_sessions.signals import expire_check
ready = MembersConfig.ready
def ready_without(self):
    ready(self)
    assert expire_check.disconnect(dispatch_uid="{handler}")
MembersConfig.ready = ready_without
"""
RUN = """
import sys
from example_project.demo.__main__ import main
sys.exit(main())
"""


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run Python without a terminal; return its exit code and all it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout


class Terminal:
    """A demo on a terminal of its own, with a Redis of its own."""

    def __init__(self, directory: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, *DEMO],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": directory, VARIABLE: ""},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read_until(self, text: str) -> None:
        """Read what it prints up to and with this text."""
        while text not in self.text:
            assert self._read(), f"It ended without {text!r}: {self.text}"

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code. All that runs there is told."""
        os.killpg(self.process.pid, signal.SIGINT)
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def close(self) -> None:
        """End all that is still there."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], SECONDS)
        assert ready, f"It hangs: {self.text}"
        try:
            read = os.read(self._master, 65536)
        except OSError:  # how Linux says that nobody is at the other side
            return False
        self.text += read.decode()
        return bool(read)


@contextmanager
def demo_on_terminal() -> Iterator[Terminal]:
    """Give a demo on a terminal; in the end, see that it has left nothing behind."""
    # Not tmp_path: the path of a Unix socket is short.
    with tempfile.TemporaryDirectory() as directory:
        terminal = Terminal(directory)
        try:
            yield terminal
            with pytest.raises(ProcessLookupError):
                os.killpg(terminal.process.pid, 0)
            assert not list(Path(directory).iterdir())
        finally:
            terminal.close()


@pytest.fixture(scope="module")
def text() -> str:
    """What a demo prints that is left to itself."""
    code, text = run("-W", "error", *DEMO)
    assert code == 0, text
    return text


def test_each_step_does_what_it_says(text: str) -> None:
    for line in (
        "Ann signs in with Chrome on Windows",
        "Bob is signed in: Chrome on Windows, Safari on iPhone, Edge on Windows",
        "Root's page lists 5 live",
        "18 logins, 18 rows, each with its end or active",
        "Of Ann's 5 logins that ended the newest 3 are kept",
        "The rows of the others are as they were",
    ):
        assert f"   ok  {line}\n" in text
    assert text.count("   ok  Firefox on Linux is signed out on its next request") == 3
    assert "   ok  The page says so, and no more\n" in text
    # Each text is broken over lines.
    words = " ".join(text.split())
    for device in ("Chrome on Windows", "Edge on Windows"):
        told = f"You signed in on another device ({device}), so this one was signed"
        assert f"ok Its page says: {told} out." in words
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert text.endswith("\nEvery step did what it said.\n")


def test_a_login_is_refused_and_a_person_is_asked(text: str) -> None:
    for line in (
        "Chrome on Windows is refused: status 403",
        "It does not look like a wrong password",
        "A client that asks for JSON is told the code: session_limit_reached",
        "Now Chrome on Windows gets in",
        "Chrome on Windows is led to the choice, for a link to /?from=a-mail",
        "It shows Firefox on Linux",
        "Nobody is signed in there yet",
        "Dan chooses it, and is sent on to /?from=a-mail",
    ):
        assert f"   ok  {line}\n" in text
    words = " ".join(text.split())
    assert (
        "ok Its page says: Your sign-in details are right, but this account is" in words
    )
    assert "ok Its page says: You were signed out here from another device" in words
    assert len(re.findall(r"^   cleo .* refused$", text, re.MULTILINE)) == 4


def test_the_history_is_a_table_of_who_and_when_and_why(text: str) -> None:
    time = r"\d\d:\d\d:\d\d"
    head = r"user +signed in +ip +browser +ended +reason\n"
    row = rf"bob +{time} +127\.0\.0\.1 +Firefox on Linux +{time} +evicted\n"
    assert len(re.findall(head, text)) == 2
    assert len(re.findall(row, text)) == 2


@pytest.mark.parametrize(
    "environment, failed, expected, found",
    [
        (
            {"EXAMPLE_MAX_USERS": "2"},
            "Firefox on Linux is signed out on its next request",
            "nobody",
            "ann",
        ),
        (
            {"EXAMPLE_LOG_LIMIT": "4"},
            "Of Ann's 5 logins that ended the newest 3 are kept",
            "['Safari on iPhone', ",
            "['Chrome on Windows', ",
        ),
    ],
    ids=["a higher limit", "a longer history"],
)
def test_a_site_that_is_set_up_differently_fails_a_step(
    environment: dict[str, str], failed: str, expected: str, found: str
) -> None:
    code, text = run(*DEMO, **environment)

    assert code == 1
    assert f"   FAILED  {failed}\n" in text
    assert f" expected: {expected}" in text
    assert f" found:    {found}" in text
    assert "Every step did what it said" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "handler, failed",
    [
        ("team_limit", "Bob is signed in: Firefox on Linux, Chrome on Windows, Safari"),
        ("superuser_handler", "Root is signed in: "),
        ("group_policy", "Chrome on Windows is refused: status 403"),
    ],
)
def test_a_handler_that_is_not_connected_fails_a_step(
    handler: str, failed: str
) -> None:
    code, text = run("-c", WITHOUT.format(handler=handler) + RUN)

    assert code == 1
    assert f"   FAILED  {failed}" in text
    assert "Traceback" not in text


def test_a_site_that_fails_to_answer_fails_a_step() -> None:
    code, text = run(*DEMO, EXAMPLE_MAX_USERS="-1")

    assert code == 1
    assert "   FAILED  Server error '500 Internal Server Error'" in text


def test_a_redis_of_somebody_is_left_as_it_was(server: redis.Redis) -> None:
    server.set("somebody's", "data")

    code, _ = run(*DEMO)

    assert code == 0
    assert server.keys() == [b"somebody's"]


def test_a_redis_that_does_not_answer_is_named() -> None:
    code, text = run(*DEMO, **{VARIABLE: "unix:///nowhere/socket"})

    assert code == 1
    assert text.startswith(f"The Redis of {VARIABLE} does not answer: ")
    assert "Traceback" not in text


def test_on_a_terminal_the_site_stays_up_until_it_is_interrupted() -> None:
    with demo_on_terminal() as terminal:
        terminal.read_until("Ctrl-C ends it.")
        stays = re.search(
            r"The site stays up at (http://127\.0\.0\.1:\d+/)", terminal.text
        )
        assert stays, terminal.text
        page = httpx.get(f"{stays[1]}login/", trust_env=False)
        code = terminal.interrupt()

    assert page.status_code == 200
    assert 'name="password"' in page.text
    for account in ("ann", "bob", "cleo", "dan", "root"):
        assert re.search(
            rf"^   {account} +{account}-demo ", terminal.text, re.MULTILINE
        )
    assert [line for line in terminal.text.splitlines() if len(line) > 80] == []
    assert code == 0
    assert "Traceback" not in terminal.text


def test_a_step_can_be_interrupted() -> None:
    with demo_on_terminal() as terminal:
        terminal.read_until("1. ")
        code = terminal.interrupt()

    assert code == 130
    assert "Traceback" not in terminal.text


def test_the_site_passes_its_checks() -> None:
    code, text = run(
        "-W", "error", "-m", "example_project", "check", "--fail-level=INFO"
    )

    assert code == 0
    assert text == "System check identified no issues (0 silenced).\n"
