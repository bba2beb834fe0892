"""Who takes part in the interleavings: what requests, pages and commands do.

Each actor uses a real store as the middleware and a view would. A mark in a session's
data tells it from others, whatever key it goes on under. Where Redis does not answer,
an actor does the same call again on the same object, as a project would.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.contrib.auth import SESSION_KEY, login, logout
from django.http import HttpRequest
from redis.exceptions import ConnectionError as RedisConnectionError

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable, SweepIncomplete
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import EndReason
from expire_sessions.sessions import UserSessions
from tests.asking import lose_payload
from tests.interleaving import Step, gate

__all__ = ["KINDS", "MARK", "Actor", "Kind", "Outcome", "Stage", "sign_in"]

MARK: Final = "mark"
"""What a session is called, in its data."""

VISITOR: Final = "v"
"""The mark of an anonymous session."""

T = TypeVar("T")


@dataclass(slots=True)
class Stage:
    """What the actors find: two users, some sessions, a limit."""

    ann: Any
    bob: Any
    keys: dict[str, str]
    """The session keys that the browsers hold, by mark."""

    limit: int
    log_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an actor's work ended."""

    found: bool = True
    """It found the session that it came for signed in."""

    is_in: bool = True
    """Its session is signed in at the end."""

    answer: Any = None


NOT_FOUND: Final = Outcome(found=False, is_in=False)


def again(call: Callable[[], T]) -> T:
    """Do it, and once more where Redis did not answer."""
    try:
        return call()
    except StoreUnavailable:
        return call()


def sign_in(store: SessionStore, user: Any, mark: str) -> None:
    """Sign in as a view does, and save as the middleware does."""
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "127.0.0.1", "HTTP_USER_AGENT": mark}
    request.session = store
    again(lambda: login(request, user))
    if store.get(MARK, VISITOR) == VISITOR:
        store[MARK] = mark
    again(store.save)


def load(stage: Stage, target: str) -> SessionStore | None:
    """Return the loaded session; None where its browser is not signed in any more."""
    store = SessionStore(stage.keys[target])
    return store if again(lambda: store.get(SESSION_KEY)) else None


def outcome_of(store: SessionStore) -> Outcome:
    """Return what a request has made of its session."""
    return Outcome(is_in=store.session_key is not None and SESSION_KEY in store)


# What they do: each gets the stage, its own letter and the mark of its session.


def log_in(stage: Stage, me: str, target: str) -> Outcome:
    """Sign in with a fresh browser."""
    sign_in(SessionStore(), stage.ann, me)
    return Outcome()


def log_in_from_visit(stage: Stage, me: str, target: str) -> Outcome:
    """Sign in with a browser that has an anonymous session."""
    store = SessionStore(stage.keys[target])
    found = again(lambda: store.get(MARK)) is not None
    sign_in(store, stage.ann, me)
    return Outcome(found=found)


def log_in_again(stage: Stage, me: str, target: str) -> Outcome:
    """Sign in once more in a signed-in session."""
    store = SessionStore(stage.keys[target])
    found = again(lambda: store.get(SESSION_KEY)) is not None
    sign_in(store, stage.ann, me)
    return Outcome(found=found)


def log_in_as_bob(stage: Stage, me: str, target: str) -> Outcome:
    """Sign another user in with the same browser."""
    store = SessionStore(stage.keys[target])
    found = again(lambda: store.get(SESSION_KEY)) is not None
    sign_in(store, stage.bob, me)
    return Outcome(found=found)


def visit(stage: Stage, me: str, target: str) -> Outcome:
    """Read the session."""
    store = load(stage, target)
    return outcome_of(store) if store else NOT_FOUND


def change(stage: Stage, me: str, target: str) -> Outcome:
    """Write to the session."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    store["changed"] = me
    again(store.save)
    return outcome_of(store)


def keep(stage: Stage, me: str, target: str) -> Outcome:
    """Save what was not changed, as SESSION_SAVE_EVERY_REQUEST does."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    again(store.save)
    return outcome_of(store)


def rotate(stage: Stage, me: str, target: str) -> Outcome:
    """Give the session a new key, as a change of the password does."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    again(store.cycle_key)
    if SESSION_KEY not in store:
        return outcome_of(store)
    store["rotated"] = me
    again(store.save)
    return outcome_of(store)


def rotate_twice(stage: Stage, me: str, target: str) -> Outcome:
    """Rotate in one request, and in the next one of the same browser."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    again(store.cycle_key)
    if SESSION_KEY not in store:
        return outcome_of(store)
    store = SessionStore(store.session_key)
    if not again(lambda: store.get(SESSION_KEY)):
        return NOT_FOUND
    again(store.cycle_key)
    return outcome_of(store)


def sign_out(stage: Stage, me: str, target: str) -> Outcome:
    """Sign out."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    request = HttpRequest()
    request.user, request.session = stage.ann, store
    again(lambda: logout(request))
    return outcome_of(store)


def drop_user(stage: Stage, me: str, target: str) -> Outcome:
    """Save the session without its user."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    store.pop(SESSION_KEY)
    again(store.save)
    return outcome_of(store)


def hand_over(stage: Stage, me: str, target: str) -> Outcome:
    """Save the session as another user's."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    store[SESSION_KEY] = str(stage.bob.pk)
    again(store.save)
    return outcome_of(store)


def let_expire(stage: Stage, me: str, target: str) -> Outcome:
    """Save the session with an age that has passed."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    store.set_expiry(-1)
    again(store.save)
    return outcome_of(store)


def delete(stage: Stage, me: str, target: str) -> Outcome:
    """Delete the session by its key, as code of a project may."""
    store = SessionStore()
    again(lambda: store.delete(stage.keys[target]))
    return Outcome()


def end(stage: Stage, me: str, target: str) -> Outcome:
    """End the session by its id, as the page of sessions does."""
    sessions = UserSessions(stage.ann)
    name = session_id(stage.keys[target])
    return Outcome(answer=again(lambda: sessions.end(name)))


def end_others(stage: Stage, me: str, target: str) -> Outcome:
    """End all sessions but one's own."""
    if (store := load(stage, target)) is None:
        return NOT_FOUND
    sessions = UserSessions(stage.ann, store.session_key)
    return Outcome(answer=again(sessions.end_others))


def end_all(stage: Stage, me: str, target: str) -> Outcome:
    """End all sessions of the user."""
    sessions = UserSessions(stage.ann)
    return Outcome(answer=again(sessions.end_all))


def lower(stage: Stage, me: str, target: str) -> Outcome:
    """Lower the limit to one session."""
    gate(Step("limit", "lower the limit"))
    stage.limit = 1
    return Outcome()


def sweep(stage: Stage, me: str, target: str) -> Outcome:
    """Do what clearsessions does."""
    try:
        again(SessionStore.clear_expired)
    except SweepIncomplete:
        SessionStore.clear_expired()
    return Outcome()


def expire(stage: Stage, me: str, target: str) -> Outcome:
    """Take the payload away, as its time to live does."""
    with suppress(RedisConnectionError):  # time does not wait for an answer
        lose_payload(stage.keys[target])
    return Outcome()


@dataclass(frozen=True, slots=True)
class Kind:
    """What the rules have to know of an actor."""

    act: Callable[[Stage, str, str], Outcome]
    on: str = "session"
    """Whose session it is about: "session" (Ann's), "visitor", or "" for none."""

    ends: str = ""
    """Which sessions it is to end: "own", "all", "others" (of Ann), or none."""

    reason: EndReason = EndReason.ENDED
    """Why those end."""

    signs_in: bool = False
    evicts: bool = False
    """It may end others for the limit."""

    moves: bool = False
    """It may give its session a new key."""

    parts: bool = False
    """The data of the session that it ends may go on, with another user or none."""


FLUSHED, EXPIRED = EndReason.FLUSHED, EndReason.EXPIRED

KINDS: Final = {
    "log in": Kind(log_in, "", signs_in=True, evicts=True),
    "log in from a visit": Kind(
        log_in_from_visit, "visitor", signs_in=True, evicts=True, moves=True
    ),
    "log in again": Kind(log_in_again, signs_in=True, evicts=True, moves=True),
    "log in as bob": Kind(
        log_in_as_bob, ends="own", reason=FLUSHED, signs_in=True, evicts=True
    ),
    "visit": Kind(visit, evicts=True),
    "change": Kind(change, evicts=True),
    "keep": Kind(keep, evicts=True),
    "rotate": Kind(rotate, evicts=True, moves=True),
    "rotate twice": Kind(rotate_twice, evicts=True, moves=True),
    "log out": Kind(sign_out, ends="own", reason=EndReason.LOGOUT, evicts=True),
    "drop the user": Kind(
        drop_user, ends="own", reason=FLUSHED, evicts=True, moves=True, parts=True
    ),
    "hand over to bob": Kind(
        hand_over, ends="own", reason=FLUSHED, evicts=True, moves=True, parts=True
    ),
    "let expire": Kind(let_expire, ends="own", reason=EXPIRED, evicts=True),
    "delete": Kind(delete, ends="own", reason=EndReason.DELETED),
    "end": Kind(end, ends="own"),
    "end others": Kind(end_others, ends="others", evicts=True),
    "end all": Kind(end_all, "", ends="all"),
    "lower the limit": Kind(lower, ""),
    "sweep": Kind(sweep, ""),
    "expire": Kind(expire, ends="own", reason=EXPIRED),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """One who takes part."""

    what: str
    """A key of ``KINDS``."""

    target: str = ""
    """The mark of the session that it is about."""

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.what]

    def __str__(self) -> str:
        return f"{self.what} {self.target}".strip()
