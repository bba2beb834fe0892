"""What becomes of a request whose session has ended: its browser is to learn why."""

from django.contrib.sessions.backends.base import UpdateError

from expire_sessions.conf import conf
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.flows.facts import Farewell
from expire_sessions.flows.held import HeldSession
from expire_sessions.protocol import reads
from expire_sessions.protocol.asking import ask
from expire_sessions.protocol.lives import Word
from expire_sessions.reasons import DROPPED
from expire_sessions.transport.running import Flow

__all__ = ["drop_changes", "forget_farewell", "go_on_without"]


def go_on_without(session: HeldSession) -> Flow[None]:
    """Go on anonymous: the session is not live.

    One round trip, for the reason. It is left in Redis until somebody looks at it: the
    browser keeps its cookie so long, and a second request of the same page finds it.
    """
    key = session.key
    session.become_anonymous()
    if key is not None:
        word = yield from _word_of(session, key)
        session.farewell = None if word is None else Farewell(key, word)


def forget_farewell(session: HeldSession) -> Flow[None]:
    """Let nobody find the reason any more: it was told, or there is a new session."""
    if session.farewell is not None:
        keys, key = session.connection.keys, session.farewell.key
        session.farewell = None
        try:
            yield from ask(reads.drop_word(keys, key))
        except StoreUnavailable:
            return  # it goes in EXPIRE_NOTICE_AGE


def drop_changes(session: HeldSession, user_id: str | None) -> Flow[None]:
    """Drop what a request in flight has set in a session that was ended meanwhile.

    Its browser is answered as if nothing had happened, and learns why with its next
    page. One round trip.

    Raises:
        UpdateError: nobody knows why it has ended, its own user ended it, or its
            browser has learned why: it may have another session by now.
    """
    if user_id is not None and session.key is not None:
        word = yield from _word_of(session, session.key)
        if word is not None and word.reason in DROPPED:
            return
    raise UpdateError


def _word_of(session: HeldSession, key: str) -> Flow[Word | None]:
    if not conf.notice_age:
        return None
    try:
        return (yield from ask(reads.word(session.connection.keys, key)))
    except StoreUnavailable:
        return None  # that it has ended is known
