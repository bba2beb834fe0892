"""Check the settings that this app reads, and find those that are misspelt."""

import difflib
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section, error, warning
from expire_sessions.conf import KNOWN
from expire_sessions.exceptions import InvalidSetup

__all__ = ["check_settings"]

PREFIX: Final = "EXPIRE_"

NEAR: Final = 0.8
"""How much alike two names are, without the prefix, where one is meant to be the other.
``EXPIRE_TOKENS`` is somebody else's."""


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """E011 to E018: each setting of the table, and what looks like one."""
    return [*_check_values(), *_check_spelling()]


def _check_values() -> Iterator[CheckMessage]:
    for setting in KNOWN.values():
        try:
            setting.read()
        except InvalidSetup as problem:
            yield error(setting.check, str(problem), Section.SETTINGS)


def _check_spelling() -> Iterator[CheckMessage]:
    known = [name.removeprefix(PREFIX) for name in KNOWN]
    for name in dir(settings):
        if name in KNOWN or not name.startswith(PREFIX):
            continue
        given = name.removeprefix(PREFIX)
        if near := difflib.get_close_matches(given, known, n=1, cutoff=NEAR):
            text = f"{name} does nothing. Is it meant to be {PREFIX}{near[0]}?"
            yield warning("W016", text, Section.SETTINGS)
