"""The settings, and what the history knows of a client."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, assert_type

import pytest
from django.http import HttpRequest
from django.test import override_settings

from expire_sessions.checks import check_settings
from expire_sessions.clients import describe
from expire_sessions.conf import KNOWN, Conf, conf
from expire_sessions.context import Context
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.limits import SETTINGS, Limits
from expire_sessions.models import LoggedSession
from expire_sessions.setting import Setting
from tests.test_checks import WRONG


def request_with(**meta: Any) -> HttpRequest:
    """Return a request with these META variables."""
    request = HttpRequest()
    request.META = meta
    return request


def from_header(request: HttpRequest) -> str | None:
    """Return what a proxy says."""
    return request.headers.get("X-Real-Ip")


def broken(request: HttpRequest) -> str | None:
    """Fail."""
    raise RuntimeError("broken")


def test_defaults_need_no_setting() -> None:
    assert conf.max_users == 1
    assert conf.log_limit is None
    assert conf.log_age is None
    assert conf.policy == "evict"
    assert conf.touch_interval == 60
    assert conf.timeout == 2
    assert conf.client_ip(request_with(REMOTE_ADDR="192.0.2.1")) == "192.0.2.1"


def test_a_change_of_the_settings_is_seen() -> None:
    with override_settings(EXPIRE_MAX_USERS=7, EXPIRE_LOG_LIMIT=3):
        assert (conf.max_users, conf.log_limit) == (7, 3)
    assert (conf.max_users, conf.log_limit) == (1, None)


EACH_SETTING = pytest.mark.parametrize("setting", KNOWN.values(), ids=KNOWN)


@EACH_SETTING
def test_a_default_is_a_right_value(setting: Setting[Any]) -> None:
    assert setting.problem(setting.default) is None
    assert getattr(conf, setting.attribute) == setting.default


@EACH_SETTING
def test_a_value_is_read_once_until_a_setting_changes(setting: Setting[Any]) -> None:
    own = Conf()
    kept = getattr(own, setting.attribute)
    with override_settings(**{setting.name: object()}):
        assert getattr(own, setting.attribute) is kept
        own.forget()
        with pytest.raises(InvalidSetup, match=setting.name):
            getattr(own, setting.attribute)


@EACH_SETTING
def test_a_setting_is_written_down_in_the_table_alone(setting: Setting[Any]) -> None:
    """Nothing but a row is needed: it is the attribute, and it makes the check."""
    assert getattr(Conf, setting.attribute) is setting
    with override_settings(**{setting.name: object()}):
        (message,) = check_settings()
        with pytest.raises(InvalidSetup) as raised:
            getattr(conf, setting.attribute)
    assert message.id == f"expire_sessions.{setting.check}"
    assert message.msg == str(raised.value)


def test_the_keys_of_expire_check_are_the_limits_of_a_user() -> None:
    assert set(SETTINGS) == {limit.name for limit in fields(Limits)}


def test_each_value_has_the_type_of_its_setting() -> None:
    """A type checker reads this as well."""
    assert_type(conf.max_users, int | None)
    assert_type(conf.log_limit, int | None)
    assert_type(conf.log_age, float | None)
    assert_type(conf.policy, str)
    assert_type(conf.touch_interval, float | None)
    assert_type(conf.timeout, float)
    assert_type(conf.client_ip, Callable[[Any], str | None])
    assert_type(Conf.timeout, Setting[float])


@pytest.mark.parametrize(
    "name,value", [(name, value) for name, values in WRONG.values() for value in values]
)
def test_a_wrong_value_is_a_clear_error(name: str, value: object) -> None:
    with (
        override_settings(**{name: value}),
        pytest.raises(InvalidSetup, match=name),
    ):
        getattr(conf, KNOWN[name].attribute)


def test_a_wrong_function_is_a_clear_error() -> None:
    with (
        override_settings(EXPIRE_CLIENT_IP="no.such.function"),
        pytest.raises(InvalidSetup, match="EXPIRE_CLIENT_IP cannot be imported"),
    ):
        _ = conf.client_ip


@pytest.mark.parametrize(
    "days", [-1, "30", True, 36_526, float("inf"), float("nan"), []]
)
def test_a_wrong_age_of_the_history_is_found(days: object) -> None:
    with override_settings(EXPIRE_LOG_AGE=days):
        (message,) = check_settings()
        with pytest.raises(InvalidSetup, match="EXPIRE_LOG_AGE"):
            _ = conf.log_age
    assert message.id == "expire_sessions.E017"


@pytest.mark.parametrize("days", [None, 0, 0.5, 30, 36_525])
def test_a_right_age_of_the_history_is_not(days: float | None) -> None:
    with override_settings(EXPIRE_LOG_AGE=days):
        assert check_settings() == []
        assert conf.log_age == days


ADDRESSES = {
    "192.0.2.1": "192.0.2.1",
    "2001:db8::1": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    " 192.0.2.1 ": "192.0.2.1",
    "": None,
    "unix:": None,
    "192.0.2.1, 192.0.2.2": None,
    b"192.0.2.1": None,
    None: None,
}


@pytest.mark.parametrize("found,kept", ADDRESSES.items())
def test_an_address_is_kept_where_it_is_one(found: object, kept: str | None) -> None:
    assert describe(request_with(REMOTE_ADDR=found)).ip == kept


def test_a_request_may_tell_nothing() -> None:
    assert describe(request_with()) == Context()


def test_a_header_is_not_believed_by_itself() -> None:
    request = request_with(
        REMOTE_ADDR="192.0.2.1",
        HTTP_X_FORWARDED_FOR="203.0.113.9",
        HTTP_X_REAL_IP="203.0.113.9",
    )
    assert describe(request).ip == "192.0.2.1"


@override_settings(EXPIRE_CLIENT_IP="tests.test_settings.from_header")
def test_a_function_of_the_project_is_asked() -> None:
    request = request_with(REMOTE_ADDR="192.0.2.1", HTTP_X_REAL_IP="203.0.113.9")
    assert describe(request).ip == "203.0.113.9"


@pytest.mark.parametrize("path", ["tests.test_settings.broken", "no.such.function"])
def test_a_function_that_fails_is_logged(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(EXPIRE_CLIENT_IP=path):
        assert describe(request_with(REMOTE_ADDR="192.0.2.1")).ip is None
    assert "EXPIRE_CLIENT_IP" in caplog.text


@pytest.mark.django_db
@override_settings(EXPIRE_CLIENT_IP="tests.test_settings.broken")
def test_a_function_that_fails_breaks_no_login(ann: Any, sign_in: Any) -> None:
    assert sign_in(ann).get("/whoami/").content == b"ann"
    assert LoggedSession.objects.get().ip is None


AGENTS = {
    "Firefox": "Firefox",
    "x" * 2000: "x" * 512,
    "a\0b": "ab",
    "half a pair \udcff": "half a pair ?",
    "": None,
}


@pytest.mark.parametrize("sent,kept", AGENTS.items())
def test_a_user_agent_is_bounded_and_fit_for_a_database(
    sent: str, kept: str | None
) -> None:
    assert describe(request_with(HTTP_USER_AGENT=sent)).user_agent == kept


@pytest.mark.django_db
@pytest.mark.parametrize("agent", AGENTS)
def test_any_user_agent_can_be_written(ann: Any, sign_in: Any, agent: str) -> None:
    sign_in(ann, HTTP_USER_AGENT=agent)
    assert LoggedSession.objects.get().user_agent == (AGENTS[agent] or "")
