"""A small project of somebody who uses the engine, with tests of its own.

Its tests know nothing of how they are kept apart. Each signs user 1 in with three
browsers at a limit of one, so any two that share a Redis sign each other's users out.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import expire_sessions
from tests.databases import from_environment

POSTGRESQL = "django.db.backends.postgresql"

MANAGE = """
import multiprocessing, os, sys
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
    if method := os.environ.get("SHOP_START_METHOD"):
        multiprocessing.set_start_method(method)
    execute_from_command_line(sys.argv)
"""

SETTINGS = """
SECRET_KEY = "of a project that lives for one test"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "expire_sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SESSION_ENGINE = "expire_sessions.backend"
"""

URLS = """
from django.http import HttpResponse
from django.urls import path


def whoami(request):
    return HttpResponse(request.user.get_username())


urlpatterns = [path("whoami/", whoami)]
"""

CHECKS = '''
"""What every test of this project looks at."""

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client

from expire_sessions.models import LoggedSession
from expire_sessions.sessions import UserSessions

ALIAS = settings.SESSION_CACHE_ALIAS
OTHERS = {name: {**cache} for name, cache in settings.CACHES.items() if name != ALIAS}

for name in OTHERS:
    caches[name].set("kept", "over all tests", None)


def who(browser):
    return browser.get("/whoami/").content.decode()


def check_the_limit():
    redis = caches[ALIAS].client.get_client()
    assert redis.dbsize() == 0, "sessions of another test are there"
    user = User.objects.create(pk=1, username="ann")
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        browser.force_login(user)
        assert who(browser) == "ann"
    assert [who(browser) for browser in browsers] == ["", "", "ann"]
    assert len(UserSessions(user).list()) == 1
    assert LoggedSession.objects.ended().count() == 2
    assert LoggedSession.objects.count() == 3
    check_the_other_caches()


def check_the_other_caches():
    for name, configured in OTHERS.items():
        assert settings.CACHES[name] == configured
        assert caches[name].get("kept") == "over all tests"
'''

CASES = """
from django.test import TestCase, TransactionTestCase
from shop.checks import check_the_limit
{imports}

class Logins:
    def test_one(self):
        check_the_limit()

    def test_another(self):
        check_the_limit()

    def test_a_third(self):
        check_the_limit()


class FirstTests({mixin}Logins, TestCase):
    pass


class SecondTests({mixin}Logins, TestCase):
    pass


class ThirdTests({mixin}Logins, TestCase):
    pass


class FourthTests({mixin}Logins, TestCase):
    pass


class FifthTests({mixin}Logins, TransactionTestCase):
    pass


class SixthTests({mixin}Logins, TransactionTestCase):
    async def test_async(self):
        from asgiref.sync import sync_to_async
        await sync_to_async(check_the_limit)()
"""
TEST_METHODS = 19

FUNCTIONS = """
import pytest
from django.test import override_settings
from shop.checks import ALIAS, check_the_limit
from django.conf import settings

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", range(6))
def test_the_limit(number):
    check_the_limit()


@override_settings(
    CACHES={**settings.CACHES, "more": {
        "BACKEND": "django.core.cache.backends.dummy.DummyCache"
    }}
)
def test_the_limit_beside_another_cache():
    check_the_limit()


def test_the_limit_with_other_settings(settings):
    settings.CACHES = {**settings.CACHES, ALIAS: {**settings.CACHES[ALIAS]}}
    check_the_limit()
"""
TEST_FUNCTIONS = 8

PYTEST = """
[pytest]
DJANGO_SETTINGS_MODULE = shop.settings
python_files = tests.py functions.py
filterwarnings = error
addopts = -p no:cacheprovider
"""

PLUGIN = 'pytest_plugins = ["expire_sessions.testing.plugin"]\n'
RUNNER = 'TEST_RUNNER = "expire_sessions.testing.runner.OwnRedisRunner"\n'


def redis_cache(url: str, **changes: object) -> dict[str, object]:
    """Return the entry of CACHES that the README tells to write down."""
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "OPTIONS": {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"},
        **changes,
    }


def sessions_apart(url: str, **changes: object) -> str:
    """Return settings with sessions in a cache of their own."""
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    caches = {"default": local, "sessions": redis_cache(url, **changes)}
    return f'CACHES = {caches!r}\nSESSION_CACHE_ALIAS = "sessions"\n'


def sessions_in_default(url: str) -> str:
    """Return settings with sessions in the general cache."""
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    caches = {"default": redis_cache(url), "local": local}
    return f"CACHES = {caches!r}\n"


class Project:
    """The project in a directory.

    Args:
        caches: the part of the settings that says where the sessions are.
        extra: further settings.
        conftest: of pytest.
        mixin: the class that each test class names first, as a dotted path.
    """

    def __init__(
        self,
        directory: Path,
        caches: str,
        *,
        extra: str = "",
        conftest: str = "",
        mixin: str = "",
    ) -> None:
        self._directory = directory
        module, _, name = mixin.rpartition(".")
        files = {
            "manage.py": MANAGE,
            "pytest.ini": PYTEST,
            "conftest.py": conftest,
            "shop/__init__.py": "",
            "shop/settings.py": SETTINGS + caches + extra + self._database(),
            "shop/urls.py": URLS,
            "shop/checks.py": CHECKS,
            "shop/functions.py": FUNCTIONS,
            "shop/tests.py": CASES.format(
                mixin=f"{name}, " if mixin else "",
                imports=f"from {module} import {name}\n" if mixin else "",
            ),
        }
        for path, text in files.items():
            target = directory / path
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, encoding="utf-8")

    def pytest(self, *options: str) -> "Done":
        """Run its tests with pytest."""
        return self._run("-m", "pytest", *options)

    def manage(self, *arguments: str, **environment: str) -> "Done":
        """Run a command of Django."""
        return self._run("manage.py", *arguments, **environment)

    def run(self, program: str, **environment: str) -> "Done":
        """Run some Python in it."""
        return self._run("-c", program, **environment)

    def _database(self) -> str:
        configured = from_environment()
        if configured["ENGINE"] == POSTGRESQL:
            entry = {**configured, "NAME": "postgres", "TEST": {"NAME": "test_shop"}}
        else:
            path = str(self._directory / "db.sqlite3")
            entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
        return f"DATABASES = {{'default': {entry!r}}}\n"

    def _run(self, *arguments: str, **environment: str) -> "Done":
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST", "DJANGO", "EXPIRE"))
        }
        here = Path(str(expire_sessions.__file__)).parent.parent
        paths = os.pathsep.join([str(self._directory), str(here)])
        return Done(
            subprocess.run(
                [sys.executable, "-W", "always::ResourceWarning", *arguments],
                cwd=self._directory,
                env={**inherited, "PYTHONPATH": paths, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
        )


class Done:
    """What came of a run."""

    def __init__(self, process: Any) -> None:
        self.code: int = process.returncode
        self.output: str = process.stdout

    def assert_passed(self, tests: int) -> None:
        """Look whether all tests passed, and left nothing behind."""
        counts = (f"{tests} passed", f"Ran {tests} tests")
        assert self.code == 0, self.output
        assert any(count in self.output for count in counts), self.output
        assert "ResourceWarning" not in self.output, self.output
