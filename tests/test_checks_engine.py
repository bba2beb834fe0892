"""The app and its engine go together; a set-up without one of them is told."""

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from expire_sessions import backend
from expire_sessions.checks import check_cache, check_engine, check_server
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.installed import check_installed
from expire_sessions.transport.connections import connection_for, forget_connections
from tests.found import ids

DJANGOS = "django.contrib.sessions.backends.cached_db"
OURS = "expire_sessions.backend"
LIMIT: dict[str, Any] = {"EXPIRE_MAX_USERS": 3}
APPS = [app for app in settings.INSTALLED_APPS if app != "expire_sessions"]


class SessionStore(backend.SessionStore):
    """A project's own: ``SESSION_ENGINE`` can name this module."""


@pytest.mark.parametrize("name", ["EXPIRE_MAX_USERS", "EXPIRE_LOG_LIMIT"])
def test_a_setting_that_no_engine_follows_is_an_error(name: str) -> None:
    with override_settings(SESSION_ENGINE=DJANGOS, **{name: 3}):
        (message,) = check_engine()
    assert ids([message]) == {"E002"}
    assert name in message.msg
    assert DJANGOS in message.msg
    assert OURS in str(message.hint)


@pytest.mark.parametrize(
    "engine", ["expire_session.backend", "expire_sessions.backends", "expire_sessions"]
)
@pytest.mark.parametrize("limit", [{}, LIMIT], ids=["defaults", "limit"])
def test_a_misspelt_engine_is_an_error(engine: str, limit: dict[str, Any]) -> None:
    with override_settings(SESSION_ENGINE=engine, **limit):
        (message,) = check_engine()
    assert ids([message]) == {"E003"}
    assert repr(engine) in message.msg
    assert f'"{OURS}"' in str(message.hint)


def test_any_engine_that_cannot_be_imported_is_an_error_where_a_limit_is_set() -> None:
    with override_settings(SESSION_ENGINE="no.such", **LIMIT):
        assert ids(check_engine()) == {"E003"}


@pytest.mark.parametrize("engine", [OURS, __name__])
def test_our_engine_follows_the_settings(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine, **LIMIT):
        assert check_engine() == []


@pytest.mark.parametrize("engine", [DJANGOS, "no.such"])
def test_another_engine_is_not_our_concern(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine, CACHES={}, EXPIRE_TOKENS=3):
        assert [*check_engine(), *check_cache(), *check_server()] == []


@pytest.mark.parametrize("engine", [OURS, __name__])
def test_the_app_has_to_be_installed(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine):
        assert check_installed() == []
        with override_settings(INSTALLED_APPS=APPS):
            assert ids(check_installed()) == {"E001"}


def test_without_the_app_there_is_no_connection() -> None:
    forget_connections()
    with (
        override_settings(INSTALLED_APPS=APPS),
        pytest.raises(InvalidSetup, match="INSTALLED_APPS"),
    ):
        connection_for("default")


def test_another_engine_needs_no_app_of_ours() -> None:
    with override_settings(INSTALLED_APPS=APPS, SESSION_ENGINE=DJANGOS):
        assert check_installed() == []


SITE = """
import sys
import django
from django.conf import settings

class Urls:
    urlpatterns = []

settings.configure(
    SECRET_KEY="x" * 50,
    ROOT_URLCONF=Urls,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"]
    + {more!r},
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="expire_sessions.backend",
)
django.setup()
{program}
"""
CHECK = "from django.core.management import call_command; call_command('check')"
SERVE = "from django.core.wsgi import get_wsgi_application; get_wsgi_application()"


def run_in_site(program: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a site of its own, with ``more`` apps."""
    source = SITE.format(more=list(more), program=program)
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )


def test_a_server_without_the_app_does_not_start() -> None:
    done = run_in_site(SERVE)
    assert done.returncode != 0
    assert "Add 'expire_sessions' to INSTALLED_APPS" in done.stderr.splitlines()[-1]
    assert run_in_site(SERVE, "expire_sessions").returncode == 0


def test_check_finds_the_missing_app_where_anything_imports_the_package() -> None:
    """Handlers of ``expire_check`` do, for one. Nothing of Django does."""
    done = run_in_site(f"import expire_sessions.signals; {CHECK}")
    assert "expire_sessions.E001" in done.stderr
    assert run_in_site(CHECK).returncode == 0
