"""Who may have how many sessions: what settings and ``expire_check`` make of it."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.utils.functional import SimpleLazyObject

from expire_sessions.conf import KNOWN, conf
from expire_sessions.exceptions import InvalidLimits
from expire_sessions.loaded import loaded_user
from expire_sessions.signals import expire_check

__all__ = ["Answers", "LazyUser", "Limits", "known_limits", "limits_for"]

SETTINGS: Final = {setting.key: setting for setting in KNOWN.values() if setting.key}
"""The keys a handler may leave in the dictionary, and the settings they override."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one user."""

    max_users: int
    """Sessions the user may have; 0: no limit."""

    log_limit: int | None
    """Ended rows of the user that are kept; None: all."""


class Answers:
    """What ``expire_check`` has answered in this process.

    An answer serves for ``EXPIRE_TOUCH_INTERVAL``, and while the same handlers are
    connected. Only an optimisation: forgetting costs one more question.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._answers: dict[str, tuple[float, list[object], Limits]] = {}

    def get(self, user_id: str) -> Limits | None:
        """Return the answer for a user, while it serves."""
        until, handlers, limits = self._answers.get(user_id, (0.0, [], None))
        serves = time.monotonic() < until and handlers == _handlers()
        return limits if serves else None

    def forget(self) -> None:
        """Forget every answer."""
        self._answers = {}

    def add(self, user_id: str, limits: Limits) -> None:
        """Note an answer."""
        if not conf.touch_interval:
            return
        if len(self._answers) >= self._most:
            self._answers = {}
        until = time.monotonic() + conf.touch_interval
        self._answers[user_id] = until, _handlers(), limits


def _handlers() -> list[object]:
    return [receiver for _, receiver, *_ in expire_check.receivers]


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


def known_limits(user_id: str, answers: Answers) -> Limits | None:
    """Return the limits of a user, where no handler need be asked for them.

    Raises:
        InvalidSetup: a setting has a wrong value.
    """
    return _limits_of_settings() or answers.get(user_id)


def limits_for(user_id: str, user: object | None = None) -> Limits:
    """Send ``expire_check`` and return what its handlers left.

    Args:
        user_id: the primary key, as the session holds it.
        user: the user, where it is at hand.

    Raises:
        InvalidLimits: a handler left something that is no limit.
        InvalidSetup: a setting has a wrong value.
        Exception: whatever a handler raises.
    """
    if limits := _limits_of_settings():
        return limits
    settings: dict[str, Any] = {"max_users": conf.max_users}
    sender = LazyUser(user_id) if user is None else user
    expire_check.send(sender=sender, settings=settings)
    return _checked(settings)


def _limits_of_settings() -> Limits | None:
    """Return what the settings say; None where a handler may say another thing."""
    _ = conf.policy  # a policy this version cannot keep must not pass as "evict"
    if expire_check.receivers:  # most projects have none, and every save is here
        return None
    return Limits(conf.max_users or 0, conf.log_limit)


def _checked(settings: Mapping[str, Any]) -> Limits:
    if "max_users" not in settings:
        raise InvalidLimits("An expire_check handler removed 'max_users'.")
    for key, value in settings.items():
        if key not in SETTINGS:
            known = ", ".join(sorted(SETTINGS))
            raise InvalidLimits(
                f"An expire_check handler left {key!r}, which this version does not"
                f" know; it knows {known}."
            )
        if problem := SETTINGS[key].problem(value):
            raise InvalidLimits(
                f"An expire_check handler left {key!r} as {value!r}; it {problem}."
            )
    return Limits(
        max_users=settings["max_users"] or 0,
        log_limit=settings.get("log_limit", conf.log_limit),
    )
