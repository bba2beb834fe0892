"""Give the whole test run one Redis, before Django reads its settings.

Loaded with ``-p``, ahead of pytest-django. Child processes find the same server
through the environment.
"""

import os
from contextlib import ExitStack

import pytest

from example_project.redis_server import VARIABLE, redis_url

servers = ExitStack()


def pytest_load_initial_conftests() -> None:
    """Start the server."""
    os.environ[VARIABLE] = servers.enter_context(redis_url())


pytest_load_initial_conftests = pytest.hookimpl(tryfirst=True)(
    pytest_load_initial_conftests
)


def pytest_unconfigure() -> None:
    """End it."""
    servers.close()
