"""What is in the indexes: a user's sessions, and the sweep through all of them."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from expire_sessions.protocol.asking import Batch, Command, Steps, ask, each, together
from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.members import Member, read_members, read_scan

__all__ = ["BATCH", "Page", "known", "members", "newest", "sweep"]

logger: Final = logging.getLogger("expire_sessions")

BATCH: Final = 500
"""Keys in one step of a sweep: a few tenths of a millisecond of the server's time."""

PAGE: Final = 100
PAGES: Final = 10
"""Members that are looked at for a list of live sessions, and how often at most."""

WRONG_TYPE: Final = "WRONGTYPE"
"""How Redis begins its answer where a key is of another type."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some members that a sweep has looked at, each with its user's id."""

    live: list[tuple[str, Member]]

    dead: list[tuple[str, Member]]
    """They had no payload, and were dropped."""


def newest(keys: Keys, user_id: str, most: int) -> Steps[list[Member]]:
    """Return the ``most`` live sessions that were last seen, last seen first.

    Two round trips; two more, ten times at most, where so many of them have expired
    that others have to take their place. No payload is read.
    """
    found: list[Member] = []
    size = max(most, PAGE)
    for page in range(PAGES if most > 0 else 0):
        span = (page * size, page * size + size - 1)
        words = ("ZREVRANGE", keys.index(user_id), *span, "WITHSCORES")
        listed = yield from ask(Command(words, read_members))
        live = yield from _live(keys, [member.session_key for member in listed])
        found += [member for member in listed if member.session_key in live]
        if len(found) >= most or len(listed) < size:
            break
    return found[:most]


def known(keys: Keys, user_id: str) -> Steps[list[str]]:
    """Return all session keys in a user's index, also of sessions that expired.

    One round trip, and one more for each 500 of them. To end sessions: one that a
    rotation moves right now looks as if it had expired.
    """
    found: dict[str, None] = {}
    index, cursor = keys.index(user_id), 0
    while True:
        asked = Command(("ZSCAN", index, cursor, "COUNT", BATCH), read_scan)
        cursor, listed = yield from ask(asked)
        found.update(dict.fromkeys(member.session_key for member in listed))
        if not cursor:
            return list(found)


def members(keys: Keys, user_ids: Iterable[str]) -> Steps[list[list[Member]]]:
    """Return the live sessions of each user, in no order.

    Two round trips for all users together, and two more for each 500 sessions of one
    user. No payload is read. What is no index is logged and left out.
    """
    names = [keys.index(user_id) for user_id in user_ids]
    found: dict[str, dict[str, Member]] = {name: {} for name in names}
    cursors = dict.fromkeys(names, 0)
    while cursors:
        cursors, listed = yield from _scan(cursors)
        for page in _pages(listed):
            live = yield from _live(keys, [member.session_key for _, member in page])
            for name, member in page:
                if member.session_key in live:
                    found[name][member.session_key] = member
    return [list(found[name].values()) for name in names]


def sweep(keys: Keys, tell: Callable[[Page], Any]) -> Steps[None]:
    """Drop the members without payload from every index of this cache alias.

    It goes in pages of some hundred keys, two to three round trips each: safe beside
    live traffic, and where it is interrupted the rest waits for the next sweep. A key
    of another type under an index's name is logged and left alone.

    Args:
        tell: yielded for each page, for whoever runs this to call with it.
    """
    cursor = 0
    while True:
        words = ("SCAN", cursor, "MATCH", keys.every_index, "COUNT", BATCH)
        cursor, names = yield from ask(Command(words, _found))
        cursors = dict.fromkeys(names, 0)
        while cursors:
            cursors, listed = yield from _scan(cursors)
            for page in _pages(listed):
                swept = yield from _drop_dead(keys, page)
                yield from tell(swept)
        if not cursor:
            return


Listed = list[tuple[str, Member]]


def _pages(listed: Listed) -> list[Listed]:
    return [listed[at : at + BATCH] for at in range(0, len(listed), BATCH)]


def _scan(cursors: dict[str, int]) -> Steps[tuple[dict[str, int], Listed]]:
    """Read on in each index; return where to go on, and the members found."""
    commands = [
        Command(("ZSCAN", name, cursor, "COUNT", BATCH), read_scan)
        for name, cursor in cursors.items()
    ]
    replies = yield from ask(Batch(commands, lambda replies: replies))
    following: dict[str, int] = {}
    listed: Listed = []
    for name, reply in zip(cursors, replies, strict=True):
        if isinstance(reply, Exception) and WRONG_TYPE in str(reply):
            logger.warning("The Redis key %r is no index: left out of the sweep.", name)
            continue
        (cursor, found) = read_scan(*each([reply]))
        listed += [(name, member) for member in found]
        if cursor:
            following[name] = cursor
    return following, listed


def _drop_dead(keys: Keys, page: Listed) -> Steps[Page]:
    # A payload that is gone never comes back, so nothing can happen in between.
    live = yield from _live(keys, [member.session_key for _, member in page])
    swept = Page(live=[], dead=[])
    drops: list[Command[Any]] = []
    for name, member in page:
        is_live = member.session_key in live
        found = swept.live if is_live else swept.dead
        found.append((keys.user_id(name), member))
        if not is_live:
            drops.append(Command(("ZREM", name, member.session_key)))
    if drops:
        yield from ask(together(drops))
    return swept


def _live(keys: Keys, session_keys: Collection[str]) -> Steps[set[str]]:
    if not session_keys:
        return set()
    asked = [Command(("EXISTS", keys.payload(key)), bool) for key in session_keys]
    replies = yield from ask(together(asked))
    return {key for key, is_live in zip(session_keys, replies, strict=True) if is_live}


def _found(reply: Any) -> tuple[int, list[str]]:
    cursor, names = reply
    return int(cursor), list(dict.fromkeys(name.decode() for name in names))
