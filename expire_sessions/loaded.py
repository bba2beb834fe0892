"""The user that a request has loaded anyway, for ``expire_check`` handlers to look at.

Django hands the request's user to nobody but the view. So the instances of the user
model are watched while they are made, for the one that the session in use belongs to.
Only where a handler is connected: else nobody would look.
"""

import copy
import weakref
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from expire_sessions.signals import expire_check

__all__ = ["expect_user", "loaded_user", "note_user"]


class Watch(NamedTuple):
    """Who is watched for, in this thread or task."""

    expected: str | None = None
    """The user's id."""

    found: tuple[Any, Any] | None = None
    """A weak reference to the instance that was loaded, and a copy of it."""


NOBODY: Final = Watch()

_watch: Final = ContextVar("expire_sessions.loaded", default=NOBODY)


def expect_user(user_id: str) -> None:
    """Watch for this user from here on, in this thread or task."""
    if expire_check.receivers:
        _watch.set(Watch(user_id))


def note_user(*, instance: Any, **kwargs: object) -> None:
    """Keep a copy of the user that is expected: a view may change what it has loaded.

    Receives ``post_init`` of the user model.
    """
    expected = _watch.get().expected
    if expected is not None and instance._meta.pk.value_to_string(instance) == expected:
        _watch.set(Watch(expected, (weakref.ref(instance), copy.copy(instance))))


def loaded_user(user_id: str) -> Any:
    """Return this user as it was loaded; None where it was not, or is gone by now."""
    expected, loaded = _watch.get()
    if expected != user_id or loaded is None:
        return None
    found, pristine = loaded
    original = found()
    # One that was made by hand, and not read from the database, says nothing.
    if original is None or original._state.adding:  # noqa: SLF001 - documented
        return None
    pristine._state.adding = False  # noqa: SLF001
    pristine._state.db = original._state.db  # noqa: SLF001
    return pristine
