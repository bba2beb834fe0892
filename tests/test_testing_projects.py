"""The tests of a project that uses the engine: none of them leaves its own process.

Where its settings point to, nothing listens: what gets out fails. Or a Redis listens
there, and has to stay empty.
"""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from tests.server_plugin import another_server
from tests.throwaway import (
    PLUGIN,
    RUNNER,
    TEST_FUNCTIONS,
    TEST_METHODS,
    Project,
    sessions_apart,
    sessions_in_default,
)

pytestmark = pytest.mark.once  # whole test runs

PYTEST_TESTS = TEST_METHODS + TEST_FUNCTIONS
MIXIN = "expire_sessions.testing.OwnRedisMixin"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses connections and that nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{bound.getsockname()[1]}/0"


@pytest.fixture
def shared() -> Iterator[redis.Redis]:
    """The Redis of a development site, which must stay empty."""
    with another_server() as server, redis.Redis.from_url(server.url) as client:
        yield client
        assert client.dbsize() == 0, client.keys()


def connections_of(client: redis.Redis) -> int:
    """Return how many connections a server has had."""
    return int(client.info("stats")["total_connections_received"])


def url_of(client: redis.Redis) -> str:
    """Return the address of the server of a client."""
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def test_pytest_gives_a_run_a_redis(tmp_path: Path, nowhere: str) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), conftest=PLUGIN)
    project.pytest().assert_passed(PYTEST_TESTS)


@pytest.mark.race
def test_pytest_gives_each_worker_of_xdist_a_redis(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), conftest=PLUGIN)
    project.pytest("-n", "4").assert_passed(PYTEST_TESTS)


@pytest.mark.race
def test_pytest_does_it_for_sessions_in_the_default_cache(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_in_default(nowhere), conftest=PLUGIN)
    project.pytest("-n", "2").assert_passed(PYTEST_TESTS)


@pytest.mark.parametrize("options", [(), ("--parallel", "4")], ids=["one", "four"])
@pytest.mark.parametrize("caches", [sessions_apart, sessions_in_default])
def test_the_test_runner_gives_each_process_a_redis(
    tmp_path: Path,
    nowhere: str,
    caches: Callable[[str], str],
    options: tuple[str, ...],
) -> None:
    project = Project(tmp_path, caches(nowhere), extra=RUNNER)
    project.manage("test", *options).assert_passed(TEST_METHODS)


@pytest.mark.race
def test_the_test_runner_gives_each_spawned_process_a_redis(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), extra=RUNNER)
    done = project.manage("test", "--parallel", "2", SHOP_START_METHOD="spawn")
    done.assert_passed(TEST_METHODS)


@pytest.mark.parametrize("options", [(), ("--parallel", "4")], ids=["one", "four"])
def test_the_mixin_does_it_under_djangos_own_runner(
    tmp_path: Path, nowhere: str, options: tuple[str, ...]
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), mixin=MIXIN)
    project.manage("test", *options).assert_passed(TEST_METHODS)


@pytest.mark.race
def test_a_shared_redis_sees_none_of_it(tmp_path: Path, shared: redis.Redis) -> None:
    """It is not even connected to."""
    before = connections_of(shared)
    project = Project(tmp_path, sessions_apart(url_of(shared)), extra=RUNNER)
    project.pytest("-p", "expire_sessions.testing.plugin").assert_passed(PYTEST_TESTS)
    project.manage("test", "--parallel", "2").assert_passed(TEST_METHODS)
    assert connections_of(shared) == before


def test_without_it_a_test_run_is_refused(tmp_path: Path, shared: redis.Redis) -> None:
    """By pytest and by Django's own runner, before anything is written."""
    project = Project(tmp_path, sessions_apart(url_of(shared)))
    refusal = "InvalidSetup: This is a test run"
    done = project.pytest()
    assert f"{PYTEST_TESTS} failed" in done.output
    assert done.output.count(refusal) >= PYTEST_TESTS
    done = project.manage("test")
    assert f"FAILED (errors={TEST_METHODS})" in done.output
    assert done.output.count(refusal) == TEST_METHODS


def test_a_prefix_says_that_a_redis_is_for_tests(
    tmp_path: Path, server: redis.Redis
) -> None:
    url = str(settings.CACHES["default"]["LOCATION"])
    caches = sessions_apart(url, KEY_PREFIX="shop-test")
    Project(tmp_path, caches).pytest("-k", "test_one and First").assert_passed(1)
    assert server.dbsize() > 0


def test_a_site_is_not_refused(tmp_path: Path, server: redis.Redis) -> None:
    """Not even one that imports Django's test tools and keeps its mail in memory."""
    program = (
        "import django; django.setup()\n"
        "import django.test.utils\n"
        "from django.core import mail\n"
        "mail.get_connection('django.core.mail.backends.locmem.EmailBackend')\n"
        "assert mail.outbox == []\n"
        "from expire_sessions.backend import SessionStore\n"
        "store = SessionStore()\n"
        "store['kept'] = 'here'\n"
        "store.create()\n"
    )
    url = str(settings.CACHES["default"]["LOCATION"])
    project = Project(tmp_path, sessions_apart(url))
    done = project.run(program, DJANGO_SETTINGS_MODULE="shop.settings")
    assert done.code == 0, done.output
    assert server.dbsize() > 0


WITHOUT_SERVERS = """
import os, sys
from expire_sessions.testing import server
server.EMBEDDED = "a_package_that_is_not_installed"
os.environ["PATH"] = ""
"""


def test_pytest_says_what_to_install_where_there_is_no_server(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), conftest=PLUGIN)
    done = project.run(f"{WITHOUT_SERVERS}import pytest\nsys.exit(pytest.main())")
    assert done.code == pytest.ExitCode.USAGE_ERROR, done.output
    assert "ERROR: The tests need a Redis server" in done.output
    assert 'pip install "expire-sessions[testing]"' in done.output


def test_the_test_runner_says_what_to_install_where_there_is_no_server(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), extra=RUNNER)
    command = "sys.argv = ['manage.py', 'test']\nexec(open('manage.py').read())"
    done = project.run(f"{WITHOUT_SERVERS}{command}")
    assert done.code != 0
    assert 'pip install "expire-sessions[testing]"' in done.output


def test_the_plugin_says_that_it_needs_djangos_settings(
    tmp_path: Path, nowhere: str
) -> None:
    project = Project(tmp_path, sessions_apart(nowhere), conftest=PLUGIN)
    done = project.pytest("-p", "no:django", "-o", "DJANGO_SETTINGS_MODULE=")
    assert done.code == pytest.ExitCode.USAGE_ERROR, done.output
    assert "ERROR: expire_sessions.testing.plugin finds no settings" in done.output


def test_nothing_is_started_where_no_test_needs_it(
    tmp_path: Path, nowhere: str
) -> None:
    """No program is run: there is none that could be."""
    project = Project(tmp_path, sessions_apart(nowhere), conftest=PLUGIN)
    (tmp_path / "shop" / "tests.py").write_text("def test_without(): pass\n")
    (tmp_path / "shop" / "functions.py").unlink()
    program = (
        "import subprocess, sys, pytest\n"
        "subprocess.Popen = None\n"
        "sys.exit(pytest.main(['-p', 'no:xdist']))"
    )
    project.run(program).assert_passed(1)
