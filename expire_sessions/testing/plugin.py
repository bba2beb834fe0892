"""For pytest, with and without xdist, beside pytest-django.

``pytest_plugins = ["expire_sessions.testing.plugin"]`` in the ``conftest.py`` at the
top, or ``-p expire_sessions.testing.plugin`` among the options. It is no entry point:
that would load it into every pytest run wherever this package is installed, also of
projects whose sessions are elsewhere.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from django.conf import settings

from expire_sessions.exceptions import InvalidSetup
from expire_sessions.testing.isolation import clear_sessions, own_redis

_in_force: Final = pytest.StashKey[ExitStack]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Change the session cache, after the settings are there and before any test is.

    Each worker of xdist comes here by itself. A process that runs no test never starts
    its server.
    """
    if not settings.configured:
        raise pytest.UsageError(
            "expire_sessions.testing.plugin finds no settings of Django. Is"
            " pytest-django installed, and DJANGO_SETTINGS_MODULE set?"
        )
    stack = session.stash[_in_force] = ExitStack()
    try:
        stack.enter_context(own_redis())
    except InvalidSetup as error:
        raise pytest.UsageError(str(error)) from error


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Change it back."""
    if _in_force in session.stash:
        session.stash[_in_force].close()


@pytest.fixture(autouse=True)
def _no_session_outlives_its_test() -> Iterator[None]:
    yield
    clear_sessions()
