"""A user's sessions in Redis: the core. It sees a Redis client and strings.

Whose sessions they are, how many are allowed and what is told to whom is decided
above. Every method says how many round trips it makes; each raises
``StoreUnavailable`` where Redis does not answer or refuses.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from expire_sessions import scripts
from expire_sessions.connections import Connection
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.keys import PAYLOAD, session_id

__all__ = ["Index", "Member", "Mode", "Removed", "Saved"]

BATCH: Final = 500
"""Keys in one step of a sweep: a few tenths of a millisecond of the server's time."""

INDEXES: Final = 100
"""Indexes in one step of a sweep."""


class Mode(StrEnum):
    """What a save expects to find."""

    NEW = "new"
    """No payload yet."""

    UPDATE = "update"
    """A payload, which is written anew."""

    KEEP = "keep"
    """A payload, which is left as it is."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save has done to the user's other sessions (session keys)."""

    evicted: tuple[str, ...]
    """Live ones that were too many: ended."""

    gone: tuple[str, ...]
    """Members whose payload had expired: dropped from the index."""

    live: tuple[str, ...] | None
    """All that are live now, told to a login only; None: too many to list."""


UNOPPOSED: Final = Saved(evicted=(), gone=(), live=None)
"""What most saves find: nothing to end."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal found."""

    payload: bool
    """The session was live."""

    member: bool
    """The index knew it."""


class Member(NamedTuple):
    """A live session in the index."""

    session_key: str
    seen: int
    """Microseconds since 1970 by the server's clock."""


class Index:
    """The operations of section "What happens" of the README, one method each."""

    def __init__(self, connection: Connection) -> None:
        self._alias = connection.alias
        self._client = connection.client
        self._keys = connection.keys

    def read(self, session_key: str) -> bytes | None:
        """Return the payload, or None where the session is not live. One round trip."""
        payload: bytes | None = self._ask(
            self._client.execute_command, "GET", self._keys.payload(session_key)
        )
        return payload

    def exists(self, session_key: str) -> bool:
        """Tell whether the session is live. One round trip."""
        name = self._keys.payload(session_key)
        return bool(self._ask(self._client.execute_command, "EXISTS", name))

    def save(  # noqa: PLR0913 - all that one round trip is to do
        self,
        mode: Mode,
        session_key: str,
        *,
        user_id: str | None,
        payload: bytes = b"",
        age: int = 0,
        call: str | None = None,
        limit: int = 0,
        entering: bool = False,
    ) -> Saved | None:
        """Save a session and keep its user's sessions at the limit, atomically.

        One round trip. The session becomes the most recently seen of its user; of
        the others, the least recently seen end that are too many.

        Args:
            mode: what must be there. KEEP writes no payload.
            user_id: None for an anonymous session, which has no index.
            age: milliseconds the session lives from now on; 0, with KEEP, leaves
                its age as it is.
            call: with NEW, a name for this call: one that is repeated under the same
                name, because its reply was lost, succeeds.
            limit: how many sessions may be live; 0: no limit.
            entering: a login takes its place: ``Saved.live`` is wanted.

        Returns:
            None where the mode does not fit what is there: nothing was changed.
        """
        keys = self._keys
        names = [keys.payload(session_key)]
        head, tail = keys.frame(PAYLOAD)
        arguments: list[Any] = [mode, payload, age, limit, head]
        if mode is Mode.NEW:
            names.append(keys.made(session_key))
        if mode is Mode.NEW or entering or tail:  # redis-py packs each one slowly
            arguments += [tail, int(entering), call or ""]
        if user_id is not None:
            names.append(keys.index(user_id))
        return _saved(self._ask(scripts.SAVE.run, self._client, names, arguments))

    def remove(self, session_key: str, user_id: str | None) -> Removed:
        """End a session: payload and member together. One round trip."""
        names = [self._keys.payload(session_key)]
        if user_id is not None:
            names.append(self._keys.index(user_id))
        deleted, removed = self._ask(
            scripts.REMOVE.run, self._client, names, [session_key]
        )
        return Removed(payload=bool(deleted), member=bool(removed))

    def rotate(
        self, old: str, new: str, *, user_id: str | None, payload: bytes, age: int
    ) -> str | None:
        """Move a session from its ``old`` key to a ``new`` one. One round trip.

        Returns:
            The session key that it has now: ``new``, or the one that a faster
            rotation gave it; None where it has ended. An anonymous session always
            gets ``new``.
        """
        keys = self._keys
        names = [keys.payload(old), keys.payload(new), keys.moved(session_id(old))]
        if user_id is not None:
            names.append(keys.index(user_id))
        arguments = [old, new, payload, age]
        reply = self._ask(scripts.ROTATE.run, self._client, names, arguments)
        return None if reply is None else _text(reply)

    def successors(self, session_ids: Iterable[str]) -> dict[str, str]:
        """Return the ids of the sessions that others were moved to in this minute.

        One round trip, and one more for each time that one of them moved again.
        """
        found: dict[str, str] = {}
        ids = list(session_ids)
        while ids:
            pipeline = self._client.pipeline(transaction=False)
            for name in ids:
                pipeline.get(self._keys.moved(name))
            replies = zip(ids, self._ask(_replies, pipeline), strict=True)
            moved = {old: session_id(_text(new)) for old, new in replies if new}
            found |= moved
            ids = [name for name in moved.values() if name not in found]
        return {old: _last(found, old) for old in found}

    def successor(self, session_key: str) -> str | None:
        """Return the session key that a session was moved to in this minute.

        One round trip.
        """
        moved = self._keys.moved(session_id(session_key))
        reply = self._ask(self._client.execute_command, "GET", moved)
        return None if reply is None else _text(reply)

    def members(self, user_ids: Iterable[str]) -> list[list[Member]]:
        """Return the live sessions of each user, least recently seen first.

        Two round trips for all users together. No payload is read.
        """
        pipeline = self._client.pipeline(transaction=False)
        for user_id in user_ids:
            pipeline.zrange(self._keys.index(user_id), 0, -1, withscores=True)
        known = [
            [Member(_text(key), int(seen)) for key, seen in reply]
            for reply in self._ask(_replies, pipeline)
        ]
        live = self._live([member.session_key for each in known for member in each])
        return [
            [member for member in members if member.session_key in live]
            for members in known
        ]

    def sweep(self) -> Iterator[tuple[str, str]]:
        """Drop the members without payload from every index of this cache alias.

        Yields user id and session key of each after it was dropped. It goes in steps
        of some hundred keys, two to three round trips each: safe beside live traffic,
        and where it is interrupted the rest waits for the next sweep.
        """
        found = self._client.scan_iter(match=self._keys.every_index, count=BATCH)
        indexes = map(_text, found)
        while batch := self._ask(list, islice(indexes, INDEXES)):
            yield from self._sweep(batch)

    def _sweep(self, indexes: list[str]) -> Iterator[tuple[str, str]]:
        cursors = dict.fromkeys(indexes, 0)
        while cursors:
            pipeline = self._client.pipeline(transaction=False)
            for index, cursor in cursors.items():
                pipeline.zscan(index, cursor, count=BATCH)
            replies = dict(zip(cursors, self._ask(_replies, pipeline), strict=True))
            members = [
                (index, _text(key))
                for index, (_, found) in replies.items()
                for key, _ in found
            ]
            for at in range(0, len(members), BATCH):
                yield from self._drop_dead(members[at : at + BATCH])
            cursors = {index: reply[0] for index, reply in replies.items() if reply[0]}

    def _drop_dead(self, members: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        # A payload that is gone never comes back, so nothing can happen in between.
        live = self._live([key for _, key in members])
        pipeline = self._client.pipeline(transaction=False)
        dead = [(index, key) for index, key in members if key not in live]
        for index, key in dead:
            pipeline.zrem(index, key)
        self._ask(_replies, pipeline)
        yield from ((self._keys.user_id(index), key) for index, key in dead)

    def _live(self, session_keys: list[str]) -> set[str]:
        pipeline = self._client.pipeline(transaction=False)
        for key in session_keys:
            pipeline.exists(self._keys.payload(key))
        replies = self._ask(_replies, pipeline)
        return {key for key, n in zip(session_keys, replies, strict=True) if n}

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except RedisError as error:
            raise StoreUnavailable(
                f"Redis, in the cache {self._alias!r}, gave no usable answer:"
                f" {type(error).__name__}: {error}"
            ) from error


def _replies(pipeline: Any) -> list[Any]:
    # redis-py puts the command into the errors that it raises itself, and with it the
    # session key, which must not get into a log.
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _saved(reply: Any) -> Saved | None:
    if isinstance(reply, int):  # the usual case, as short as it can be told
        return UNOPPOSED if reply else None
    evicted, gone, live = reply
    return Saved(
        evicted=_texts(evicted),
        gone=_texts(gone),
        live=None if live is None else _texts(live),
    )


def _last(moves: dict[str, str], name: str) -> str:
    while name in moves:
        name = moves[name]
    return name


def _texts(reply: list[bytes]) -> tuple[str, ...]:
    return tuple(key.decode() for key in reply)


def _text(key: bytes) -> str:
    return key.decode()
