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
        "Your account was signed in on too many devices, so this one was signed out. If"
        " you do not know the others, change your password."
    ),
    EndReason.REPLACED: _(
        "You signed in twice in this browser, and the second time counts. Please sign"
        " in again."
    ),
    EndReason.ENDED: _(
        "You were signed out here from another device, or by the site. Please sign in"
        " again."
    ),
    EndReason.DEACTIVATED: _(
        "Your account is no longer active, so you were signed out. If you think that is"
        " a mistake, please ask the site."
    ),
    EndReason.USER_DELETED: _("Your account was deleted, so you were signed out."),
    EndReason.PASSWORD_CHANGED: _(
        "Your password was changed, so this device was signed out. If that was not you,"
        " reset your password now."
    ),
    EndReason.EXPIRED: _("Your sign-in has expired. Please sign in again."),
    IDLE: _(
        "You were signed out because you did nothing here for a while. Please sign in"
        " again."
    ),
    ABSOLUTE: _(
        "You were signed out because you had been signed in for a long time. Please"
        " sign in again."
    ),
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
