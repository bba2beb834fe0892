"""A session gets its place in Redis: a new one, or one that has just got its user."""

from functools import partial
from typing import NoReturn

from django.contrib.sessions.backends.base import CreateError, UpdateError

from expire_sessions.access import News, news_of
from expire_sessions.clients import device
from expire_sessions.endings import Ended, tell_ended
from expire_sessions.exceptions import StoreRefused, StoreUnavailable
from expire_sessions.flows.farewells import forget_farewell
from expire_sessions.flows.held import HeldSession
from expire_sessions.flows.limiting import (
    limits_of,
    notice_for,
    tell_others_ended,
    trim,
)
from expire_sessions.flows.refusing import EVICT, refuse
from expire_sessions.flows.unfinished import SAVE
from expire_sessions.limits import Limits
from expire_sessions.protocol import commands
from expire_sessions.protocol.asking import Command, ask
from expire_sessions.protocol.lives import NO_AGES, NO_NOTICE, Notice
from expire_sessions.protocol.modes import Mode, Outcome
from expire_sessions.protocol.replies import Saved
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from expire_sessions.signals import session_entering, session_started
from expire_sessions.transport.running import Flow, call
from expire_sessions.transport.seen import lease_of

__all__ = ["create", "place"]

ATTEMPTS = 5
"""Session keys drawn before giving up. Two draws are never the same in practice."""

STEPS = 1000
"""Steps in which a login ends what is over the limit: a million sessions."""


def create(
    session: HeldSession, user_id: str | None, payload: bytes, age: int
) -> Flow[None]:
    """Write a session whose key was drawn here; draw another where it is taken."""
    for _ in range(ATTEMPTS):
        try:
            yield from place(session, Mode.NEW, user_id, payload, age)
        except CreateError:
            session.draw_key()
        else:
            return
    raise StoreUnavailable(f"{ATTEMPTS} new session keys were all taken.")


def place(
    session: HeldSession, mode: Mode, user_id: str | None, payload: bytes, age: int
) -> Flow[None]:
    """Save a session; a login takes its place with it, and others may end.

    The history writes its row before: no end can overtake it.

    Raises:
        CreateError: there is such a session already (NEW).
        UpdateError: there is none any more.
        SessionLimitReached: there is no free place, and the policy ends no other.
    """
    limits, entry, notice = None, None, NO_NOTICE
    if user_id is not None:
        limits = session.login_of(user_id).limits
        limits = limits or (yield from limits_of(session, user_id))
        entry, notice = _entry_of(session, user_id, limits)
        yield from _tell_entering(session, user_id)
    try:
        saved = yield from _until_sure(
            commands.place(
                session.connection.keys,
                mode,
                str(session.key),
                call=session.unfinished.name(SAVE),
                user_id=user_id,
                payload=payload,
                age=age,
                ages=limits.ages if limits else NO_AGES,
                limit=limits.max_users if limits else 0,
                entry=entry,
                notice=notice,
            )
        )
    except StoreRefused:
        # As lost: a repetition that succeeds opens the row again.
        yield from _tell_own_end(session, user_id, limits, EndReason.LOST)
        raise
    session.unfinished.done(SAVE)
    if limits is not None and saved.outcome is Outcome.REFUSED:
        session.unfinished.entered = None
        yield from _tell_own_end(session, user_id, limits, EndReason.REFUSED)
        news = _news(session, str(user_id), saved)
        yield from refuse(session, str(user_id), limits, news)
    if saved.outcome is Outcome.UNFIT:
        yield from _not_placed(session, mode, user_id, limits)
    session.remember(user_id, payload)
    yield from forget_farewell(session)
    if user_id is not None:
        yield from _placed(session, user_id, saved, limits)


def _until_sure(asked: Command[Saved]) -> Flow[Saved]:
    """Ask until all that was dead is out of the way of a login that may be refused."""
    for _ in range(STEPS):
        saved = yield from ask(asked)
        if saved.outcome is not Outcome.AGAIN:
            return saved
    raise StoreUnavailable("Places that nobody has could not be cleared away.")


def _entry_of(
    session: HeldSession, user_id: str, limits: Limits
) -> tuple[commands.Entry, Notice]:
    """Return how a login takes its place, and the notice of those that end for it."""
    login = session.login_of(user_id)
    user_agent = login.context.user_agent
    by = device(user_agent) if user_agent else ""
    entry = commands.Entry(limits.policy != EVICT, login.browser)
    return entry, notice_for(EndReason.EVICTED, by)


def _placed(
    session: HeldSession, user_id: str, saved: Saved, limits: Limits | None
) -> Flow[None]:
    session.announce_placed()
    session.lease = lease_of(saved.left)
    session.mark_seen()
    yield from tell_others_ended(session, saved, limits)
    if saved.outcome is Outcome.ENDED:
        raise UpdateError
    live = None if saved.live is None else frozenset(map(session_id, saved.live))
    started = partial(
        session_started.send_robust,
        sender=session.sender,
        user_id=user_id,
        session_id=session.id,
        context=session.context_of(user_id, limits),
        live=live,
        **_news(session, user_id, saved)._asdict(),
    )
    yield from call(started)
    if saved.more:
        yield from trim(session, limits, STEPS)


def _news(session: HeldSession, user_id: str, saved: Saved) -> News:
    """Compare the login with what was live before it: those it has ended, too."""
    login, live = session.login_of(user_id), None
    if saved.live is not None:
        live = frozenset(map(session_id, (*saved.live, *saved.evicted)))
    return news_of(login.before, login.context, session.id, live)


def _not_placed(
    session: HeldSession, mode: Mode, user_id: str | None, limits: Limits | None
) -> Flow[NoReturn]:
    session.unfinished.entered = None
    if mode is Mode.NEW:
        raise CreateError
    yield from _tell_own_end(session, user_id, limits, EndReason.INTERRUPTED)
    raise UpdateError


def _tell_entering(session: HeldSession, user_id: str) -> Flow[None]:
    if session.unfinished.entered == user_id:
        return  # it was told before the reply was lost
    entering = partial(
        session_entering.send_robust,
        sender=session.sender,
        user_id=user_id,
        session_id=session.id,
        context=session.login_of(user_id).context,
    )
    yield from call(entering)
    session.unfinished.entered = user_id


def _tell_own_end(
    session: HeldSession, user_id: str | None, limits: Limits | None, reason: EndReason
) -> Flow[None]:
    if user_id is not None:
        ended = [Ended(user_id, session.id)]
        context = session.context_of(user_id, limits)
        yield from call(partial(tell_ended, session.sender, ended, reason, context))
