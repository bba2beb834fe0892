"""The words of save.lua: what a save expects, and what became of it."""

from enum import IntEnum, StrEnum

__all__ = ["Mode", "Outcome"]


class Mode(StrEnum):
    """What a save expects to find."""

    NEW = "new"
    """No payload yet."""

    UPDATE = "update"
    """A payload, which is written anew."""

    KEEP = "keep"
    """A payload, which is left as it is."""

    SEE = "see"
    """A payload, which is left as it is. So is the index, if it knows the session."""

    JOIN = "join"
    """As SEE, and a member of the index that has ages is left as it is."""


class Outcome(IntEnum):
    """What became of a save with a name."""

    UNFIT = 0
    """The mode does not fit what is there: nothing was changed."""

    SAVED = 1

    ENDED = -1
    """This call is a repeated one. It had made the session, which was ended since."""

    REFUSED = -2
    """There was no free place: nothing was changed."""

    AGAIN = -3
    """Members without payload were dropped, and there may be more: call again."""
