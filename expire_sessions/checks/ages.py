"""Check that the ages of sessions add up, with each other and with the preset."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section, warning
from expire_sessions.conf import KNOWN, conf
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.presets import PRESETS

__all__ = ["check_ages"]


def check_ages(**kwargs: Any) -> list[CheckMessage]:
    """W049 to W051: combinations of ages that are hardly meant."""
    # A wrong value has an error of its own.
    with suppress(InvalidSetup):
        return [*_check_idle_age(), *_check_preset()]
    return []


def _check_idle_age() -> Iterator[CheckMessage]:
    idle, touch = conf.idle_age, conf.touch_interval
    if idle is None:
        return
    if touch is None or idle < touch:
        text = (
            f"EXPIRE_IDLE_AGE ({idle:g} s) is shorter than EXPIRE_TOUCH_INTERVAL"
            f" ({'None' if touch is None else f'{touch:g} s'}). Sessions end in time,"
            " but which of them was seen last is known less exactly than that."
        )
        hint = "Set EXPIRE_TOUCH_INTERVAL to a tenth of it."
        yield warning("W049", text, Section.LIFETIMES, hint)
    for name, age in _ages_that_end_it_first(idle):
        text = (
            f"EXPIRE_IDLE_AGE ({idle:g} s) never ends a session: {name} ({age:g} s)"
            " ends it before, also where it is in use."
        )
        yield warning("W051", text, Section.LIFETIMES, f"Make {name} longer.")


def _ages_that_end_it_first(idle: float) -> Iterator[tuple[str, float]]:
    if conf.absolute_age is not None and conf.absolute_age <= idle:
        yield "EXPIRE_ABSOLUTE_AGE", conf.absolute_age
    # Each save lets the own age begin anew; without saves it ends busy sessions, too.
    age = settings.SESSION_COOKIE_AGE
    if age <= idle and not settings.SESSION_SAVE_EVERY_REQUEST:
        yield "SESSION_COOKIE_AGE", age


def _check_preset() -> Iterator[CheckMessage]:
    preset = PRESETS.get(str(conf.preset))
    if preset is None:
        return
    of_all = dict(preset.settings)
    if (
        preset.staff_idle_age and conf.staff_idle_age is None
    ):  # a setting is in its place
        of_all[type(conf).idle_age.name] = preset.staff_idle_age
    for name, asked in of_all.items():
        value = KNOWN[name].read()
        if not value or value > asked:  # None and 0: no such age, no limit
            text = (
                f"{name} is {value!r}, and EXPIRE_PRESET = {conf.preset!r} asks for"
                f" {asked} at most: the setting wins, so the rule is not met."
            )
            hint = f"Remove {name}, or the preset."
            yield warning("W050", text, Section.LIFETIMES, hint)
