"""Check that the session engine is this one, where its settings are set."""

import difflib
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage

from expire_sessions.checks.messages import Section, error
from expire_sessions.conf import KNOWN
from expire_sessions.installed import ENGINE, is_ours, session_store

__all__ = ["check_engine", "is_used"]


def is_used() -> bool:
    """Tell whether sessions are kept by this engine, or by one that builds on it."""
    return is_ours(settings.SESSION_ENGINE)


def check_engine(**kwargs: Any) -> list[CheckMessage]:
    """E002, E003: the settings are set, and another engine does not know them."""
    engine = settings.SESSION_ENGINE
    if is_ours(engine):
        return []
    names = [name for name in KNOWN if hasattr(settings, name)]
    problem = _problem_with(engine)
    if problem is None and names:
        verb = "is" if len(names) == 1 else "are"
        text = (
            f"{', '.join(names)} {verb} set, but SESSION_ENGINE is {engine!r}, which"
            " limits nothing."
        )
        hint = (
            f'Set SESSION_ENGINE = "{ENGINE}". Where another engine is meant, remove'
            " these settings or silence this check."
        )
        return [error("E002", text, Section.INSTALL, hint)]
    if problem and (names or _looks_like_ours(engine)):
        text = f"SESSION_ENGINE is {engine!r}, which cannot be used: {problem}."
        hint = f'Is it meant to be "{ENGINE}"?'
        return [error("E003", text, Section.INSTALL, hint)]
    return []


def _problem_with(engine: object) -> str | None:
    try:
        session_store(engine)
    except Exception as problem:  # noqa: BLE001 - a check never raises
        return f"{type(problem).__name__}: {problem}"
    return None


def _looks_like_ours(engine: object) -> bool:
    return bool(difflib.get_close_matches(str(engine), [ENGINE], cutoff=0.7))
