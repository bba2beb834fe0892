"""Take in the sessions that were made before this engine was.

They join the index of their user: they count for the limit, and end with "sign out
everywhere". Nobody is signed out here. Both walks can be stopped and resumed.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from expire_sessions import history
from expire_sessions.endings import Live
from expire_sessions.exceptions import InvalidSetup
from expire_sessions.flows.payloads import data_in, user_id_in
from expire_sessions.limits import common_ages
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import bulk
from expire_sessions.protocol.listing import BATCH
from expire_sessions.protocol.session_keys import SessionKey, is_session_key, session_id
from expire_sessions.transport.connections import Connection, session_connection
from expire_sessions.transport.running import ask, run

__all__ = ["Adopted", "adopt_payloads", "adopt_rows"]

A_MILLISECOND: Final = datetime.timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Adopted:
    """One step of a walk."""

    cursor: str
    """Where to go on after this step; empty at the end."""

    part: float
    """How much of the walk is done, from 0 to 1."""

    indexed: int = 0
    """Sessions of users, which are in their index now."""

    anonymous: int = 0

    ended: int = 0
    """They were copied before and have ended since: not copied again."""

    unreadable: int = 0
    """Payloads that the cache's serializer, or rows that the engine, cannot read."""


def adopt_payloads(cursor: str = "") -> Iterator[Adopted]:
    """Index the sessions that Django's cache backend left in the session cache.

    Safe on a live site. Three or four round trips and one query for a step.

    Args:
        cursor: where another walk was stopped.

    Raises:
        StoreUnavailable: Redis does not answer.
        ValueError: this is no cursor.
    """
    connection = session_connection()
    keys = connection.keys
    total, looked, at = ask(connection, bulk.size()), 0, int(cursor or 0)
    while True:
        at, names = ask(connection, bulk.payload_page(keys, at))
        looked += BATCH
        read = ask(connection, bulk.read_many(keys, names))
        payloads = dict(zip(names, read, strict=True))
        found = {key: data_in(connection, p) for key, p in payloads.items() if p}
        readable = {key: data for key, data in found.items() if data is not None}
        owners = {key: user_id_in(data) for key, data in readable.items()}
        yield Adopted(
            cursor=str(at) if at else "",
            part=min(looked / max(total, 1), 1.0) if at else 1.0,
            indexed=_join(connection, owners),
            anonymous=sum(1 for owner in owners.values() if owner is None),
            unreadable=len(found) - len(owners),
        )
        if not at:
            return


def adopt_rows(engine: str, cursor: str = "") -> Iterator[Adopted]:
    """Copy the sessions of another engine's table into Redis, and index them.

    To be run while the site is down: a session that ends there after it was copied
    would live on here. Three or four round trips and two queries for a step.

    Args:
        engine: the ``SESSION_ENGINE`` of before: ``db`` or ``cached_db`` of
            ``django.contrib.sessions.backends``, or one that is made of these.
        cursor: where another walk was stopped.

    Raises:
        InvalidSetup: the engine keeps no sessions in a table.
        StoreUnavailable: Redis does not answer.
        ValueError: this is no cursor.
    """
    store = _store_of(engine)
    connection = session_connection()
    rows = store.get_model_class().objects.order_by("expire_date", "session_key")
    since = datetime.datetime.fromisoformat(cursor) if cursor else timezone.now()
    rows = rows.filter(expire_date__gte=since)
    total, done = rows.count(), 0
    step = list(rows[:BATCH])
    while step:
        done += len(step)
        last = step[-1]
        following = list(
            rows.filter(
                Q(expire_date__gt=last.expire_date)
                | Q(expire_date=last.expire_date, session_key__gt=last.session_key)
            )[:BATCH]
        )
        yield _copied(
            store,
            connection,
            step,
            cursor=last.expire_date.isoformat() if following else "",
            part=min(done / total, 1.0) if following else 1.0,
        )
        step = following


def _copied(
    store: Any, connection: Connection, rows: list[Any], *, cursor: str, part: float
) -> Adopted:
    """Copy some rows. A session that is in Redis already stays as it is there."""
    now = timezone.now()
    stored: list[bulk.Stored] = []
    owners: dict[str, str | None] = {}
    ended = _ended_here(rows)
    for row in rows:
        age = (row.expire_date - now) // A_MILLISECOND
        if row.session_key in ended or age <= 0 or not is_session_key(row.session_key):
            continue
        key = SessionKey(row.session_key)
        data = store(key).decode(row.session_data)
        payload = _encoded(connection, data) if data else None
        if payload is not None:
            stored.append(bulk.Stored(key, payload, age))
            owners[key] = user_id_in(data)
    ask(connection, bulk.store_many(connection.keys, stored))
    return Adopted(
        cursor=cursor,
        part=part,
        indexed=_join(connection, owners),
        anonymous=sum(1 for owner in owners.values() if owner is None),
        ended=len(ended),
        unreadable=len(rows) - len(owners) - len(ended),
    )


def _ended_here(rows: list[Any]) -> set[str]:
    """Return the keys of sessions that were taken in before, and have ended since."""
    names = {session_id(row.session_key): row.session_key for row in rows}
    ended = LoggedSession.objects.ended().filter(session_id__in=names)
    return {names[name] for name in ended.values_list("session_id", flat=True)}


def _encoded(connection: Connection, data: dict[str, Any]) -> bytes | None:
    """Return the payload, or None where the cache's serializer cannot write it."""
    try:
        return connection.encode(data)
    except Exception:  # noqa: BLE001 - serializers raise what they like
        return None


def _join(connection: Connection, owners: dict[str, str | None]) -> int:
    sessions = [(owner, key) for key, owner in owners.items() if owner is not None]
    joined = run(connection, bulk.join(connection.keys, sessions, common_ages()))
    seen_at = ask(connection, bulk.seen(connection.keys, joined))
    found = zip(joined, seen_at, strict=True)
    history.confirm(
        [Live(owner, session_id(key), seen) for (owner, key), seen in found if seen]
    )
    return len(joined)


def _store_of(engine: str) -> Any:
    try:
        store = import_module(engine).SessionStore
    except (ImportError, AttributeError) as error:
        raise InvalidSetup(f"{engine!r} is no session engine: {error}") from error
    if not hasattr(store, "get_model_class"):
        raise InvalidSetup(f"{engine!r} keeps no sessions in a table.")
    return store
