"""A user's sessions in Redis: the core. It sees a Redis client and strings.

Whose sessions they are, how many are allowed and what is told to whom is decided
above. Every method says how many round trips it makes; each raises
``StoreUnavailable`` where Redis does not answer, and ``StoreRefused`` where it refuses.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError, ResponseError

from expire_sessions import scripts
from expire_sessions.connections import Connection
from expire_sessions.exceptions import StoreRefused, StoreUnavailable
from expire_sessions.keys import PAYLOAD, Keys, SessionKey, session_id
from expire_sessions.tracebacks import without_frames

__all__ = [
    "BATCH",
    "Index",
    "Member",
    "Mode",
    "Outcome",
    "Removed",
    "Saved",
    "Step",
    "Stored",
]

logger: Final = logging.getLogger("expire_sessions")

BATCH: Final = 500
"""Keys in one step of a sweep: a few tenths of a millisecond of the server's time."""

PAGE: Final = 100
PAGES: Final = 10
"""Members that are looked at for a list of live sessions, and how often at most."""

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

    JOIN = "join"
    """A payload, which is left as it is. So is the index, if it knows the session."""


class Outcome(IntEnum):
    """What became of a save with a name."""

    UNFIT = 0
    """The mode does not fit what is there: nothing was changed."""

    SAVED = 1

    ENDED = -1
    """This call is a repeated one. It had made the session, which was ended since."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save has done to the user's other sessions (session keys)."""

    outcome: Outcome

    evicted: tuple[str, ...] = ()
    """Live ones that were too many: ended."""

    gone: tuple[str, ...] = ()
    """Members whose payload had expired: dropped from the index."""

    live: tuple[str, ...] | None = None
    """All that are live now, told to a login only; None: too many to list."""

    more: bool = False
    """There are more to end than one step may: call again."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal found."""

    payload: bool
    """The session was live."""

    member: bool
    """The index knew it."""

    ids: tuple[str, ...] = ()
    """The ids that rotations had given it since, the latest last."""

    user_id: str | None = None
    """Whose it was; None where that is not known."""


class Member(NamedTuple):
    """A live session in the index."""

    session_key: str
    seen: int
    """Microseconds since 1970 by the server's clock."""


class Stored(NamedTuple):
    """A session to be written as it is."""

    session_key: str
    payload: bytes
    age: int
    """Milliseconds."""


@dataclass(frozen=True, slots=True)
class Step:
    """Some members that a sweep has looked at, each with its user's id."""

    live: list[tuple[str, Member]]

    dead: list[tuple[str, Member]]
    """They had no payload, and were dropped."""


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

    def save(
        self,
        mode: Mode,
        session_key: str,
        *,
        user_id: str | None,
        payload: bytes = b"",
        age: int = 0,
    ) -> int:
        """Save a session that exists. It becomes the most recently seen of its user.

        One round trip. No other session ends.

        Args:
            mode: UPDATE, or KEEP or JOIN, which write no payload.
            user_id: None for an anonymous session, which has no index.
            age: milliseconds the session lives from now on; 0, with KEEP and JOIN,
                leaves its age as it is.

        Returns:
            How many members the index has, to be compared with the limit (1 for an
            anonymous session, and for a JOIN that was none). 0 where the session is not
            live: nothing was changed.
        """
        names = [self._keys.payload(session_key)]
        if user_id is not None:
            names.append(self._keys.index(user_id))
        arguments = [mode, payload, age, session_key]
        return int(self._ask(scripts.SAVE.run, self._client, names, arguments))

    def place(  # noqa: PLR0913 - all that one round trip is to do
        self,
        mode: Mode,
        session_key: str,
        *,
        call: str,
        user_id: str | None,
        payload: bytes = b"",
        age: int = 0,
        limit: int = 0,
        entering: bool = False,
    ) -> Saved:
        """Save a session and keep its user's sessions at the limit, atomically.

        One round trip. Of the other sessions the least recently seen end that are too
        many, about a thousand at most: see ``Saved.more``.

        Args:
            mode, user_id, payload, age: as for ``save``; or NEW.
            call: a name for this call: repeated under the same name, because the reply
                was lost, it changes nothing more and tells what its first run did.
            limit: how many sessions may be live; 0: no limit.
            entering: a login takes its place: ``Saved.live`` is wanted.
        """
        keys = self._keys
        names = [keys.payload(session_key), keys.made(session_key)]
        if user_id is not None:
            names.append(keys.index(user_id))
        frame = keys.frame(PAYLOAD)
        arguments = [
            mode,
            payload,
            age,
            session_key,
            call,
            limit,
            *frame,
            int(entering),
        ]
        return _saved(self._ask(scripts.SAVE.run, self._client, names, arguments))

    def join(self, sessions: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """Let sessions join the index of their user. One round trip for all.

        Args:
            sessions: user id and session key of each. One that has ended, or is a
                member, is left as it is.

        Returns:
            Those that are live.
        """
        calls = [
            (
                [self._keys.payload(key), self._keys.index(user_id)],
                [Mode.JOIN, b"", 0, key],
            )
            for user_id, key in sessions
        ]
        replies = self._ask(scripts.SAVE.run_many, self._client, calls)
        found = zip(sessions, self._ask(_raised, replies), strict=True)
        return [session for session, members in found if members]

    def remove(self, session_key: str, user_id: str | None, call: str) -> Removed:
        """End a session, wherever rotations have moved it. One round trip.

        Args:
            user_id: None where it is anonymous, or its user is not known.
            call: as for ``place``.
        """
        names, arguments = self._removal(session_key, user_id, call)
        return self._removed(
            self._ask(scripts.REMOVE.run, self._client, names, arguments)
        )

    def remove_many(
        self, user_id: str, calls: Iterable[tuple[str, str]]
    ) -> list[Removed]:
        """End several sessions of a user. One round trip.

        Args:
            calls: the session key and the name of the call of each.
        """
        removals = [self._removal(key, user_id, call) for key, call in calls]
        replies = self._ask(scripts.REMOVE.run_many, self._client, removals)
        return [self._removed(reply) for reply in self._ask(_raised, replies)]

    def rotate(
        self, old: str, new: str, *, user_id: str | None, payload: bytes, age: int
    ) -> tuple[str, bytes] | None:
        """Move a session from its ``old`` key to a ``new`` one. One round trip.

        Returns:
            The session key and the payload that it has now: ``new`` and ``payload``, or
            those that a faster rotation gave it; None where it has ended. An anonymous
            session always gets ``new``.
        """
        keys = self._keys
        names = [keys.payload(old), keys.payload(new), keys.moved(session_id(old))]
        arguments = [old, new, payload, age]
        if user_id is not None:
            names += [keys.moved(session_id(new)), keys.index(user_id)]
            arguments += [_note(keys, new, user_id), session_id(old)]
        reply = self._ask(scripts.ROTATE.run, self._client, names, arguments)
        if reply is None:
            return None
        key, *others = reply
        return SessionKey(_text(key)), others[0] if others else payload

    def successors(self, session_ids: Iterable[str]) -> dict[str, list[str]]:
        """Return the ids that rotations of this minute gave to sessions, latest last.

        One round trip, and one more for each time that one of them moved again.
        """
        moves: dict[str, str] = {}
        ids = list(session_ids)
        while ids:
            notes = self._notes(ids).items()
            found = {old: note["id"] for old, note in notes if "id" in note}
            moves |= found
            ids = [name for name in found.values() if name not in moves]
        return {old: list(_way(moves, old)) for old in moves}

    def origins(self, session_ids: Iterable[str]) -> dict[str, list[str]]:
        """Return the ids that sessions had before rotations of this minute.

        The oldest first. One round trip.
        """
        notes = self._notes(list(session_ids)).items()
        return {name: note["from"] for name, note in notes if "from" in note}

    def _notes(self, session_ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return what rotations have noted of these sessions. See follow.lua."""
        pipeline = self._client.pipeline(transaction=False)
        for name in session_ids:
            pipeline.get(self._keys.moved(name))
        replies = zip(session_ids, self._ask(_replies, pipeline), strict=True)
        return {name: json.loads(note) for name, note in replies if note}

    def newest(self, user_id: str, most: int) -> list[Member]:
        """Return the ``most`` live sessions that were last seen, last seen first.

        Two round trips; two more, ten times at most, where so many of them have expired
        that others have to take their place. No payload is read.
        """
        found: list[Member] = []
        size = max(most, PAGE)
        for page in range(PAGES if most > 0 else 0):
            known = self._page(user_id, page * size, size)
            found += self._only_live(known)
            if len(found) >= most or len(known) < size:
                break
        return found[:most]

    def _page(self, user_id: str, start: int, most: int) -> list[Member]:
        pipeline = self._client.pipeline(transaction=False)
        index = self._keys.index(user_id)
        end = start + most - 1
        pipeline.zrange(index, start, end, desc=True, withscores=True)
        (reply,) = self._ask(_replies, pipeline)
        return [Member(SessionKey(_text(key)), int(seen)) for key, seen in reply]

    def seen(self, sessions: Iterable[tuple[str, str]]) -> list[int]:
        """Return when sessions were last seen, each a user id and a session key.

        0 where it is in no index. One round trip.
        """
        pipeline = self._client.pipeline(transaction=False)
        for user_id, key in sessions:
            pipeline.zscore(self._keys.index(user_id), key)
        return [int(score or 0) for score in self._ask(_replies, pipeline)]

    def known(self, user_id: str) -> list[str]:
        """Return all session keys in a user's index, also of sessions that expired.

        One round trip, and one more for each 500 of them. To end sessions: one that a
        rotation moves right now looks as if it had expired.
        """
        pages = self._scan([self._keys.index(user_id)], _replies_by_name)
        return [member.session_key for page in pages for _, member in page]

    def members(self, user_ids: Iterable[str]) -> list[list[Member]]:
        """Return the live sessions of each user, in no order.

        Two round trips for all users together, and two more for each 500 sessions of
        one user. No payload is read. What is no index is logged and left out.
        """
        names = [self._keys.index(user_id) for user_id in user_ids]
        found: dict[str, dict[str, Member]] = {name: {} for name in names}
        for page in self._scan(names, _indexes_of):
            live = self._live([member.session_key for _, member in page])
            for name, member in page:
                if member.session_key in live:
                    found[name][member.session_key] = member
        return [list(found[name].values()) for name in names]

    def sweep(self) -> Iterator[Step]:
        """Drop the members without payload from every index of this cache alias.

        It goes in steps of some hundred keys, two to three round trips each: safe
        beside live traffic, and where it is interrupted the rest waits for the next
        sweep. A key of another type under an index's name is logged and left alone.
        """
        found = self._client.scan_iter(match=self._keys.every_index, count=BATCH)
        indexes = map(_text, found)
        while batch := self._ask(list, islice(indexes, INDEXES)):
            for page in self._scan(batch, _indexes_of):
                yield self._drop_dead(page)

    def payload_page(self, cursor: int) -> tuple[int, list[str]]:
        """Return some session keys that have a payload, and where to go on; 0: the end.

        One round trip.
        """
        pattern = self._keys.every_payload
        command = ("SCAN", cursor, "MATCH", pattern, "COUNT", BATCH)
        following, names = self._ask(self._client.execute_command, *command)
        return int(following), [self._keys.session_key(_text(name)) for name in names]

    def read_many(self, session_keys: Iterable[str]) -> list[bytes | None]:
        """Return their payloads; None where there is none. One round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for key in session_keys:
            pipeline.get(self._keys.payload(key))
        replies = self._ask(partial(pipeline.execute, raise_on_error=False))
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def store_many(self, sessions: Iterable[Stored]) -> None:
        """Write payloads; one that exists stays as it is. One round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for key, payload, age in sessions:
            pipeline.set(self._keys.payload(key), payload, px=age, nx=True)
        self._ask(_replies, pipeline)

    def size(self) -> int:
        """Return how many keys the database of this cache has. One round trip."""
        return int(self._ask(self._client.dbsize))

    def _removal(
        self, session_key: str, user_id: str | None, call: str
    ) -> tuple[list[str], list[Any]]:
        keys, name = self._keys, session_id(session_key)
        names = [keys.payload(session_key), keys.moved(name), keys.ended(name)]
        if user_id is not None:
            names.append(keys.index(user_id))
        return names, [session_key, call]

    def _removed(self, reply: Any) -> Removed:
        deleted, removed, ids, index = reply
        return Removed(
            payload=bool(deleted),
            member=bool(removed),
            ids=_texts(ids),
            user_id=None if index is None else self._keys.user_id(_text(index)),
        )

    def _scan(
        self, indexes: list[str], read: Callable[..., dict[str, Any]]
    ) -> Iterator[list[tuple[str, Member]]]:
        """Yield the members of these indexes, about ``BATCH`` at a time."""
        cursors = dict.fromkeys(indexes, 0)
        while cursors:
            pipeline = self._client.pipeline(transaction=False)
            for index, cursor in cursors.items():
                pipeline.zscan(index, cursor, count=BATCH)
            replies = self._ask(read, list(cursors), pipeline)
            members = [
                (index, Member(SessionKey(_text(key)), int(seen)))
                for index, (_, found) in replies.items()
                for key, seen in found
            ]
            for at in range(0, len(members), BATCH):
                yield members[at : at + BATCH]
            cursors = {index: reply[0] for index, reply in replies.items() if reply[0]}

    def _drop_dead(self, page: list[tuple[str, Member]]) -> Step:
        # A payload that is gone never comes back, so nothing can happen in between.
        live = self._live([member.session_key for _, member in page])
        step = Step(live=[], dead=[])
        pipeline = self._client.pipeline(transaction=False)
        for index, member in page:
            is_live = member.session_key in live
            found = step.live if is_live else step.dead
            found.append((self._keys.user_id(index), member))
            if not is_live:
                pipeline.zrem(index, member.session_key)
        self._ask(_replies, pipeline)
        return step

    def _only_live(self, members: list[Member]) -> list[Member]:
        live = self._live([member.session_key for member in members])
        return [member for member in members if member.session_key in live]

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
            refused = isinstance(error, ResponseError)
            kind = StoreRefused if refused else StoreUnavailable
            raise kind(
                f"Redis, in the cache {self._alias!r}, gave no usable answer:"
                f" {type(error).__name__}: {error}"
            ) from without_frames(error)


def _raised(replies: list[Any]) -> list[Any]:
    """Return the replies to a pipeline; raise the first error among them.

    redis-py would put the command into the error, and with it the session key, which
    must not get into a log.
    """
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _replies(pipeline: Any) -> list[Any]:
    return _raised(pipeline.execute(raise_on_error=False))


def _replies_by_name(names: list[str], pipeline: Any) -> dict[str, Any]:
    return dict(zip(names, _replies(pipeline), strict=True))


def _indexes_of(names: list[str], pipeline: Any) -> dict[str, Any]:
    """Return the reply for each index; what is none of ours is logged and left out."""
    found = {}
    for name, reply in zip(names, pipeline.execute(raise_on_error=False), strict=True):
        if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
            logger.warning("The Redis key %r is no index: left out of the sweep.", name)
        else:
            found[name] = reply
    _raised(list(found.values()))
    return found


def _note(keys: Keys, session_key: str, user_id: str) -> str:
    """Return what follow.lua needs to find a session that has this key now."""
    name = session_id(session_key)
    return json.dumps(
        {
            "key": session_key,
            "id": name,
            "payload": keys.payload(session_key),
            "moved": keys.moved(name),
            "index": keys.index(user_id),
        }
    )


def _saved(reply: Any) -> Saved:
    if isinstance(reply, int):
        return Saved(Outcome(reply))
    outcome, evicted, gone, live, more = reply
    return Saved(
        outcome=Outcome(outcome),
        evicted=_keys(evicted),
        gone=_keys(gone),
        live=None if live is None else _keys(live),
        more=bool(more),
    )


def _way(moves: dict[str, str], name: str) -> Iterator[str]:
    while name in moves:
        name = moves[name]
        yield name


def _keys(reply: list[bytes]) -> tuple[SessionKey, ...]:
    return tuple(SessionKey(key.decode()) for key in reply)


def _texts(reply: list[bytes]) -> tuple[str, ...]:
    return tuple(key.decode() for key in reply)


def _text(key: bytes) -> str:
    return key.decode()
