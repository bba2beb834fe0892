"""The settings of this package: one table, and their values, read on first use.

A setting is written down once, as an attribute of ``Conf``. ``KNOWN`` is made of these,
and the system checks and the keys of ``expire_check`` are made of ``KNOWN``.

``setting_changed`` tells of a change (see ``receivers``), so ``override_settings``
just works. To look for a setting that is not set takes Django 1.7 µs, and a save
needs four: half of what it took beside its round trip.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from expire_sessions import problems
from expire_sessions.presets import PRESETS
from expire_sessions.setting import Setting

__all__ = ["KNOWN", "conf"]

POLICIES: Final = ("evict", "refuse", "ask")
A_BILLION: Final = 10**9
A_CENTURY: Final = 36_525
"""Days. A date further back than the calendar goes is an error of its own."""
AN_HOUR: Final = 3600


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
        "EXPIRE_POLICY",
        "evict",
        problems.with_choice(POLICIES),
        check="E013",
        key="policy",
    )
    """What happens at the limit."""

    idle_age = Setting[float | None](
        "EXPIRE_IDLE_AGE",
        None,
        problems.with_number("seconds", A_BILLION, least=1, optional=True),
        check="E042",
        key="idle_age",
    )
    """Seconds without a request after which a session ends; None: no such age."""

    absolute_age = Setting[float | None](
        "EXPIRE_ABSOLUTE_AGE",
        None,
        problems.with_number("seconds", A_BILLION, least=1, optional=True),
        check="E043",
        key="absolute_age",
    )
    """Seconds after its login after which a session ends; None: no such age."""

    notice_age = Setting[float](
        "EXPIRE_NOTICE_AGE",
        86_400,
        problems.with_number("seconds", A_BILLION),
        check="E044",
    )
    """Seconds for which the browser of an ended session may learn why; 0: it cannot."""

    preset = Setting[str | None](
        "EXPIRE_PRESET",
        None,
        problems.with_choice((None, *PRESETS)),
        check="E045",
    )
    """The rule whose ages and limit hold where no setting says another thing."""

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

    @cached_property
    def staff_idle_age(self) -> float | None:
        """The idle age of staff, where the preset has one and no setting does."""
        preset = PRESETS.get(str(self.preset))
        is_set = hasattr(settings, type(self).idle_age.name)
        return None if preset is None or is_set else preset.staff_idle_age

    @cached_property
    def ages_version(self) -> str:
        """Names the ages of the settings; empty where they have none."""
        ages = (self.idle_age, self.absolute_age, self.staff_idle_age)
        return "/".join(str(age or 0) for age in ages) if any(ages) else ""

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
