"""The system checks: each finds what it is for, and none finds anything else."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.core.checks.registry import registry
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.cache import CacheConfig

from expire_sessions import checks
from expire_sessions.checks import check_cache, check_server, check_settings
from expire_sessions.connections import connection_for, forget_connections
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.installed import check_installed
from tests.server_plugin import another_server

WRONG: dict[str, tuple[str, list[Any]]] = {
    "E011": ("EXPIRE_MAX_USERS", [-1, "3", True, 1.5, [], object()]),
    "E012": ("EXPIRE_LOG_LIMIT", [-1, "3", False, 1.5]),
    "E013": ("EXPIRE_POLICY", ["refuse", "ask", None, 1, []]),
    "E014": ("EXPIRE_TOUCH_INTERVAL", [-1, "60", True, []]),
    "E017": ("EXPIRE_LOG_AGE", [-1, "30", True, 36_526, float("inf"), []]),
    "E015": ("EXPIRE_CLIENT_IP", [None, 1, "nothing", "no.such.module", "os.path.sep"]),
}
RIGHT: dict[str, list[Any]] = {
    "EXPIRE_MAX_USERS": [None, 0, 1, 10**9],
    "EXPIRE_LOG_LIMIT": [None, 0, 1],
    "EXPIRE_POLICY": ["evict"],
    "EXPIRE_TOUCH_INTERVAL": [None, 0, 0.5, 60],
    "EXPIRE_LOG_AGE": [None, 0, 0.5, 30],
    "EXPIRE_CLIENT_IP": ["expire_sessions.clients.remote_addr"],
}


README = Path(__file__).parent.parent / "README.md"
HEADINGS = re.findall(r"^## (.+)$", README.read_text(encoding="utf-8"), re.MULTILINE)


def ids(messages: list[CheckMessage]) -> set[str]:
    """Return the short ids of our messages; each sends to a section of the README."""
    ours = [m for m in messages if str(m.id).startswith("expire_sessions.")]
    for message in ours:
        assert re.findall('README: "(.+)"', str(message.hint))[0] in HEADINGS
    return {str(message.id).removeprefix("expire_sessions.") for message in ours}


def caches(location: str = "redis://127.0.0.1:1/0", **changes: Any) -> dict[str, Any]:
    """Return CACHES with another server, or other keys for the cache."""
    cache: dict[str, Any] = settings.CACHES["default"]
    options = {**cache["OPTIONS"], **changes.pop("OPTIONS", {})}
    return {"default": {**cache, "LOCATION": location, "OPTIONS": options, **changes}}


@pytest.mark.parametrize(
    "number,name,value",
    [(n, name, value) for n, (name, values) in WRONG.items() for value in values],
)
def test_a_wrong_value_is_found(number: str, name: str, value: object) -> None:
    with override_settings(**{name: value}):
        messages = check_settings()
    assert ids(messages) == {number}
    assert name in messages[0].msg


@pytest.mark.parametrize(
    "name,value", [(name, value) for name, values in RIGHT.items() for value in values]
)
def test_a_right_value_is_not(name: str, value: object) -> None:
    with override_settings(**{name: value}):
        assert check_settings() == []


@pytest.mark.parametrize(
    "name", ["EXPIRE_IDLE_AGE", "EXPIRE_ABSOLUTE_AGE", "EXPIRE_NOTICE_AGE"]
)
def test_a_setting_of_a_later_version_is_not_known(name: str) -> None:
    with override_settings(**{name: 1}):
        assert ids(check_settings()) == {"W016"}


def test_a_misspelt_setting_is_told_its_name() -> None:
    with override_settings(EXPIRE_MAX_USER=3):
        (message,) = check_settings()
    assert "EXPIRE_MAX_USERS" in message.msg


def echo_key(key: str, prefix: str, version: int) -> str:
    """Name a key twice."""
    return f"{key}{key}"


def short_key(key: str, prefix: str, version: int) -> str:
    """Cut a key."""
    return key[:10]


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no such alias": ({}, "E021"),
    "not django-redis": (
        {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "E021",
    ),
    "a backend that is not there": ({"BACKEND": "no.such.Cache"}, "E021"),
    "an address without a scheme": ({"location": "127.0.0.1:6379"}, "E021"),
    "ShardClient": (
        {"OPTIONS": {"CLIENT_CLASS": "django_redis.client.ShardClient"}},
        "E021",
    ),
    "HerdClient": (
        {"OPTIONS": {"CLIENT_CLASS": "django_redis.client.HerdClient"}},
        "E021",
    ),
    "client-side caching": (
        {
            "location": "redis://127.0.0.1:2/0",  # django-redis has a pool by address
            "OPTIONS": {
                "CONNECTION_POOL_KWARGS": {"cache_config": CacheConfig(), "protocol": 3}
            },
        },
        "E021",
    ),
    "a key function that repeats": (
        {"KEY_FUNCTION": "tests.test_checks.echo_key"},
        "E022",
    ),
    "a key function that cuts": (
        {"KEY_FUNCTION": "tests.test_checks.short_key"},
        "E022",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_cache_that_cannot_hold_sessions_is_found(case: str) -> None:
    changes, number = UNUSABLE[case]
    alias = "missing" if case == "no such alias" else "default"
    configured: dict[str, Any] = {"CACHES": caches(**changes)}
    with override_settings(SESSION_CACHE_ALIAS=alias, **configured):
        assert ids(check_cache()) == {number}
        assert check_server() == [] or number == "E022"
        with pytest.raises(InvalidSetup):
            connection_for(alias)


def test_pickle_is_warned_of() -> None:
    pickle = "django_redis.serializers.pickle.PickleSerializer"
    with override_settings(CACHES=caches(OPTIONS={"SERIALIZER": pickle})):
        assert ids(check_cache()) == {"W023"}
    with override_settings(CACHES=caches()):
        assert check_cache() == []


def test_the_app_has_to_be_installed() -> None:
    apps = [app for app in settings.INSTALLED_APPS if app != "expire_sessions"]
    assert check_installed() == []
    with override_settings(INSTALLED_APPS=apps):
        assert ids(check_installed()) == {"E001"}
        forget_connections()
        with pytest.raises(InvalidSetup, match="INSTALLED_APPS"):
            connection_for("default")
        with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
            assert check_installed() == []


@pytest.mark.parametrize("engine", ["django.contrib.sessions.backends.db", "no.such"])
def test_another_engine_is_not_our_concern(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine, CACHES={}):
        assert [*check_cache(), *check_server()] == []


def test_only_deploy_asks_the_server() -> None:
    """Who asks waits for an answer: this one listens, and never gives any."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with override_settings(CACHES=caches(url)):
            assert ids(run_checks()) == set()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_deploy_tells_that_the_server_could_not_be_asked() -> None:
    """There is none at this address."""
    with override_settings(CACHES=caches()):
        assert ids(run_checks(include_deployment_checks=True)) == {"W035"}


SERVERS = {
    "keeps everything": (["--appendonly", "yes"], set()),
    "has save points": (["--save", "3600", "1"], set()),
    "keeps nothing": ([], {"W032"}),
    "may evict": (
        ["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"],
        {"W031"},
    ),
    "may evict what has an age, as sessions have": (
        ["--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"],
        {"W031"},
    ),
    "is managed, and does not tell": (["--rename-command", "CONFIG", ""], set()),
    "tells nothing at all": (["--rename-command", "INFO", ""], {"W035"}),
}


@pytest.mark.parametrize("case", SERVERS)
def test_deploy_finds_how_the_server_is_set_up(case: str) -> None:
    options, expected = SERVERS[case]
    with (
        another_server(*options) as server,
        override_settings(CACHES=caches(server.url)),
    ):
        assert ids(check_server()) == expected
        connection_for("default").client.connection_pool.disconnect()


def test_ignored_exceptions_are_warned_of() -> None:
    with override_settings(CACHES=caches(OPTIONS={"IGNORE_EXCEPTIONS": True})):
        assert "W034" in ids(check_server())


@pytest.mark.parametrize("oldest,found", [((0, 100), False), ((10**9, 0), True)])
def test_an_old_server_is_found(
    oldest: tuple[int, int], found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is as old as the oldest that is supported: let that be another."""
    monkeypatch.setattr(checks, "OLDEST_SERVER", oldest)
    assert ("E033" in ids(check_server())) is found


ODD_PATHS = [
    "",
    ".",
    "..",
    ".x",
    "x.",
    "x..y",
    "\0.x",
    "no.such",
    "os.path",
    b"os.path",
]
odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(object())
)
odd_values = st.one_of(
    st.sampled_from(ODD_PATHS), odd, st.lists(odd), st.dictionaries(st.text(), odd)
)


def anything(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test with many odd values, however long a server takes to refuse."""
    return hypothesis_settings(deadline=None)(given(value=odd_values)(test))


def assert_no_check_raises(**changed: Any) -> None:
    """Run every check on changed settings."""
    with override_settings(**changed):
        for check in (check_installed, check_settings, check_cache, check_server):
            check()


@pytest.mark.parametrize("name", [*RIGHT, "SESSION_ENGINE", "SESSION_CACHE_ALIAS"])
@anything
def test_no_check_raises_whatever_the_settings(name: str, value: object) -> None:
    assert_no_check_raises(**{"CACHES": caches(), name: value})


@pytest.mark.parametrize(
    "name", ["BACKEND", "LOCATION", "KEY_FUNCTION", "KEY_PREFIX", "VERSION", "OPTIONS"]
)
@anything
def test_no_check_raises_whatever_the_cache(name: str, value: object) -> None:
    cache = {**caches()["default"], name: value}
    assert_no_check_raises(CACHES={"default": cache})


@pytest.mark.parametrize(
    "name",
    [
        "CLIENT_CLASS",
        "COMPRESSOR",
        "CONNECTION_FACTORY",
        "CONNECTION_POOL_CLASS",
        "IGNORE_EXCEPTIONS",
        "PARSER_CLASS",
        "SERIALIZER",
    ],
)
@anything
def test_no_check_raises_whatever_the_options(name: str, value: object) -> None:
    assert_no_check_raises(CACHES=caches(OPTIONS={name: value}))


def test_the_ids_are_unique_and_all_are_tested() -> None:
    listed = re.findall(r"\b([EW]0\d\d)\b", str(checks.__doc__))
    assert len(listed) == len(set(listed))
    source = Path(__file__).read_text(encoding="utf-8")
    assert {number for number in listed if f'"{number}"' not in source} == set()


def test_each_check_is_registered() -> None:
    registered: set[Any] = {*registry.registered_checks}
    assert {check_settings, check_cache, check_installed} <= registered
    deployed: set[Any] = {*registry.deployment_checks}
    assert check_server in deployed
