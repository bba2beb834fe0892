"""The settings of this package: one table, and their values, read on first use.

A setting is written down once, as an attribute of ``Conf``. ``KNOWN`` is made of these,
and the system checks and the keys of ``expire_check`` are made of ``KNOWN``.

``setting_changed`` tells of a change (see ``receivers``), so ``override_settings``
just works. To look for a setting that is not set takes Django 1.7 µs, and a save
needs four: half of what it took beside its round trip.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar, overload

from django.conf import settings
from django.utils.module_loading import import_string

from expire_sessions import problems
from expire_sessions.exceptions import InvalidSetup

__all__ = ["KNOWN", "Setting", "conf"]

POLICIES: Final = ("evict",)
A_BILLION: Final = 10**9
A_CENTURY: Final = 36_525
"""Days. A date further back than the calendar goes is an error of its own."""
AN_HOUR: Final = 3600

Value = TypeVar("Value")


@dataclass(frozen=True)
class Setting(Generic[Value]):
    """A row of the table; as an attribute of ``Conf`` it is the setting's value.

    The value is kept in the instance, where Python looks before it asks the class for
    a descriptor without ``__set__``: only the first read comes here, as with
    ``functools.cached_property``.
    """

    name: str
    """Its name in Django's settings."""

    default: Value

    problem: problems.Problem
    """Says what is wrong with a value. The system check shows it; at run time it is
    raised, because a server may run without the checks."""

    check: str
    """The id of the system check that finds a wrong value."""

    key: str | None = None
    """Its key in the dictionary of ``expire_check``, where a handler may set it."""

    attribute: str = field(init=False, default="")
    """Its name in ``Conf``."""

    def __set_name__(self, owner: type, attribute: str) -> None:
        object.__setattr__(self, "attribute", attribute)  # past frozen

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        value = vars(instance)[self.attribute] = self.read()
        return value

    def read(self) -> Value:
        """Return what it is set to, or its default.

        Raises:
            InvalidSetup: the value is wrong.
        """
        value: Value = getattr(settings, self.name, self.default)
        if problem := self.problem(value):
            raise InvalidSetup(f"{self.name} {problem}; it is {value!r}.")
        return value


class Conf:
    """The value of each setting, typed. A wrong one raises InvalidSetup."""

    max_users = Setting[int | None](
        "EXPIRE_MAX_USERS", 1, problems.with_count, check="E011", key="max_users"
    )
    """How many sessions a user may have; 0 or None: no limit."""

    log_limit = Setting[int | None](
        "EXPIRE_LOG_LIMIT", None, problems.with_count, check="E012", key="log_limit"
    )
    """How many ended rows of a user are kept; None: all."""

    log_age = Setting[float | None](
        "EXPIRE_LOG_AGE",
        None,
        problems.with_number("days", A_CENTURY, optional=True),
        check="E017",
    )
    """Days after a login for which its ended row is kept; None: for ever."""

    policy = Setting[str](
        "EXPIRE_POLICY", "evict", problems.with_choice(POLICIES), check="E013"
    )
    """What happens at the limit."""

    touch_interval = Setting[float | None](
        "EXPIRE_TOUCH_INTERVAL",
        60,
        problems.with_number("seconds", A_BILLION, optional=True),
        check="E014",
    )
    """Seconds between two touches of a session by one process; None: never."""

    timeout = Setting[float](
        "EXPIRE_TIMEOUT",
        2,
        problems.with_number("seconds", AN_HOUR),
        check="E018",
    )
    """Seconds that an operation may spend on retries, where Redis fails, before it is
    an error; 0: no retries."""

    client_ip_path = Setting[str](
        "EXPIRE_CLIENT_IP",
        "expire_sessions.clients.remote_addr",
        problems.with_function,
        check="E015",
    )
    """Where ``client_ip`` is."""

    @property
    def client_ip(self) -> Callable[[Any], str | None]:
        """The function that finds the IP address of a request's client.

        Imported at each use, so that a test can replace it in its module.
        """
        function: Callable[[Any], str | None] = import_string(self.client_ip_path)
        return function

    def forget(self) -> None:
        """Read every setting again on its next use: one of them has changed."""
        vars(self).clear()


KNOWN: Final[dict[str, Setting[Any]]] = {
    setting.name: setting
    for setting in vars(Conf).values()
    if isinstance(setting, Setting)
}
"""The table: each setting by its name."""

conf: Final = Conf()
