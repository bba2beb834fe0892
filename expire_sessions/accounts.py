"""Which users may have sessions: those that are there, and active."""

from collections.abc import Collection
from typing import Any, Final

from django.contrib.auth import get_backends, get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import router

from expire_sessions.reasons import EndReason

__all__ = ["disallowed", "is_login", "is_saved", "may_have_sessions", "tells_activity"]

ACTIVE: Final = "is_active"

USERS: Final = 500
"""Users that one query asks for."""


def may_have_sessions(user: Any) -> bool:
    """Tell whether a user is active, or may sign in nevertheless.

    That is so with ``AllowAllUsersModelBackend`` and its like.
    """
    if getattr(user, ACTIVE, True):
        return True
    tests = (
        getattr(backend, "user_can_authenticate", None) for backend in get_backends()
    )
    return any(test is not None and test(user) for test in tests)


def is_saved(name: str, update_fields: Collection[str] | None) -> bool:
    """Tell whether a save with these ``update_fields`` writes a field."""
    return update_fields is None or name in update_fields


def is_login(update_fields: Collection[str] | None) -> bool:
    """Tell whether it is the save of every login."""
    return update_fields is not None and set(update_fields) <= {"last_login"}


def tells_activity(user: Any, update_fields: Collection[str] | None) -> bool:
    """Tell whether a save may have made a user inactive."""
    if _is_field(type(user)):
        return is_saved(ACTIVE, update_fields)
    return not is_login(update_fields)


def disallowed(pks: Collection[Any]) -> dict[Any, EndReason]:
    """Return those of these users that may have no sessions, and why.

    One query for 500.

    Args:
        pks: primary keys.
    """
    waiting, found = list(pks), dict[Any, EndReason]()
    while waiting:
        step, waiting = waiting[:USERS], waiting[USERS:]
        users = {user.pk: user for user in _users(step)}
        for pk in step:
            if pk not in users:
                found[pk] = EndReason.USER_DELETED
            elif not may_have_sessions(users[pk]):
                found[pk] = EndReason.DEACTIVATED
    return found


def _users(pks: Collection[Any]) -> Any:
    """Return users as they are written down: no one is signed out for being hidden.

    A replica may not know the newest of them, and the default manager of a project may
    leave some out.
    """
    model = get_user_model()
    using = router.db_for_write(model)
    users = model._base_manager.using(using).filter(pk__in=pks)  # noqa: SLF001 - documented
    return users.only(ACTIVE) if _is_field(model) else users


def _is_field(model: Any) -> bool:
    """Tell whether ``is_active`` is one: not a property, nor as in AbstractBaseUser."""
    try:
        model._meta.get_field(ACTIVE)
    except FieldDoesNotExist:
        return False
    return True
