"""A user of whom only the id is known, for ``expire_check`` handlers to look at."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils.functional import SimpleLazyObject

from expire_sessions.loaded import loaded_user

__all__ = ["LazyUser"]

if TYPE_CHECKING:  # it takes a parameter in the stubs alone
    LazyObject = SimpleLazyObject[object]
else:
    LazyObject = SimpleLazyObject


class LazyUser(LazyObject):
    """A user that is fetched when a handler looks at more than its ``pk``.

    Signal.send() hashes the sender and reads ``__func__``: neither may trigger the
    query.
    """

    def __init__(self, user_id: str) -> None:
        # Here, for SESSION_ENGINE is imported before the app registry is ready.
        from django.contrib.auth import get_user_model  # noqa: PLC0415

        users = get_user_model()
        key: Any = user_id
        # Where it is no id of this user model, looking at it will say so.
        with suppress(ValidationError):
            key = users._meta.pk.to_python(user_id)
        super().__init__(lambda: _fetched(users, user_id, key))
        # Past the proxy, which would set it on the user.
        self.__dict__["pk"] = key

    def __hash__(self) -> int:
        return hash(self.__dict__["pk"])  # as a model's

    def __getattr__(self, name: str) -> Any:
        if name == "__func__":
            raise AttributeError(name)
        return super().__getattr__(name)


def _fetched(users: Any, user_id: str, key: Any) -> Any:
    user = loaded_user(user_id)
    return users._default_manager.get(pk=key) if user is None else user
