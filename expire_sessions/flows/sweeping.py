"""The sweep of ``clearsessions``: through all indexes, and then the history's part."""

from functools import partial
from typing import NamedTuple

from expire_sessions.endings import Ended, Live, tell_ended
from expire_sessions.exceptions import SweepIncomplete
from expire_sessions.protocol import listing
from expire_sessions.protocol.listing import Page
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from expire_sessions.signals import sessions_swept
from expire_sessions.transport.connections import Connection
from expire_sessions.transport.running import Flow, call

__all__ = ["Swept", "sweep"]


class Swept(NamedTuple):
    """What a sweep found: sessions of users."""

    live: int
    dropped: int
    """They had expired, and left their index."""


def sweep(connection: Connection, sender: type) -> Flow[Swept]:
    """Drop index members without a session, and have history do its part.

    Raises:
        SweepIncomplete: the history could not be brought up to date.
    """
    live = dropped = 0
    error: Exception | None = None

    def tell(page: Page) -> Flow[None]:
        nonlocal live, dropped, error
        live, dropped = live + len(page.live), dropped + len(page.dead)
        dead = [Ended(user, session_id(m.session_key)) for user, m in page.dead]
        yield from call(partial(tell_ended, sender, dead, EndReason.EXPIRED))
        found = tuple(
            Live(user, session_id(member.session_key), member.seen)
            for user, member in page.live
        )
        error = error or (yield from _tell_swept(sender, found))

    yield from listing.sweep(connection.keys, tell)
    error = error or (yield from _tell_swept(sender, None))
    if error is not None:
        raise SweepIncomplete(
            f"The login history was not brought up to date: {error}"
        ) from error
    return Swept(live, dropped)


def _tell_swept(sender: type, live: tuple[Live, ...] | None) -> Flow[Exception | None]:
    results = yield from call(
        partial(sessions_swept.send_robust, sender=sender, live=live)
    )
    return next((e for _, e in results if isinstance(e, Exception)), None)
