"""The checks of ages, and the presets that stand for some."""

from typing import Any

import pytest
from django.test import override_settings

from expire_sessions.checks import check_ages
from expire_sessions.conf import conf
from expire_sessions.limits import limits_for
from expire_sessions.presets import PRESETS
from tests.asking import id_of
from tests.found import ids

MINUTE, HOUR, DAY = 60, 3600, 86_400

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("W049", {"EXPIRE_IDLE_AGE": 30}),
    ("W049", {"EXPIRE_IDLE_AGE": 900, "EXPIRE_TOUCH_INTERVAL": None}),
    ("W050", {"EXPIRE_PRESET": "pci", "EXPIRE_IDLE_AGE": 901}),
    ("W050", {"EXPIRE_PRESET": "pci", "EXPIRE_IDLE_AGE": None}),
    ("W050", {"EXPIRE_PRESET": "aal3", "EXPIRE_ABSOLUTE_AGE": DAY}),
    ("W050", {"EXPIRE_PRESET": "stig", "EXPIRE_MAX_USERS": 0}),
    ("W050", {"EXPIRE_PRESET": "stig", "EXPIRE_IDLE_AGE": 900}),
    ("W051", {"EXPIRE_IDLE_AGE": HOUR, "EXPIRE_ABSOLUTE_AGE": HOUR}),
    ("W051", {"EXPIRE_IDLE_AGE": HOUR, "SESSION_COOKIE_AGE": HOUR}),
]
RIGHT: list[dict[str, Any]] = [
    {},
    {"EXPIRE_IDLE_AGE": 900, "EXPIRE_ABSOLUTE_AGE": 12 * HOUR},
    {"EXPIRE_IDLE_AGE": 30, "EXPIRE_TOUCH_INTERVAL": 3},
    {"EXPIRE_PRESET": "pci", "EXPIRE_IDLE_AGE": 300},
    {"EXPIRE_PRESET": "stig"},
    {"EXPIRE_PRESET": "stig", "EXPIRE_IDLE_AGE": 600},
    {
        "EXPIRE_IDLE_AGE": HOUR,
        "SESSION_COOKIE_AGE": HOUR,
        "SESSION_SAVE_EVERY_REQUEST": True,
    },
    {"EXPIRE_IDLE_AGE": "wrong"},  # it has an error of its own
]


@pytest.mark.parametrize("number,settings", WRONG)
def test_what_does_not_add_up_is_found(number: str, settings: dict[str, Any]) -> None:
    with override_settings(**settings):
        assert ids(check_ages()) == {number}


@pytest.mark.parametrize("settings", RIGHT)
def test_and_nothing_else(settings: dict[str, Any]) -> None:
    with override_settings(**settings):
        assert check_ages() == []


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_alone_is_no_mistake(preset: str) -> None:
    with override_settings(EXPIRE_PRESET=preset):
        assert check_ages() == []


@pytest.mark.parametrize(
    "preset,idle,absolute,staff",
    [
        ("aal1", None, 30 * DAY, None),
        ("aal2", HOUR, DAY, None),
        ("aal3", 15 * MINUTE, 12 * HOUR, None),
        ("pci", 15 * MINUTE, None, None),
        ("stig", 15 * MINUTE, None, 10 * MINUTE),
        ("psd2", 5 * MINUTE, None, None),
    ],
)
def test_a_preset_is_one_line(
    preset: str, idle: int | None, absolute: int | None, staff: int | None
) -> None:
    with override_settings(EXPIRE_PRESET=preset):
        assert (conf.idle_age, conf.absolute_age) == (idle, absolute)
        assert conf.staff_idle_age == staff
        assert conf.max_users == 1


@pytest.mark.parametrize("idle", [None, 60, 5000])
def test_a_setting_of_the_project_wins(idle: int | None) -> None:
    with override_settings(EXPIRE_PRESET="stig", EXPIRE_IDLE_AGE=idle):
        assert conf.idle_age == idle
        assert conf.staff_idle_age is None


@pytest.mark.parametrize("with_a_handler", [False, True])
def test_staff_may_be_idle_for_less(
    ann: Any, bob: Any, handle: Any, with_a_handler: bool
) -> None:
    def other(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings["max_users"] = 2

    if with_a_handler:
        handle(other)
    bob.is_staff = True
    bob.save()
    with override_settings(EXPIRE_PRESET="stig"):
        found = [limits_for(id_of(user)).idle_age for user in (ann, bob)]
        assert found == [15 * MINUTE, 10 * MINUTE]
