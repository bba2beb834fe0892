"""The settings of this package: read on first use, and again when they change.

``setting_changed`` tells of a change (see ``receivers``), so ``override_settings``
just works. To look for a setting that is not set takes Django 1.7 µs, and a save
needs four: half of what it took beside its round trip.

``problem_with`` functions say what is wrong with a value. The system checks show
it; at run time it is raised, because a server may run without the checks.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from expire_sessions.exceptions import InvalidSetup

__all__ = ["KNOWN", "conf", "problem_with"]

POLICIES: Final = ("evict",)
A_BILLION: Final = 10**9
A_CENTURY: Final = 36_525
"""Days. A date further back than the calendar goes is an error of its own."""


def _problem_with_count(value: object) -> str | None:
    # bool is an int in Python, and True is not a number of sessions.
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return None
    return "must be an integer from 0"


def _problem_with_optional_count(value: object) -> str | None:
    if value is None or _problem_with_count(value) is None:
        return None
    return "must be None or an integer from 0"


def _problem_with_interval(value: object) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and 0 <= value <= A_BILLION):  # type: ignore[operator] # a number
        return None
    return f"must be None or a number of seconds from 0 to {A_BILLION}"


def _problem_with_days(value: object) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and 0 <= value <= A_CENTURY):  # type: ignore[operator] # a number
        return None
    return f"must be None or a number of days from 0 to {A_CENTURY}"


def _problem_with_policy(value: object) -> str | None:
    if value in POLICIES:
        return None
    return f"must be one of {', '.join(map(repr, POLICIES))} in this version"


def _problem_with_function(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be the dotted path of a function"
    try:
        found = import_string(value)
    except Exception as error:  # noqa: BLE001 - what the project's module raises
        return f"cannot be imported: {type(error).__name__}: {error}"
    return None if callable(found) else "must name something that can be called"


KNOWN: Final[dict[str, tuple[object, Callable[[object], str | None]]]] = {
    "EXPIRE_MAX_USERS": (1, _problem_with_optional_count),
    "EXPIRE_LOG_LIMIT": (None, _problem_with_optional_count),
    "EXPIRE_LOG_AGE": (None, _problem_with_days),
    "EXPIRE_POLICY": ("evict", _problem_with_policy),
    "EXPIRE_TOUCH_INTERVAL": (60, _problem_with_interval),
    "EXPIRE_CLIENT_IP": ("expire_sessions.clients.remote_addr", _problem_with_function),
}
"""Each setting's default, and the function that says what is wrong with a value."""


def problem_with(name: str, value: object) -> str | None:
    """Return what is wrong with ``value`` for the setting ``name``, or None."""
    return KNOWN[name][1](value)


class Conf:
    """Typed properties, one for each setting. A wrong value raises InvalidSetup."""

    def forget(self) -> None:
        """Read every setting again on its next use: one of them has changed."""
        vars(self).clear()

    def _read(self, name: str) -> Any:
        value = getattr(settings, name, KNOWN[name][0])
        if problem := problem_with(name, value):
            raise InvalidSetup(f"{name} {problem}; it is {value!r}.")
        return value

    @cached_property
    def max_users(self) -> int | None:
        """How many sessions a user may have; 0 or None: no limit."""
        limit: int | None = self._read("EXPIRE_MAX_USERS")
        return limit

    @cached_property
    def log_limit(self) -> int | None:
        """How many ended rows of a user are kept; None: all."""
        limit: int | None = self._read("EXPIRE_LOG_LIMIT")
        return limit

    @cached_property
    def log_age(self) -> float | None:
        """Days after a login for which its ended row is kept; None: for ever."""
        days: float | None = self._read("EXPIRE_LOG_AGE")
        return days

    @cached_property
    def policy(self) -> str:
        """What happens at the limit."""
        policy: str = self._read("EXPIRE_POLICY")
        return policy

    @cached_property
    def touch_interval(self) -> float | None:
        """Seconds between two touches of a session by one process; None: never."""
        seconds: float | None = self._read("EXPIRE_TOUCH_INTERVAL")
        return seconds

    @property
    def client_ip(self) -> Callable[[Any], str | None]:
        """The function that finds the IP address of a request's client."""
        function: Callable[[Any], str | None] = import_string(
            self._read("EXPIRE_CLIENT_IP")
        )
        return function


conf: Final = Conf()
