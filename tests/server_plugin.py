"""Give the whole test run one Redis, before Django reads its settings.

Loaded with ``-p``, ahead of pytest-django. Child processes find the same server
through the environment.
"""

import os
from contextlib import ExitStack

import pytest

from example_project.redis_server import VARIABLE, RedisServer, find_program, redis_url
from expire_sessions import guard

servers = ExitStack()
wanted = os.environ.get(VARIABLE, "")


def server_program() -> str:
    """Return the server program that the run uses."""
    return find_program("" if "://" in wanted else wanted)


def another_server(*options: str) -> RedisServer:
    """Return a server to do things to, of the kind that the run uses."""
    return RedisServer(server_program(), *options)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Start the server."""
    guard.is_armed = False  # the server is for nothing but these tests
    os.environ[VARIABLE] = servers.enter_context(redis_url())


def pytest_unconfigure() -> None:
    """End it."""
    servers.close()
