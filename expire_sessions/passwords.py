"""Whether a save of a user changes the password: the hash that its sessions carry.

Django compares that hash at every request, and drops a session that has another one. So
what is not noticed here ends at its next request.
"""

from collections.abc import Collection
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import (
    get_hasher,
    identify_hasher,
    is_password_usable,
)

from expire_sessions.accounts import is_login, is_saved

__all__ = ["changes_password", "note_password", "password_of"]

PASSWORD: Final = "password"  # noqa: S105 - the name of a field

LOADED: Final = "expire_sessions_password"
"""Where the state of an instance has the password that the database had for it."""

HASHED_BY: Final = ("get_session_auth_hash", "_get_session_auth_hash")
"""The methods that make the hash; a user model may override either."""


def password_of(user: Any) -> str | None:
    """Return the password; None where it is deferred, or there is none. No query."""
    password: str | None = vars(user).get(PASSWORD)
    return password


def note_password(user: Any, password: str | None) -> None:
    """Note what the database has, as far as the instance knows."""
    vars(user._state)[LOADED] = password  # noqa: SLF001 - not on the project's model


def changes_password(
    user: Any, using: str, update_fields: Collection[str] | None
) -> bool:
    """Tell whether the save to come changes the hash that the user's sessions carry.

    No query where the password is as it was loaded, or is not saved: any ordinary save.
    Else one, for what the database has: the instance may have been loaded long ago, and
    refreshed since. One for every save but that of a login where the user model makes
    that hash in a way of its own.

    A hash that Django renews at a login, for a stronger hasher, is no other password.
    """
    if user._state.adding or not _may_change(user, update_fields):  # noqa: SLF001
        return False
    rows = type(user)._base_manager.using(using)  # noqa: SLF001 - documented
    stored = rows.filter(pk=user.pk).first()
    if stored is None or not hasattr(stored, HASHED_BY[0]):
        return False
    if _is_renewed_hash(stored, user, update_fields):
        return False
    before = stored.get_session_auth_hash()
    for field in user._meta.concrete_fields:
        names = {field.name, field.attname}
        is_written = any(is_saved(name, update_fields) for name in names)
        if is_written and field.attname in vars(user):
            setattr(stored, field.attname, vars(user)[field.attname])
    return bool(stored.get_session_auth_hash() != before)


def _may_change(user: Any, update_fields: Collection[str] | None) -> bool:
    if is_login(update_fields):
        return False
    if _makes_own_hash(type(user)):
        return True
    password = password_of(user)
    if password is None or not is_saved(PASSWORD, update_fields):
        return False
    return bool(vars(user._state).get(LOADED) != password)  # noqa: SLF001


def _makes_own_hash(model: type) -> bool:
    return any(
        getattr(model, name, None) is not getattr(AbstractBaseUser, name, None)
        for name in HASHED_BY
    )


def _is_renewed_hash(
    stored: Any, user: Any, update_fields: Collection[str] | None
) -> bool:
    """Tell whether this is how ``check_password`` saves a password that was right."""
    if update_fields is None or set(update_fields) != {PASSWORD}:
        return False
    is_set = user._password is not None  # noqa: SLF001 - as AbstractBaseUser.save()
    return not is_set and is_password_usable(user.password) and _is_old(stored.password)


def _is_old(password: str) -> bool:
    try:
        hasher = identify_hasher(password)
    except ValueError:  # unusable, or of a hasher that is not installed
        return False
    preferred = get_hasher()
    is_other = hasher.algorithm != preferred.algorithm
    return is_other or preferred.must_update(password)
