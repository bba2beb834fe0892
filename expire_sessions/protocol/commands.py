"""The protocol: what each change of a session asks, and what its reply says.

Every function here returns one command, which is one round trip. What only reads is in
``reads``, what asks for more in ``listing`` and ``bulk``.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final, NamedTuple

from expire_sessions.protocol.asking import Batch, Command, scripted, together
from expire_sessions.protocol.keys import LIFE, PAYLOAD, Keys
from expire_sessions.protocol.lives import (
    NO_AGES,
    NO_NOTICE,
    Ages,
    Notice,
    words_of,
)
from expire_sessions.protocol.modes import Mode
from expire_sessions.protocol.notes import moved_note
from expire_sessions.protocol.replies import (
    Kept,
    Removed,
    Saved,
    read_kept,
    read_removed,
    read_rotated,
    read_saved,
)
from expire_sessions.protocol.scripts import REMOVE, ROTATE, SAVE
from expire_sessions.protocol.session_keys import session_id

__all__ = ["Entry", "place", "remove", "remove_many", "rotate", "save"]


A_DOUBLE_CLICK: Final = 10_000
A_RETRY: Final = 600_000
"""Milliseconds. Where logins are refused, who got no answer to the first would find the
place taken, by nobody."""


class Entry(NamedTuple):
    """A login that takes a place."""

    refusable: bool = False
    """It takes only a place that is free."""

    browser: str = ""
    """A mark of the browser, which has another one as soon as it has an answer. What it
    signed in to just before gives its place to this: a button that was clicked twice,
    or a page that failed."""

    @property
    def kind(self) -> str:
        """The word of save.lua for it."""
        return "refuse" if self.refusable else "1"

    @property
    def mark_age(self) -> int:
        """Milliseconds for which the mark is kept."""
        return A_RETRY if self.refusable else A_DOUBLE_CLICK


def save(  # noqa: PLR0913 - what one round trip is to do
    keys: Keys,
    mode: Mode,
    session_key: str,
    *,
    user_id: str | None,
    payload: bytes = b"",
    age: int = 0,
    ages: Ages = NO_AGES,
    has_ages: bool = True,
) -> Command[Kept]:
    """Save a session that exists. It becomes the most recently seen of its user.

    No other session ends.

    Args:
        mode: UPDATE, or KEEP or JOIN, which write no payload.
        user_id: None for an anonymous session, which has no index.
        age: milliseconds the session lives from now on, if no other age ends it; 0,
            with KEEP and JOIN, leaves its age as it is.
        ages: its other ages, where they are to be set. It keeps them.
        has_ages: it may have some: False where ``age`` is the least of all.

    The reply: how many members the index has, to be compared with the limit (1 for an
    anonymous session, and for a JOIN that was none). 0 where the session is not live:
    nothing was changed.
    """
    names = [keys.payload(session_key)]
    if user_id is not None:
        names.append(keys.index(user_id))
        if has_ages:
            names.append(keys.life(session_key))
    arguments = (mode, payload, words_of(ages, age), session_key)
    return scripted(SAVE, names, arguments, read_kept)


def place(  # noqa: PLR0913 - all that one round trip is to do
    keys: Keys,
    mode: Mode,
    session_key: str,
    *,
    call: str,
    user_id: str | None,
    payload: bytes = b"",
    age: int = 0,
    ages: Ages = NO_AGES,
    limit: int = 0,
    entry: Entry | None = None,
    notice: Notice = NO_NOTICE,
) -> Command[Saved]:
    """Save a session and keep its user's sessions at the limit, atomically.

    Of the other sessions the least recently seen end that are too many, about a
    thousand at most: see ``Saved.more``.

    Args:
        mode, user_id, payload, age, ages: as for ``save``; or NEW.
        call: a name for this call: repeated under the same name, because the reply was
            lost, it changes nothing more and tells what its first run did.
        limit: how many sessions may be live; 0: no limit.
        entry: a login takes its place: ``Saved.live`` is wanted.
        notice: what is left for the browsers of sessions that end.
    """
    names = [keys.payload(session_key), keys.made(session_key)]
    if user_id is not None:
        names += [keys.index(user_id), keys.life(session_key)]
        if entry is not None and entry.browser:
            names.append(keys.mark(user_id, entry.browser))
    arguments = (
        *(mode, payload, words_of(ages, age), session_key, call, limit),
        *keys.affixes(PAYLOAD),
        entry.kind if entry else "",
        *keys.affixes(LIFE),
        *notice,
        entry.mark_age if entry else 0,
    )
    return scripted(SAVE, names, arguments, read_saved)


def remove(
    keys: Keys,
    session_key: str,
    user_id: str | None,
    call: str,
    notice: Notice = NO_NOTICE,
) -> Command[Removed]:
    """End a session, wherever rotations have moved it.

    Args:
        user_id: None where it is anonymous, or its user is not known.
        call: as for ``place``.
        notice: what is left for its browser.
    """
    name = session_id(session_key)
    names = [keys.payload(session_key), keys.moved(name), keys.ended(name)]
    names.append(keys.life(session_key))
    if user_id is not None:
        names.append(keys.index(user_id))
    arguments = (session_key, call, *notice)
    return scripted(REMOVE, names, arguments, partial(read_removed, keys))


def remove_many(
    keys: Keys,
    user_id: str,
    calls: Collection[tuple[str, str]],
    notice: Notice = NO_NOTICE,
) -> Batch[list[Removed]]:
    """End several sessions of a user: the key and the name of the call of each."""
    return together([remove(keys, key, user_id, call, notice) for key, call in calls])


def rotate(  # noqa: PLR0913 - where from, where to, and what
    keys: Keys, old: str, new: str, *, user_id: str | None, payload: bytes, age: int
) -> Command[tuple[str, bytes] | None]:
    """Move a session from its ``old`` key to a ``new`` one.

    The reply: the session key and the payload that it has now, ``new`` and ``payload``
    or those that a faster rotation gave it; None where it has ended. An anonymous
    session always gets ``new``.
    """
    names = [keys.payload(old), keys.payload(new), keys.moved(session_id(old))]
    arguments: list[Any] = [old, new, payload, age]
    if user_id is not None:
        names += [keys.moved(session_id(new)), keys.index(user_id)]
        names += [keys.life(old), keys.life(new)]
        arguments += [moved_note(keys, new, user_id), session_id(old)]
    return scripted(ROTATE, names, arguments, partial(read_rotated, payload))
