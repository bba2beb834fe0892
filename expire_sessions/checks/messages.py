"""How every check says what it found, and where to read on."""

from enum import StrEnum

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's

__all__ = ["Section", "error", "warning"]


class Section(StrEnum):
    """The headings of the README that hints name."""

    INSTALL = "Put it into your project"
    SETTINGS = "Settings"
    LIFETIMES = "Lifetimes"
    LIMIT = "At the limit"
    SERVER = "The Redis server"
    SENTINEL = "Sentinel"
    TIMEOUTS = "Time-outs"
    PICKLE = "Pickle or JSON"
    KEYS = "Redis keys"


def error(number: str, text: str, section: Section, hint: str = "") -> CheckMessage:
    """Return what makes ``manage.py`` stop."""
    return Error(text, hint=_hint(hint, section), id=f"expire_sessions.{number}")


def warning(number: str, text: str, section: Section, hint: str = "") -> CheckMessage:
    """Return what is told, and stops nothing."""
    return Warning(text, hint=_hint(hint, section), id=f"expire_sessions.{number}")


def _hint(hint: str, section: Section) -> str:
    return f'{hint} README: "{section}".'.lstrip()
