"""What a store knows: of its session, of a login to come, of the session before."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from expire_sessions.access import Before
from expire_sessions.context import NO_CONTEXT, Context
from expire_sessions.endings import FLUSHED, Cause
from expire_sessions.limits import Limits
from expire_sessions.protocol.lives import Word

__all__ = ["NOTHING", "NOTHING_ANNOUNCED", "Announced", "Farewell", "Known"]


class Known(NamedTuple):
    """What a store knows of its session in Redis."""

    user_id: str | None = None
    payload: bytes | None = None
    """As it was read or written; None: it was neither."""

    is_new: bool = False
    """Its key was drawn here, and nothing is in Redis yet."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What Django's signals announced, for the save or the flush to come."""

    user_id: str | None = None
    """Who signed in."""

    user: object = None
    context: Context = NO_CONTEXT
    limits: Limits | None = None
    """What ``expire_check`` has answered at this login already."""

    browser: str = ""
    """A mark of the browser that signs in."""

    is_placed: bool = False
    """The login has its place."""

    before: Before | None = None
    """What the history knew of the account; None: it was not asked."""

    cause: Cause = FLUSHED
    """Why the next flush ends the session."""


class Farewell(NamedTuple):
    """A session that has ended, of a browser that has not been told why."""

    key: str
    word: Word


NOTHING: Final = Known()
NOTHING_ANNOUNCED: Final = Announced()
