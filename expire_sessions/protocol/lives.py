"""How long a session may live, and the word that is left of one that has ended.

Both stand at ``life:<session key>``; ``lua/life.lua`` says how.
"""

import json
from struct import Struct
from typing import Any, Final, NamedTuple

from expire_sessions.reasons import ABSOLUTE, IDLE, EndReason

__all__ = [
    "LIFE",
    "NO_AGES",
    "NO_NOTICE",
    "TOLD",
    "Ages",
    "Left",
    "Notice",
    "Word",
    "notice_of",
    "read_left",
    "read_word",
    "words_of",
]


class Ages(NamedTuple):
    """What ends a session beside its own age. Milliseconds; 0: none."""

    idle: int = 0
    """Since it was last seen."""

    absolute: int = 0
    """Since its login."""

    notice: int = 0
    """Kept for so long after the end, for its browser to learn why."""

    usual: int = 0
    """The age that a session has of its own, where it has lost what was known of it."""

    anew: int = 0
    """1: they begin anew, in a session that has them: its user signs in again."""

    version: str = ""
    """The settings that they were made of; empty: they are not to be set."""


NO_AGES: Final = Ages()

LIFE: Final = Struct(">dddddd")
TOLD: Final = Struct(">dd")
"""As life.lua packs them. Text would take a script twice as long."""


class Left(NamedTuple):
    """How long a session with ages may live. Milliseconds."""

    idle: float
    """Its idle age; 0: none."""

    absolute: float | None
    """What is left of its absolute age."""


class Notice(NamedTuple):
    """What the scripts leave for the browser of a session that they end."""

    age: int = 0
    """Milliseconds for which it is kept; 0: nothing is left."""

    why: str = ""


NO_NOTICE: Final = Notice()


class Word(NamedTuple):
    """What is known of a session that has ended."""

    reason: str
    """A value of ``EndReason``, or one of ``IDLE`` and ``ABSOLUTE``."""

    when: int
    """Microseconds of the server's clock."""

    by: str = ""
    """The device of the login that took its place."""


def words_of(ages: Ages, age: int) -> int | str:
    """Return the word of save.lua for a session's own age, and these."""
    if not ages.version:
        return age
    return f"{age} {' '.join(map(str, ages))}"


def read_left(told: bytes) -> Left | None:
    """Read what life.lua tells."""
    if not told:
        return None
    idle, absolute = TOLD.unpack(told)
    return Left(idle, None if absolute < 0 else absolute)


def notice_of(age: int, reason: str, by: str = "") -> Notice:
    """Return the notice of an end.

    Args:
        age: milliseconds for which it is kept.
        reason: a value of ``EndReason``.
        by: the device of the login that took the place.
    """
    found = {"reason": reason, "by": by} if by else {"reason": reason}
    # A script puts the time before it.
    return Notice(age, json.dumps(found, separators=(",", ":"))[1:])


def read_word(reply: bytes | None, time: Any) -> Word | None:
    """Read what stands there for a session whose payload is gone.

    None where it knows of no end: then somebody else took the payload away.

    Args:
        time: the reply to TIME.
    """
    if reply is None:
        return None
    if reply.startswith(b"{"):
        found: dict[str, Any] = json.loads(reply)
        return Word(found["reason"], found["when"], found.get("by", ""))
    login, idle, absolute, _, own, seen = LIFE.unpack_from(reply)
    ends = [(own, str(EndReason.EXPIRED))]
    if absolute:
        ends.append((login + absolute * 1000, ABSOLUTE))
    when, reason = min(ends)
    # When it was last seen is known to a tenth of the idle age: see load.lua.
    if idle and seen + idle * 1100 < when:
        when, reason = seen + idle * 1000, IDLE
    seconds, microseconds = map(int, time)
    return Word(reason, int(when)) if when <= seconds * 10**6 + microseconds else None
