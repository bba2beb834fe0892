"""Why a session has ended, for the browser that still had its cookie."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from expire_sessions.clock import time_of
from expire_sessions.protocol.lives import Word
from expire_sessions.reasons import ABSOLUTE, IDLE, EndReason

__all__ = ["NOTICE", "Notice", "notice_in"]

NOTICE: Final = "_expire_notice"
"""Where an anonymous session keeps it until it is taken."""

TEXTS: Final[Mapping[str, Any]] = {
    EndReason.EVICTED: _(
        "You signed in on another device, so this one was signed out. If that was not"
        " you, change your password."
    ),
    EndReason.REPLACED: _("You signed in again in this browser. Please sign in anew."),
    EndReason.ENDED: _("This device was signed out from another one."),
    EndReason.DEACTIVATED: _("Your account is not active any more."),
    EndReason.USER_DELETED: _("Your account was deleted."),
    EndReason.PASSWORD_CHANGED: _(
        "Your password was changed, so this device was signed out. If that was not you,"
        " reset your password."
    ),
    EndReason.DELETED: _("You were signed out. Please sign in again."),
    EndReason.EXPIRED: _("You had been signed in for long. Please sign in again."),
    IDLE: _("You were signed out because you were away for a while."),
    ABSOLUTE: _("You had been signed in for long. Please sign in again."),
}
"""What the person is told, for each reason. A text for all others follows."""

OTHER: Final = _("You were signed out. Please sign in again.")

EVICTED_BY: Final = _(
    "You signed in on another device (%(device)s), so this one was signed out. If that"
    " was not you, change your password."
)


@dataclass(frozen=True, slots=True)
class Notice:
    """Why a session has ended. As text it is a sentence for its person."""

    reason: str
    """A value of ``EndReason``, or ``"idle"`` or ``"absolute"``."""

    when: datetime.datetime
    """By the clock of Redis. Of a session that was away: as exact as
    ``EXPIRE_TOUCH_INTERVAL``."""

    by: str = ""
    """The device of the login that took its place: "Firefox on Windows". It is what
    that client claims: escape it in HTML."""

    def __str__(self) -> str:
        if self.reason == EndReason.EVICTED and self.by:
            return str(EVICTED_BY % {"device": self.by})
        return str(TEXTS.get(self.reason, OTHER))


def notice_in(found: Any) -> Notice | None:
    """Return the notice that a session carries; None where it is none."""
    try:
        word = Word(*found)
        return Notice(str(word.reason), time_of(int(word.when)), str(word.by))
    except (TypeError, ValueError):
        return None
