"""load.lua: it reads a session, finds its user in its bytes, and marks it seen."""

import json
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from expire_sessions.backend import SessionStore
from expire_sessions.protocol import reads
from expire_sessions.protocol.replies import Loaded
from expire_sessions.transport.connections import connection_for
from expire_sessions.transport.running import ask
from tests.asking import add_members, index_name, payload_name, redis_client

KEY = "k" * 32
OTHER = "o" * 32
MINUTE = 60_000_000
"""Microseconds."""


def load(interval: float | None = 0) -> Loaded:
    """Load the session as a process that has not marked it."""
    connection = connection_for("default")
    return ask(connection, reads.load(connection.keys, KEY, interval))


def keep(payload: bytes, user_id: str, *others: str) -> None:
    """Put a session into Redis and into the index of its user, after others."""
    redis_client().set(payload_name(KEY), payload, ex=60)
    add_members(user_id, {KEY: 1, **dict.fromkeys(others, 2)})


def seen(user_id: str, key: str = KEY) -> float:
    """Return when a session was last seen."""
    return float(redis_client().zscore(index_name(user_id), key) or 0)


def packed(user_id: str) -> bytes:
    """Return what MessagePack makes of a session, for an id of up to 31 bytes."""
    name, value = b"_auth_user_id", user_id.encode()
    return bytes([0x81, 0xA0 + len(name)]) + name + bytes([0xA0 + len(value)]) + value


ENCODINGS = {
    "JSON": lambda user_id: json.dumps({"_auth_user_id": user_id, "a": 1}).encode(),
    "JSON without spaces": lambda user_id: json.dumps(
        {"a": 1, "_auth_user_id": user_id}, separators=(",", ":")
    ).encode(),
    "pickle": lambda user_id: pickle.dumps({"a": 1, "_auth_user_id": user_id}),
    "pickle 5": lambda user_id: pickle.dumps({"_auth_user_id": user_id}, 5),
    "MessagePack": packed,
}

USER_IDS = ["1", "1234567890", "x-y_z.~", "a:b", "{a}", "100%", "a b/c?d", "A*[b]"]


@pytest.mark.parametrize("user_id", USER_IDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_session_is_marked_in_the_index_of_its_user(
    encoding: str, user_id: str
) -> None:
    payload = ENCODINGS[encoding](user_id)
    keep(payload, user_id)
    assert load() == Loaded(payload, 1)
    assert seen(user_id) > 1


@pytest.mark.parametrize("length", [31, 32, 36, 255])
def test_a_long_id_is_found_in_message_pack_too(length: int) -> None:
    """From 32 bytes on it is written in another way: a UUID has 36."""
    user_id = "u" * length
    head = bytes([0xA0 + length]) if length < 32 else bytes([0xD9, length])
    keep(b"\x81\xad_auth_user_id" + head + user_id.encode(), user_id)
    assert load().members == 1


@pytest.mark.parametrize("user_id", [7, -7])
def test_an_id_may_be_a_number_in_json(user_id: int) -> None:
    keep(json.dumps({"_auth_user_id": user_id, "a": 1}).encode(), str(user_id))
    assert load().members == 1


@pytest.mark.parametrize("encoding", ["pickle", "MessagePack"])
def test_an_id_may_hold_any_letters_where_it_is_not_escaped(encoding: str) -> None:
    keep(ENCODINGS[encoding]('é"\\,}'), 'é"\\,}')
    assert load().members == 1


@example(user_id="1", data={"_auth_user_id": "2"}, encoding="JSON")
@example(user_id='1"', data={}, encoding="JSON")
@example(user_id="x" * 300, data={}, encoding="pickle")
@given(
    user_id=st.text(min_size=1, max_size=40),
    data=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=3),
    encoding=st.sampled_from(["JSON", "pickle"]),
)
@hypothesis_settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_in_a_session_it_is_read_and_marked_or_left(
    user_id: str, data: dict[str, str], encoding: str
) -> None:
    redis_client().flushdb()
    session = {"data": data, "_auth_user_id": user_id}
    as_json = json.dumps(session).encode()
    payload = as_json if encoding == "JSON" else pickle.dumps(session)
    try:
        keep(payload, user_id, OTHER)
    except UnicodeEncodeError:  # half a pair: no database holds such an id
        return
    found = load()
    assert found.payload == payload
    assert found.members in {0, 2}
    assert (seen(user_id) > 1) is (found.members == 2)
    assert seen(user_id, OTHER) == 2


def test_what_a_user_has_written_marks_nobody() -> None:
    """The session names user 2 before its own, in what the user may write."""
    planted = {"note": '_auth_user_id": "2"', "_auth_user_id": "1"}
    keep(json.dumps(planted).replace('\\"', '"').encode(), "1")
    add_members("2", {OTHER: 5})
    assert load().members == 0
    assert (seen("1"), seen("2", OTHER), seen("2")) == (1, 5, 0)


NAMING_NOBODY = [
    b"",
    b"no",
    bytes(1),
    b"_auth_user_id",
    b'"_auth_user_id": {}',
    b"x" * 9999,
]


@pytest.mark.parametrize("payload", NAMING_NOBODY)
def test_a_payload_that_names_nobody_is_read_as_it_is(payload: bytes) -> None:
    keep(payload, "1")
    assert load() == Loaded(payload, 0)


def test_there_may_be_no_session() -> None:
    assert load() == Loaded(None)


def test_a_key_of_another_type_in_the_place_of_the_index_is_no_error() -> None:
    redis_client().set(payload_name(KEY), ENCODINGS["JSON"]("1"), ex=60)
    redis_client().set(index_name("1"), "no index")
    assert load().members == 0


def test_a_session_that_its_index_does_not_know_is_left_out_of_it() -> None:
    keep(ENCODINGS["JSON"]("1"), "1")
    redis_client().delete(index_name("1"))
    add_members("1", {OTHER: 1})
    assert load().members == 0
    assert seen("1") == 0


@pytest.mark.parametrize("others", [0, 1, 2, 5])
def test_it_tells_how_many_sessions_the_user_has(others: int) -> None:
    keep(ENCODINGS["JSON"]("1"), "1", *(f"{n:032}" for n in range(others)))
    assert load().members == others + 1
    add_members("1", {KEY: 1})  # now it is the oldest again
    assert load().members == others + 1


def now() -> int:
    """Return the microseconds of the server's clock."""
    seconds, rest = redis_client().time()
    return int(seconds) * 1_000_000 + int(rest)


def test_a_young_mark_will_do() -> None:
    keep(ENCODINGS["JSON"]("1"), "1")
    young, old = now() - MINUTE // 20, now() - MINUTE // 5
    add_members("1", {KEY: young})
    load(interval=60)
    assert seen("1") == young
    add_members("1", {KEY: old})
    load(interval=60)
    assert seen("1") > old


def test_without_touches_nothing_is_marked() -> None:
    keep(ENCODINGS["JSON"]("1"), "1")
    assert load(interval=None).members == 1
    assert seen("1") == 1


def test_a_clock_that_was_set_back_makes_no_session_look_old() -> None:
    ahead = now() + MINUTE
    keep(ENCODINGS["JSON"]("1"), "1")
    add_members("1", {OTHER: ahead})
    load()
    assert seen("1") == ahead + 1
    load(interval=60)
    assert seen("1") == ahead + 2


@pytest.mark.parametrize("prefix", ["mysite", "a*[b]%", "ü"])
def test_it_finds_the_index_under_every_prefix(prefix: str, settings: Any) -> None:
    cache = settings.CACHES["default"]
    settings.CACHES = {"default": {**cache, "KEY_PREFIX": prefix}}
    keep(ENCODINGS["JSON"]("a:b"), "a:b")
    assert load().members == 1


def around(key: str, prefix: str, version: int) -> str:
    """Name keys with something on either side: a KEY_FUNCTION."""
    return f"<{prefix}:{key}:{version}>"


def test_it_finds_the_index_also_where_something_follows_the_name(
    settings: Any,
) -> None:
    cache = settings.CACHES["default"]
    settings.CACHES = {"default": {**cache, "KEY_FUNCTION": f"{__name__}.around"}}
    keep(ENCODINGS["JSON"]("a:b"), "a:b")
    assert load(interval=60).members == 1
    assert seen("a:b") > 1


def test_a_load_of_an_anonymous_session_marks_nothing_and_asks_once_a_minute() -> None:
    store = SessionStore()
    store["x"] = 1
    store.save()
    key = str(store.session_key)
    assert SessionStore(key).load() == {"x": 1}
    assert connection_for("default").seen.mark_of(key, 60)
    assert redis_client().keys("*index*") == []
