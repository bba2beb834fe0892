"""Who may have how many sessions: what settings and ``expire_check`` make of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.conf import settings as project

from expire_sessions.conf import KNOWN, conf
from expire_sessions.exceptions import InvalidLimits
from expire_sessions.lazy import LazyUser
from expire_sessions.protocol.lives import NO_AGES, Ages
from expire_sessions.signals import expire_check

__all__ = [
    "Answers",
    "Limits",
    "common_ages",
    "known_limits",
    "limits_for",
    "settings_limits",
]

SETTINGS: Final = {setting.key: setting for setting in KNOWN.values() if setting.key}
"""The keys a handler may leave in the dictionary, and the settings they override."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one user."""

    max_users: int
    """Sessions the user may have; 0: no limit."""

    log_limit: int | None
    """Ended rows of the user that are kept; None: all."""

    policy: str = "evict"
    """What happens at the limit."""

    idle_age: float | None = None
    """Seconds without a request after which a session ends; None: no such age."""

    absolute_age: float | None = None
    """Seconds after its login after which a session ends; None: no such age."""

    @property
    def ages(self) -> Ages:
        """The ages of a session, in the words of the protocol."""
        version = conf.ages_version
        if not version and not self.idle_age and not self.absolute_age:
            return NO_AGES
        usual = project.SESSION_COOKIE_AGE
        ages = (self.idle_age, self.absolute_age, conf.notice_age, usual)
        idle, absolute, notice, usual = (int((age or 0) * 1000) for age in ages)
        return Ages(idle, absolute, notice, usual, version=version or "-")


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


def known_limits(user_id: str, answers: Answers) -> Limits | None:
    """Return the limits of a user, where no handler need be asked for them.

    Raises:
        InvalidSetup: a setting has a wrong value.
    """
    return _fixed_limits() or answers.get(user_id)


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
    sender = LazyUser(user_id) if user is None else user
    if limits := _fixed_limits():
        return replace(limits, idle_age=_idle_age_of(sender))
    settings: dict[str, Any] = {"max_users": conf.max_users}
    expire_check.send(sender=sender, settings=settings)
    return _checked(settings, sender)


def _idle_age_of(user: Any) -> float | None:
    """Return the idle age of the settings for a user."""
    if conf.staff_idle_age is not None and getattr(user, "is_staff", False):
        return conf.staff_idle_age
    return conf.idle_age


def settings_limits() -> Limits:
    """Return what the settings say.

    Raises:
        InvalidSetup: a setting has a wrong value.
    """
    ages = conf.idle_age, conf.absolute_age
    return Limits(conf.max_users or 0, conf.log_limit, conf.policy, *ages)


def common_ages() -> Ages:
    """Return the ages that hold for all users; none where they may differ."""
    differ = expire_check.receivers or conf.staff_idle_age
    return NO_AGES if differ else settings_limits().ages


def _fixed_limits() -> Limits | None:
    """Return what the settings say; None where a handler may say another thing."""
    _ = conf.policy  # one that is misspelt must not pass as "evict"
    # Most projects have no handler, and every save is here.
    return None if expire_check.receivers else settings_limits()


def _checked(settings: Mapping[str, Any], user: object) -> Limits:
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
        policy=settings.get("policy", conf.policy),
        idle_age=settings["idle_age"] if "idle_age" in settings else _idle_age_of(user),
        absolute_age=settings.get("absolute_age", conf.absolute_age),
    )
