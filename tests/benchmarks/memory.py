"""Bytes that Redis uses for a payload, an index and what else a session has there.

On an empty server, ``used_memory`` before and after. Nothing is left out: the tables
of all keys and of all ages are part of it. These double now and then, so a key takes
more just after they did, and less just before: it is counted eight times within one
doubling, and the mean is told. What Redis says of one key (``MEMORY USAGE``) has no
tables in it.
"""

from statistics import fmean
from typing import Any

from django.contrib.auth import get_user_model
from django.test import override_settings

from expire_sessions.backend import SessionStore
from tests.benchmarks.engine import Keyspace
from tests.benchmarks.population import FIRST_USER, Part, Writer, content, session_key

__all__ = ["measure", "settle", "used"]

COUNTS = 8
SESSIONS = 2**17
"""Sessions to begin with, at least; twice as many to end with."""

SAMPLE = 100
"""Users whose keys are asked for one by one."""

KINDS: dict[str, tuple[Part, int]] = {
    "payload": (Part.PAYLOAD, 1),
    "index of 1": (Part.INDEX, 1),
    "index of 5": (Part.INDEX, 5),
    "index of 10": (Part.INDEX, 10),
    "index of 200": (Part.INDEX, 200),
    "payload and index of 1": (Part.PAYLOAD | Part.INDEX, 1),
    "made": (Part.MADE, 1),
}
"""What is written for each user, and how many times."""

LOOK = "for _ = 1, ARGV[1] do redis.call('EXISTS', KEYS[1]) end"


def used(client: Any) -> int:
    """Return how many bytes Redis uses."""
    found: int = client.info("memory")["used_memory"]
    return found


def settle(client: Any) -> None:
    """Have tables that are being doubled finished: each look at a key does a step."""
    if name := client.randomkey():
        client.eval(LOOK, 1, name, client.dbsize())


def measure(keyspace: Keyspace) -> dict[str, Any]:
    """Fill and empty the Redis of a cache alias; return the bytes of each kind."""
    return {
        "payload_bytes": len(keyspace.encode(content(FIRST_USER))),
        "as_the_engine": _prove(keyspace),
        "bytes": {name: _series(keyspace, *kind) for name, kind in KINDS.items()},
    }


def _series(keyspace: Keyspace, part: Part, each: int) -> dict[str, Any]:
    """Return the bytes for each user at growing counts, and what Redis says itself."""
    client, writer = keyspace.client, Writer(keyspace)
    _empty(client)
    before, done, found = used(client), 0, []
    for step in range(COUNTS):
        count = round(SESSIONS / each * 2 ** ((step + 0.5) / COUNTS))
        users = range(FIRST_USER + done, FIRST_USER + count)
        writer.write(users, range(each), part)
        settle(client)
        found.append((used(client) - before) / count)
        done = count
    usage = fmean(
        sum(_usage(client, name) for kind, name in names.items() if kind in part)
        for names in (_names(keyspace, FIRST_USER + at) for at in range(SAMPLE))
    )
    return {"per_user": found, "memory_usage": usage}


def _names(keyspace: Keyspace, user: int, key: str = "") -> dict[Part, str]:
    """Return the keys in Redis of a user and a session, or else its first one."""
    key = key or session_key(user, 0)
    return {
        Part.PAYLOAD: keyspace.payload(key),
        Part.INDEX: keyspace.index(str(user)),
        Part.MADE: keyspace.made(key),
    }


def _prove(keyspace: Keyspace) -> dict[str, Any]:
    """Write the same with the engine and past it; raise where they differ."""
    client, found = keyspace.client, {}
    get_user_model()._default_manager.create(pk=FIRST_USER)
    for each in (1, 5, 10, 200):
        _empty(client)
        engine = _looks(keyspace, _by_engine(each))
        _empty(client)
        one = range(FIRST_USER, FIRST_USER + 1)
        everything = Part.PAYLOAD | Part.INDEX | Part.MADE
        Writer(keyspace).write(one, range(each), everything)
        written = _looks(keyspace)
        assert _is_same(engine, written), f"{engine} is not {written}"
        found[f"{each}"] = {"engine": engine, "written": written}
    return found


def _by_engine(each: int) -> str:
    """Make so many sessions of the first user; return the key of the last."""
    with override_settings(EXPIRE_MAX_USERS=0):
        for _ in range(each):
            session = SessionStore()
            session.update(content(FIRST_USER))
            session.create()
    return str(session.session_key)


def _looks(keyspace: Keyspace, key: str = "") -> dict[str, tuple[str, int]]:
    """Return the encoding and the bytes of the first user's keys."""
    client, names = keyspace.client, _names(keyspace, FIRST_USER, key)
    return {
        str(part.name): (client.object("ENCODING", name).decode(), _usage(client, name))
        for part, name in names.items()
    }


def _is_same(
    engine: dict[str, tuple[str, int]], written: dict[str, tuple[str, int]]
) -> bool:
    for kind, (encoding, size) in engine.items():
        # Redis draws by lot how much a member of a skip list takes.
        most = size * 0.05 if encoding == "skiplist" else 0
        if written[kind][0] != encoding or abs(written[kind][1] - size) > most:
            return False
    return True


def _usage(client: Any, name: str) -> int:
    found: int = client.memory_usage(name, samples=0)
    return found


def _empty(client: Any) -> None:
    # In this very instant: Valkey does it later, if it is not told so.
    client.execute_command("FLUSHALL", "SYNC")
