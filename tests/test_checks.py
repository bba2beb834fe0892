"""The system checks: each finds what it is for, and none finds anything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks.registry import registry
from django.test import override_settings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from expire_sessions import checks
from expire_sessions.checks import (
    check_cache,
    check_deployed_cache,
    check_engine,
    check_policy,
    check_server,
    check_settings,
    check_table,
)
from expire_sessions.conf import KNOWN
from expire_sessions.installed import check_installed
from tests.found import caches, ids

WRONG: dict[str, tuple[str, list[Any]]] = {
    "E011": ("EXPIRE_MAX_USERS", [-1, "3", True, 1.5, [], object()]),
    "E012": ("EXPIRE_LOG_LIMIT", [-1, "3", False, 1.5]),
    "E013": ("EXPIRE_POLICY", ["Evict", "postpone", None, 1, []]),
    "E014": ("EXPIRE_TOUCH_INTERVAL", [-1, "60", True, []]),
    "E018": ("EXPIRE_TIMEOUT", [None, -1, "2", True, 3601, float("nan"), []]),
    "E017": ("EXPIRE_LOG_AGE", [-1, "30", True, 36_526, float("inf"), []]),
    "E042": ("EXPIRE_IDLE_AGE", [0, -1, "60", True, float("inf"), []]),
    "E043": ("EXPIRE_ABSOLUTE_AGE", [0, 0.5, "60", True, float("nan"), []]),
    "E044": ("EXPIRE_NOTICE_AGE", [None, -1, "60", True, []]),
    "E045": ("EXPIRE_PRESET", ["AAL1", "", 1, [], {}]),
    "E015": ("EXPIRE_CLIENT_IP", [None, 1, "nothing", "no.such.module", "os.path.sep"]),
}
RIGHT: dict[str, list[Any]] = {
    "EXPIRE_MAX_USERS": [None, 0, 1, 10**9],
    "EXPIRE_LOG_LIMIT": [None, 0, 1],
    "EXPIRE_POLICY": ["evict", "refuse", "ask"],
    "EXPIRE_IDLE_AGE": [None, 1, 0.5e3, 900],
    "EXPIRE_ABSOLUTE_AGE": [None, 1, 86_400],
    "EXPIRE_NOTICE_AGE": [0, 0.5, 86_400],
    "EXPIRE_PRESET": [None, "aal1", "aal2", "aal3", "pci", "stig", "psd2"],
    "EXPIRE_TOUCH_INTERVAL": [None, 0, 0.5, 60],
    "EXPIRE_TIMEOUT": [0, 0.5, 2, 3600],
    "EXPIRE_LOG_AGE": [None, 0, 0.5, 30],
    "EXPIRE_CLIENT_IP": ["expire_sessions.clients.remote_addr"],
}

LISTED = [
    *re.findall(r"\b([EW]0\d\d)\b", str(checks.__doc__)),
    *(setting.check for setting in KNOWN.values()),
]
"""The ids of all checks: the settings have theirs in their own table."""


def test_each_setting_has_right_and_wrong_values_here() -> None:
    assert set(RIGHT) == set(KNOWN)
    tested = {number: name for number, (name, _) in WRONG.items()}
    assert tested == {setting.check: name for name, setting in KNOWN.items()}


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
    "wrong,right",
    [
        ("EXPIRE_MAX_USER", "EXPIRE_MAX_USERS"),
        ("EXPIRE_MAXUSERS", "EXPIRE_MAX_USERS"),
        ("EXPIRE_LOGS_LIMIT", "EXPIRE_LOG_LIMIT"),
        ("EXPIRE_TOUCH_INTERVALS", "EXPIRE_TOUCH_INTERVAL"),
    ],
)
def test_a_misspelt_setting_is_told_its_name(wrong: str, right: str) -> None:
    with override_settings(**{wrong: 3}):
        (message,) = check_settings()
    assert ids([message]) == {"W016"}
    assert f"{wrong} does nothing" in message.msg
    assert f"{right}?" in message.msg


@pytest.mark.parametrize(
    "name", ["EXPIRE_TOKENS", "EXPIRE_AFTER", "EXPIRE_CARTS_INTERVAL", "EXPIRES"]
)
def test_a_setting_of_somebody_else_is_not_our_concern(name: str) -> None:
    with override_settings(**{name: 3}):
        assert check_settings() == []


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
ALL = (
    check_installed,
    check_engine,
    check_settings,
    check_policy,
    check_cache,
    check_deployed_cache,
    check_server,
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
        for check in ALL:
            check()
        check_table(databases=["default"])


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
    assert len(LISTED) == len(set(LISTED))
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(__file__).parent.glob("test_checks*.py")
    )
    assert {number for number in LISTED if f'"{number}"' not in source} == set()


def test_the_ids_are_those_of_the_code() -> None:
    package = Path(str(checks.__file__)).parent
    files = [package.parent / "conf.py", *package.glob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    assert {*re.findall(r'"([EW]0\d\d)"', source), "E001"} == set(LISTED)


def test_each_check_is_registered() -> None:
    registered: set[Any] = {*registry.registered_checks}
    always = {check_settings, check_engine, check_cache, check_installed, check_table}
    assert {*always, check_policy} <= registered
    assert {check_server, check_deployed_cache} <= {*registry.deployment_checks}


def test_the_table_is_looked_at_where_databases_are() -> None:
    assert check_table.tags == ("database",)  # type: ignore[attr-defined] # registered
