"""One user may have many sessions: none blocks a server or a request for long."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import commands, scripts
from expire_sessions.protocol.modes import Mode
from expire_sessions.protocol.replies import Saved
from expire_sessions.protocol.scripts import Script
from expire_sessions.protocol.session_keys import new_session_key, session_id
from expire_sessions.sessions import PAGE, UserSessions
from tests.asking import (
    id_of,
    index,
    index_name,
    lose_payload,
    members,
    payload_name,
    payload_of,
    redis_client,
)
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db


def copies(user: Any, store: SessionStore, count: int) -> list[str]:
    """Give a user many older sessions with rows, without a login for each."""
    payload = payload_of(store.session_key)
    keys = [new_session_key() for _ in range(count)]
    pipeline = redis_client().pipeline(transaction=False)
    for number, key in enumerate(keys):
        pipeline.set(payload_name(key), payload, ex=1000)
        pipeline.zadd(index_name(user), {key: number})
    pipeline.execute()
    LoggedSession.objects.bulk_create(
        LoggedSession(user=user, session_id=session_id(key)) for key in keys
    )
    return keys


def calls_of(server: redis.Redis, command: str) -> int:
    """Return how often the server has run a command since its figures were reset."""
    found: dict[str, Any] = server.info("commandstats")
    return int(found.get(f"cmdstat_{command}", {"calls": 0})["calls"])


@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_lowered_limit_ends_a_thousand_at_each_request(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        store = sign_in(ann)
        copies(ann, store, 2500)
    found = []
    for _ in range(4):
        with CaptureQueriesContext(connection) as queries:
            assert SessionStore(store.session_key).load()
        found.append((len(members(ann)), len(queries) <= 8))
    assert found == [(1501, True), (501, True), (1, True), (1, True)]
    assert LoggedSession.objects.active().count() == 1
    assert LoggedSession.objects.filter(end_reason="evicted").count() == 2500


def test_a_login_ends_them_all_at_once(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        copies(ann, sign_in(ann), 2500)
    store = sign_in(ann)
    assert len(members(ann)) == 1
    active = LoggedSession.objects.active().get()
    assert active.session_id == session_id(str(store.session_key))
    assert LoggedSession.objects.filter(end_reason="evicted").count() == 2501


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_login_below_the_limit_looks_at_a_few(
    ann: Any, server: redis.Redis, limit: int
) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        copies(ann, sign_in(ann), 2000)
    server.config_resetstat()
    with override_settings(EXPIRE_MAX_USERS=limit):
        sign_in(ann)
    assert calls_of(server, "exists") < 20


def test_a_login_at_a_large_limit_looks_at_a_thousand(
    ann: Any, server: redis.Redis
) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        keys = copies(ann, sign_in(ann), 5000)
    server.config_resetstat()
    with override_settings(EXPIRE_MAX_USERS=5001):
        sign_in(ann)
    assert calls_of(server, "exists") < 1010
    assert not SessionStore().exists(keys[0])
    assert SessionStore().exists(keys[1])


def test_a_list_is_a_page(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        store = sign_in(ann)
        keys = copies(ann, store, 3 * PAGE)
    newest = [session_id(str(store.session_key)), *map(session_id, keys[::-1])]
    listed = [info.session_id for info in UserSessions(ann).list()]
    assert listed == newest[:PAGE]
    assert len(UserSessions(ann).list(most=7)) == 7


def test_a_list_finds_those_that_are_live_among_the_expired(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        store = sign_in(ann)
        keys = copies(ann, store, 2 * PAGE)
    lose_payload(*keys[3:])
    assert len(UserSessions(ann).list(most=10)) == 4
    assert UserSessions(ann).list(most=0) == []


def test_a_repeated_login_knows_that_there_are_more_to_end(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        copies(ann, sign_in(ann), 1500)
    found = [
        index().place(
            Mode.NEW,
            "n" * 32,
            call="call",
            user_id=id_of(ann),
            payload=b"{}",
            age=60_000,
            limit=1,
            entry=commands.Entry(),
        )
        for _ in range(2)
    ]
    assert [saved.more for saved in found] == [True, True]
    assert found[0].evicted == found[1].evicted


def test_ending_many_is_a_round_trip_for_a_hundred(
    ann: Any, server: redis.Redis
) -> None:
    with override_settings(EXPIRE_MAX_USERS=0):
        store = sign_in(ann)
        keys = copies(ann, store, 1000)
    assert UserSessions(ann).end(session_id(keys[500]))
    assert UserSessions(ann, store.session_key).end_others() == 999
    assert len(members(ann)) == 1
    with CaptureQueriesContext(connection) as queries:
        assert UserSessions(ann).end_all() == 1
    assert len(queries) <= 3


# Whatever is live and dead among the others, in whatever order: who stays, and in what
# steps. The script is made to take three at a time instead of a thousand.

STEP = 3
USER = "7"


@pytest.fixture(scope="module")
def short_steps() -> Script:
    """Return save.lua with short steps."""
    source = scripts.SAVE.source.replace("local STEP = 1000", f"local STEP = {STEP}")
    assert source != scripts.SAVE.source
    short = Script("save")
    vars(short).update(source=source, digest="0" * 40)
    return short


def arrange(live: list[bool]) -> list[str]:
    """Write members of an index, the oldest first; some with a payload."""
    keys = [f"{number:032}" for number in range(len(live))]
    pipeline = redis_client().pipeline(transaction=False)
    pipeline.flushdb()
    for number, (key, is_live) in enumerate(zip(keys, live, strict=True)):
        pipeline.zadd(index_name(USER), {key: number})
        if is_live:
            pipeline.set(payload_name(key), b"{}", ex=100)
    pipeline.execute()
    return keys


def place_until_done(place: Callable[[Mode, str], Saved]) -> list[Saved]:
    """Sign in, and end what is over the limit in as many steps as it takes."""
    found = [place(Mode.NEW, "call")]
    while found[-1].more:
        assert len(found) < 50
        found.append(place(Mode.KEEP, f"call {len(found)}"))
    return found


@example(live=[False, True, False, False, False, False, False], limit=2)
@example(live=[True] * 10, limit=1)
@given(live=st.lists(st.booleans(), max_size=14), limit=st.integers(0, 8))
@hypothesis_settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_those_that_stay_are_the_newest_that_are_live(
    short_steps: Script, live: list[bool], limit: int
) -> None:
    keys = arrange(live)
    me = "m" * 32

    def place(mode: Mode, call: str) -> Saved:
        return index().place(
            mode,
            me,
            call=call,
            user_id=USER,
            payload=b"{}",
            age=100_000,
            limit=limit,
            entry=commands.Entry(),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "SAVE", short_steps)
        found = place_until_done(place)
        again = place(Mode.KEEP, f"call {len(found) - 1}" if len(found) > 1 else "call")
    alive = [key for key, is_live in zip(keys, live, strict=True) if is_live]
    (left,) = index().members([USER])
    staying = {member.session_key for member in left}
    assert me in staying
    evicted = [key for saved in found for key in saved.evicted]
    gone = [key for saved in found for key in saved.gone]
    assert set(evicted) == set(alive) - staying
    assert not set(gone) & set(alive)
    assert all(len(s.evicted) <= STEP and len(s.gone) <= 2 * STEP + 10 for s in found)
    assert (again.evicted, again.gone) == (found[-1].evicted, found[-1].gone)
    if limit == 0:
        assert staying == {me, *alive}
    elif limit <= STEP:  # exact
        assert staying == {me, *alive[max(0, len(alive) - limit + 1) :]}
        assert found[-1].live is not None
        assert set(found[-1].live) == staying
    else:  # one that is dead may count as long as nobody has looked at it
        assert len(staying) <= limit
        assert staying == {me, *alive[len(alive) - len(staying) + 1 :]}
