"""Check the settings that this app reads, and find those that are misspelt."""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section, error, warning
from expire_sessions.conf import KNOWN, problem_with

__all__ = ["check_settings"]

IDS: Final = {
    "EXPIRE_MAX_USERS": "E011",
    "EXPIRE_LOG_LIMIT": "E012",
    "EXPIRE_POLICY": "E013",
    "EXPIRE_TOUCH_INTERVAL": "E014",
    "EXPIRE_CLIENT_IP": "E015",
    "EXPIRE_LOG_AGE": "E017",
}

PREFIX: Final = "EXPIRE_"

NEAR: Final = 0.8
"""How much alike two names are, without the prefix, where one is meant to be the other.
``EXPIRE_TOKENS`` is somebody else's."""


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E011 to E017: the settings, wherever one of them is set."""
    names = [name for name in dir(settings) if name.startswith(PREFIX)]
    return [message for name in names for message in _check_setting(name)]


def _check_setting(name: str) -> Iterator[CheckMessage]:
    if name not in KNOWN:
        yield from _check_spelling(name)
    elif problem := problem_with(name, getattr(settings, name)):
        text = f"{name} {problem}; it is {getattr(settings, name)!r}."
        yield error(IDS[name], text, Section.SETTINGS)


def _check_spelling(name: str) -> Iterator[CheckMessage]:
    known = [setting.removeprefix(PREFIX) for setting in KNOWN]
    near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1, cutoff=NEAR)
    if near:
        text = f"{name} does nothing. Is it meant to be {PREFIX}{near[0]}?"
        yield warning("W016", text, Section.SETTINGS)
