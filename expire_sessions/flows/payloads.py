"""What is read out of a payload."""

from collections.abc import Mapping
from typing import Any, Final

from expire_sessions.transport.connections import Connection

__all__ = ["data_in", "user_id_in"]

USER_ID: Final = "_auth_user_id"
"""``django.contrib.auth.SESSION_KEY``, which needs the app registry to import."""


def data_in(connection: Connection, payload: bytes) -> dict[str, Any] | None:
    """Return the data of a session, or None where the payload cannot be read."""
    try:
        data = connection.decode(payload)
    except Exception:  # noqa: BLE001 - serializers raise what they like
        return None
    return data if isinstance(data, dict) else None


def user_id_in(data: Mapping[str, Any]) -> str | None:
    """Return whose session this is. Not every project stores the id as a string."""
    user_id = data.get(USER_ID)
    return None if user_id is None else str(user_id)
