"""Start what the demo needs, show it, and end what was started.

The exit code is 0 only if every step did what it said. On a terminal the site then
stays up until Ctrl-C.
"""

import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
import redis

from example_project.demo.report import say
from example_project.redis_server import VARIABLE, NoRedisError, redis_url

INTERRUPTED = 130
"""The exit code of a shell's command that was interrupted."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demo and return its exit code."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with redis_url() as url, _set_up(url):
            # It imports models, which have to wait for the settings.
            from example_project.demo.show import show  # noqa: PLC0415

            return show(stay=sys.stdin.isatty() and sys.stdout.isatty())
    except NoRedisError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    # Once: what follows is the end of all that was started, and must not be cut short.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _set_up(url: str) -> Iterator[None]:
    """Set Django up for a site of its own on this Redis."""
    _ping(url)
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "example_project.demo.settings",
            "EXAMPLE_REDIS_URL": url,
            # The server may be somebody's: nothing there is touched but this.
            "EXAMPLE_KEY_PREFIX": f"expire-sessions-demo-{secrets.token_hex(4)}",
            "EXAMPLE_DATABASE": str(Path(directory, "db.sqlite3")),
            "EXAMPLE_SECRET_KEY": secrets.token_urlsafe(48),
        }
        django.setup()
        yield


def _ping(url: str) -> None:
    try:
        with redis.Redis.from_url(url) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise NoRedisError(
            f"The Redis of {VARIABLE} does not answer: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
