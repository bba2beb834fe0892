"""The example site, served from this process."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.cache import caches
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from example_project.demo.accounts import create_accounts

HOST = "127.0.0.1"


class QuietHandler(WSGIRequestHandler):
    """Says nothing about each request: the demo has the word."""

    disable_nagle_algorithm = True  # head and body are two writes: 40 ms a page

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Drop it."""


@contextmanager
def serve() -> Iterator[str]:
    """Give the address of the site, with its database and accounts made."""
    try:
        call_command("migrate", verbosity=0)
        create_accounts()
        with _serving() as address:
            yield address
    finally:
        connections.close_all()
        _forget_keys()


@contextmanager
def _serving() -> Iterator[str]:
    # Port 0: the system picks a free one, and from here on it is taken.
    server = ThreadedWSGIServer((HOST, 0), QuietHandler)
    server.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forget_keys() -> None:
    """Delete what this run has put into Redis, by its key prefix."""
    cache: RedisCache = caches[settings.SESSION_CACHE_ALIAS]
    # A server of the demo's own has had the same Ctrl-C, and may be gone.
    with suppress(RedisError, ConnectionInterrupted):
        cache.delete_pattern("*")
