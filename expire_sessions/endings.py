"""Tell that sessions have ended: the one place that sends these signals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from expire_sessions.context import NO_CONTEXT, Context
from expire_sessions.reasons import EndReason
from expire_sessions.signals import session_ended, sessions_ended

__all__ = ["FLUSHED", "Cause", "Ended", "Live", "tell_ended"]


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that is no longer usable."""

    user_id: str | None
    """None where a key was deleted whose owner is not known."""

    session_id: str

    previous_ids: tuple[str, ...] = ()
    """Ids that it had in the last minute: its row may not have followed yet."""

    @classmethod
    def after_moves(cls, user_id: str | None, ids: Sequence[str]) -> Self:
        """Return the end of a session that had these ids, the oldest first."""
        *previous_ids, latest = ids
        return cls(user_id, latest, tuple(previous_ids))


class Cause(NamedTuple):
    """Why a session ends, and what is known of who ends it."""

    reason: EndReason
    context: Context = NO_CONTEXT


FLUSHED: Final = Cause(EndReason.FLUSHED)


class Live(NamedTuple):
    """A session that was found live."""

    user_id: str
    session_id: str
    seen: int
    """Microseconds since 1970, by the clock of Redis."""


def tell_ended(
    sender: Any,
    ended: Sequence[Ended],
    reason: EndReason,
    context: Context = NO_CONTEXT,
) -> None:
    """Send ``sessions_ended`` once for all, and ``session_ended`` for each."""
    if not ended:
        return
    sessions_ended.send_robust(
        sender=sender, ended=tuple(ended), reason=reason, context=context
    )
    if not session_ended.has_listeners(sender):
        return
    for one in ended:
        session_ended.send_robust(
            sender=sender,
            user_id=one.user_id,
            session_id=one.session_id,
            reason=reason,
            context=context,
        )
