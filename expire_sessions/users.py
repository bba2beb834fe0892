"""From a user, or the value of its primary key, to the id in the session, and back."""

from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

__all__ = ["pk_of", "user_id_of", "user_id_of_pk"]


def user_id_of(user: Any) -> str:
    """Return the id that Django's ``login()`` writes into the session."""
    return str(user._meta.pk.value_to_string(user))


def user_id_of_pk(pk: Any) -> str:
    """Return the same for a user of whom only the primary key is known. No query."""
    field = get_user_model()._meta.pk
    # Not a user without a name: its signals would tell of one that nobody has loaded.
    stand_in: Any = SimpleNamespace(**{field.attname: pk})
    return str(field.value_to_string(stand_in))


def pk_of(user_id: str) -> Any:
    """Return the primary key that an id in a session stands for: the way back.

    Raises:
        ValueError: it is no id of this project's user model.
    """
    try:
        return get_user_model()._meta.pk.to_python(user_id)
    except ValidationError as error:
        raise ValueError(f"{user_id!r} is no id of a user here.") from error
