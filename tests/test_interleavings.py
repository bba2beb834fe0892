"""Real stores against each other, step by step, in every order or in drawn ones.

A failure prints the words that play it again. For long runs and for one of them::

    INTERLEAVINGS=20000 INTERLEAVINGS_SEED=7 pytest tests/test_interleavings.py
    INTERLEAVING="limit 2: s1 s2 | end s1, rotate s1 | ABBBABB" pytest ... -k again
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
import redis
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from tests.asking import index_name, payload_name, payload_of, put_payload, redis_client
from tests.interleaved_actors import KINDS, Kind, Outcome, Stage, load
from tests.interleaved_async import awaiting_actors
from tests.interleaved_scenes import (
    Played,
    Scene,
    Theatre,
    any_scene,
    scene_of,
    theatre,
)
from tests.interleaving import (
    Losing,
    Players,
    Stuck,
    explore,
    follow,
    letters,
    sample,
)

pytestmark = [
    pytest.mark.race,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_retries"),
]

MANY: Final = int(os.environ.get("INTERLEAVINGS", "0"))
"""Schedules to draw, and to play of each pair; 0: a choice that takes seconds."""

SEED: Final = int(os.environ.get("INTERLEAVINGS_SEED", "1"))
ONE: Final = os.environ.get("INTERLEAVING", "")
SHOWN: Final = 5
"""Failures that are told in full."""


@pytest.fixture
def stage() -> Iterator[Theatre]:
    """Where the scenes are played."""
    with theatre() as playing:
        yield playing


def expect_no_violation(played: list[Played]) -> None:
    """Tell what went wrong, the shortest schedules first."""
    wrong = [one for one in played if one.violations]
    if not wrong:
        return
    rules = Counter(rule for one in wrong for rule in {v.rule for v in one.violations})
    wrong.sort(key=lambda one: len(one.run.choices))
    lines = [f"{count} x {rule}" for rule, count in rules.most_common()]
    told = "\n\n".join(["\n".join(lines), *map(str, wrong[:SHOWN])])
    pytest.fail(f"{len(wrong)} of {len(played)} schedules:\n{told}", pytrace=False)


def every_order(stage: Theatre, scene: Scene, most: int) -> list[Played]:
    """Play every order of the steps of a scene, or so many of them."""
    played: list[Played] = []
    explore(lambda choose: played.append(stage.play(scene, choose)), most)
    return played


# Two who meet over one session, while another one is there.

ROOM: Final = 100
"""No pair below has more orders."""

PAIRS: Final = {
    "log in": "delete, drop the user, end, end all, let expire, log out, rotate",
    "log out": "end all, keep, log out, rotate",
    "rotate": "change, delete, end all, expire, keep, log in again, rotate, visit",
    "rotate twice": "delete, end, keep, log out, visit",
    "end": "change, drop the user, end all, hand over to bob, keep, log out, rotate",
    "end others": "delete, expire, log in, visit",
    "drop the user": "delete, drop the user, hand over to bob, let expire, log out",
    "hand over to bob": "delete, let expire, log in",
    "sweep": "change, end, expire, keep, visit",
    "lower the limit": "change, end all, log in, rotate twice, sweep",
}


@pytest.mark.parametrize("one", PAIRS)
def test_two_at_once(stage: Theatre, one: str) -> None:
    played = [
        order
        for other in PAIRS[one].split(", ")
        for order in every_order(stage, scene_of(one, other), ROOM)
    ]
    expect_no_violation(played)


@pytest.mark.race
@pytest.mark.skipif(not MANY, reason="INTERLEAVINGS=<number> plays all pairs.")
@pytest.mark.parametrize("one", KINDS)
def test_every_two_at_once(stage: Theatre, one: str) -> None:
    others = list(KINDS)[list(KINDS).index(one) :]
    played = [
        order
        for other in others
        for order in every_order(stage, scene_of(one, other), MANY)
    ]
    expect_no_violation(played)


# A reply that is lost: the call is done again.

LOST_OF_ONE: Final = 8
"""No actor sends more commands when it is alone, but for the sweep."""


@pytest.mark.parametrize("what", KINDS)
def test_a_lost_reply_changes_nothing(stage: Theatre, what: str) -> None:
    for limit, own in ((2, ("s1", "s2")), (1, ("s1",))):
        for command in range(LOST_OF_ONE):
            scene = scene_of(what, limit=limit, own=own, losing=Losing(0, command))
            expect_no_violation([stage.play(scene, follow(""))])


GAPS: Final = {
    "log in": "end all, log in",
    "log in from a visit": "log in",
    "rotate": "delete, end, end all",
    "log out": "log in, rotate",
    "end": "log out, rotate",
    "let expire": "end",
    "hand over to bob": "end",
}
"""What loses a reply, and what may come between that and the repetition."""


@pytest.mark.parametrize("what", GAPS)
def test_what_happens_before_the_repetition_is_respected(
    stage: Theatre, what: str
) -> None:
    """The reply is lost to the last command but one, which is the one that matters."""
    played = []
    for other in GAPS[what].split(", "):
        scene = scene_of(what, other, limit=1, own=("s1",))
        alone = stage.play(scene, follow(""))
        sent = [step for actor, step in alone.run.steps if actor == 0]
        writes = [
            n
            for n, step in enumerate(s for s in sent if s.place == "redis")
            if step.writes
        ]
        losing = Losing(0, writes[-1])
        scene = scene_of(what, other, limit=1, own=("s1",), losing=losing)
        played += every_order(stage, scene, ROOM)
    expect_no_violation(played)


# Drawn ones.


def drawn(stage: Theatre, count: int, most: int, seed: str) -> list[Played]:
    """Draw who meets whom, in which order, and whether a reply is lost."""
    played = []
    for n in range(MANY or most):
        draw = random.Random(f"{seed} {count} {n}")
        played.append(stage.play(any_scene(draw, count), sample(draw)))
    steps = sum(len(one.run.choices) for one in played)
    print(f"seed {seed}: {len(played)} schedules of {count} actors, {steps} steps")  # noqa: T201 - to be seen with -s
    return played


@pytest.mark.parametrize("count", [2, 3])
def test_any_at_once(stage: Theatre, count: int) -> None:
    expect_no_violation(drawn(stage, count, 250, f"{SEED}"))


@pytest.mark.parametrize("count", [2, 3])
def test_any_at_once_over_the_async_engine(stage: Theatre, count: int) -> None:
    """Draw again, for actors that await what the others call."""
    with awaiting_actors():
        played = drawn(stage, count, 150, f"async {SEED}")
    expect_no_violation(played)


@pytest.mark.parametrize("what", KINDS)
def test_a_lost_reply_changes_nothing_in_async_either(
    stage: Theatre, what: str
) -> None:
    with awaiting_actors():
        for command in range(LOST_OF_ONE):
            scene = scene_of(what, limit=1, own=("s1",), losing=Losing(0, command))
            expect_no_violation([stage.play(scene, follow(""))])


def test_a_sweep_writes_no_second_row_for_a_session_that_moves(
    stage: Theatre,
) -> None:
    """It found the session live and without a row, which had moved on with it."""
    played = stage.replay(
        "limit 2: s1 s2 | rotate twice s2, drop the user s1, sweep"
        " | ACCCBBBBAAACCCCCCCCCAACCCCCC"
    )
    expect_no_violation([played])


@pytest.mark.skipif(not ONE, reason="INTERLEAVING=<words> plays one schedule again.")
def test_one_again(stage: Theatre) -> None:
    played = stage.replay(ONE)
    print(played)  # noqa: T201 - to be seen with -s
    expect_no_violation([played])


def test_the_words_of_a_schedule_play_it_again(stage: Theatre) -> None:
    for n in range(10):
        draw = random.Random(n)
        played = stage.play(any_scene(draw, 2), sample(draw))
        again = stage.replay(played.replay)
        assert str(again) == str(played)


# The tool itself.


@pytest.fixture
def players() -> Iterator[Players]:
    """Two who play."""
    with Players(2) as players:
        yield players


def count_up() -> None:
    """Read a number, and write one more: as it should not be done."""
    client = redis_client()
    client.set("n", int(client.get("n")) + 1)


def test_the_scheduler_finds_what_gets_lost_between_two(
    players: Players, server: redis.Redis
) -> None:
    found: dict[str, int] = {}

    def play(choose: Any) -> None:
        server.set("n", 0)
        run = players.run([count_up, count_up], choose)
        found[letters(run.choices)] = int(server.get("n") or 0)

    assert explore(play, 100) == (4, True)
    assert found == {"AABB": 2, "ABAB": 1, "BBAA": 2, "ABBA": 1}
    outcomes = dict(found)
    for choices in outcomes:
        play(follow(choices))
    assert found == outcomes


def test_orders_that_differ_in_nothing_are_played_once(
    players: Players, server: redis.Redis
) -> None:
    def read() -> None:
        for name in "abc":
            redis_client().get(name)

    runs = []
    ended = explore(lambda choose: runs.append(players.run([read, read], choose)), 100)
    assert ended == (1, True)
    assert letters(runs[0].choices) == "AAABBB"


def test_orders_that_differ_are_all_played(
    players: Players, server: redis.Redis
) -> None:
    def write() -> None:
        for name in "abc":
            redis_client().set(name, 1)

    played = explore(lambda choose: players.run([write, write], choose), 100)
    assert played == (20, True)  # 6 steps, of which A has any 3


def test_a_lost_reply_is_that_of_a_command_that_was_executed(
    players: Players, server: redis.Redis
) -> None:
    def write() -> None:
        redis_client().set("x", 1)

    run = players.run([write], min, losing=Losing(0, 0))
    assert isinstance(run.results[0], RedisConnectionError)
    assert server.get("x") == b"1"


def test_an_actor_that_waits_for_another_is_stuck() -> None:
    turn = threading.Event()

    def wait() -> None:
        turn.wait()

    with Players(1, bound=0.1) as players:
        with pytest.raises(Stuck):
            players.run([wait], min)
        turn.set()


# The judge.


def write_back(stage: Stage, me: str, target: str) -> Outcome:
    """Write what was read, whatever has happened since."""
    put_payload(stage.keys[target], payload_of(stage.keys[target]))
    return Outcome()


def end_in_silence(stage: Stage, me: str, target: str) -> Outcome:
    """Take payload and member away, and tell nobody."""
    pipeline = redis_client().pipeline()
    pipeline.delete(payload_name(stage.keys[target]))
    pipeline.zrem(index_name(stage.ann), stage.keys[target])
    pipeline.execute()
    return Outcome()


def misname(stage: Stage, me: str, target: str) -> Outcome:
    """Close the row with a reason that is not true."""
    LoggedSession.objects.filter(session_id=session_id(stage.keys[target])).update(
        ended_at=timezone.now(), end_reason="evicted"
    )
    return Outcome()


def copy(stage: Stage, me: str, target: str) -> Outcome:
    """Write the session once more, under another key."""
    store = load(stage, target)
    assert store is not None
    other = SessionStore()
    other.update(dict(store.items()))
    other.save()
    return Outcome()


WRONG: Final = {
    "an ended session came back": (write_back, "expire"),
    "expired was not told": (end_in_silence, "visit"),
    "ended without cause": (end_in_silence, "visit"),
    "a row with the wrong reason": (misname, "expire"),
    "a session lives twice": (copy, "visit"),
}


@pytest.mark.parametrize("rule", WRONG)
def test_the_judge_sees(
    stage: Theatre, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    rogue, other = WRONG[rule]
    is_blamed = rule == "expired was not told"
    kind = Kind(rogue, ends="own", reason=KINDS["expire"].reason)
    monkeypatch.setitem(KINDS, "rogue", kind if is_blamed else Kind(rogue))
    played = every_order(stage, scene_of("rogue", other, limit=3), ROOM)
    with pytest.raises(pytest.fail.Exception, match=rule):
        expect_no_violation(played)
