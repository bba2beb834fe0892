"""Many at once: the outcome is exact, whoever was faster."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.flows import held
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.protocol import commands
from expire_sessions.protocol.scripts import Script
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import session_entering
from tests import workers
from tests.asking import add_members, live_keys, lose_index, lose_payload
from tests.checker import Checker
from tests.sessions import sign_in

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

PROCESSES = 4
LOGINS = 200


@pytest.fixture(autouse=True)
def recorded_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checker know what this process draws, as it knows the others'."""
    monkeypatch.setattr(held, "new_session_key", workers.recorded_key)


def rows_agree_with_redis(user: Any) -> bool:
    """Tell whether the active rows are exactly the live sessions."""
    rows = LoggedSession.objects.for_user(user)
    active = set(rows.active().values_list("session_id", flat=True))
    return active == set(map(session_id, live_keys(user)))


def every_end_has_a_reason(user: Any) -> bool:
    """Tell whether no ended row lacks its reason, and no active row has one."""
    rows = LoggedSession.objects.for_user(user)
    silent = rows.ended().filter(end_reason="").count()
    return not silent and not rows.active().exclude(end_reason="").exists()


@pytest.mark.parametrize(
    "work,reason",
    [
        (workers.logins, "evicted"),
        (workers.async_logins, "evicted"),
        (workers.refusable_logins, "refused"),
        (workers.async_refusable_logins, "refused"),
    ],
)
@pytest.mark.parametrize("limit", [1, 3])
def test_exactly_the_limit_survives_simultaneous_logins(
    ann: Any, limit: int, work: Callable[..., None], reason: str
) -> None:
    barrier = workers.context.Barrier(PROCESSES)
    with Checker(str(ann.pk), limit) as checker:
        crowd = [
            workers.start(work, ann.pk, limit, LOGINS // PROCESSES, barrier)
            for _ in range(PROCESSES)
        ]
        for process in crowd:
            process.join()
    assert [process.exitcode for process in crowd] == [0] * PROCESSES
    assert checker.complaints == []
    assert checker.snapshots > LOGINS // 10
    assert len(live_keys(ann)) == limit
    rows = LoggedSession.objects.for_user(ann)
    assert Counter(rows.values_list("end_reason", flat=True)) == {
        "": limit,
        reason: LOGINS - limit,
    }
    assert rows_agree_with_redis(ann)
    assert rows.active().count() == limit


@pytest.mark.parametrize("work", [workers.mixture, workers.async_mixture])
@pytest.mark.parametrize("limit", [1, 3])
def test_nothing_breaks_when_all_operations_race(
    ann: Any, limit: int, work: Callable[..., None]
) -> None:
    with Checker(str(ann.pk), limit) as checker:
        crowd = [
            workers.start(work, ann.pk, limit, 100, seed) for seed in range(PROCESSES)
        ]
        for process in crowd:
            process.join()
    assert [process.exitcode for process in crowd] == [0] * PROCESSES
    assert checker.complaints == []
    assert len(live_keys(ann)) <= limit
    assert every_end_has_a_reason(ann)
    call_command("clearsessions")
    assert rows_agree_with_redis(ann)


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("heal", ["the next login", "clearsessions"])
@pytest.mark.parametrize("work", [workers.forever, workers.async_forever])
def test_processes_killed_at_random_leave_redis_right_and_the_history_to_heal(
    ann: Any, limit: int, heal: str, work: Callable[..., None]
) -> None:
    draw = random.Random(limit)
    with Checker(str(ann.pk), limit) as checker:
        crowd = [workers.start(work, ann.pk, limit, seed) for seed in range(3)]
        for seed in range(20):
            # Not to wait for something: the moment of the kill is what is random.
            threading.Event().wait(draw.uniform(0.01, 0.08))
            victim = draw.randrange(len(crowd))
            crowd[victim].kill()
            crowd[victim].join()
            crowd[victim] = workers.start(work, ann.pk, limit, 100 + seed)
        for process in crowd:
            process.kill()
            process.join()
    assert checker.complaints == []
    heal_with(heal, ann, limit)
    assert history_is_right(ann)


@pytest.mark.parametrize("point", workers.POINTS)
@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("heal", ["the next login", "clearsessions"])
def test_a_process_killed_between_redis_and_history(
    ann: Any, point: str, limit: int, heal: str
) -> None:
    with Checker(str(ann.pk), limit) as checker:
        process = workers.start(workers.die_at, point, ann.pk, limit)
        process.join()
    assert process.exitcode == -9
    assert checker.complaints == []
    heal_with(heal, ann, limit)
    assert history_is_right(ann)


def heal_with(what: str, user: Any, limit: int) -> None:
    """Do what puts the history right."""
    if what == "clearsessions":
        call_command("clearsessions")
        return
    with override_settings(EXPIRE_MAX_USERS=limit):
        sign_in(user)


def history_is_right(user: Any) -> bool:
    """Tell whether no row is active without a live session, nor ended in silence.

    A session whose rotation died before its row could follow is live without one:
    its browser never got the new key.
    """
    active = LoggedSession.objects.for_user(user).active()
    ids = set(map(session_id, live_keys(user)))
    found = set(active.values_list("session_id", flat=True))
    return found <= ids and every_end_has_a_reason(user)


@pytest.fixture
def polled_keys() -> Iterator[list[str]]:
    """The keys that four threads load without pause."""
    keys: list[str] = []
    done = threading.Event()
    errors: list[Exception] = []

    def poll(seed: int) -> None:
        draw = random.Random(seed)
        while not done.is_set():
            if keys:
                try:
                    SessionStore(draw.choice(keys)).load()
                except Exception as error:  # noqa: BLE001 - told by the main thread
                    errors.append(error)
                    break
        connection.close()  # a touch may have written history

    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        threads = [threading.Thread(target=poll, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        yield keys
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []


@pytest.mark.parametrize("limit", [1, 2])
def test_the_newest_login_wins_against_sessions_that_poll(
    ann: Any, polled_keys: list[str], limit: int
) -> None:
    with override_settings(EXPIRE_MAX_USERS=limit, EXPIRE_TOUCH_INTERVAL=0):
        for _ in range(150):
            key = str(sign_in(ann).session_key)
            assert SessionStore(key).get("_auth_user_id") == str(ann.pk)
            polled_keys.append(key)
            del polled_keys[:-10]


def in_a_thread(call: Callable[[], object]) -> threading.Thread:
    """Start a thread that gives its database connection back."""

    def run() -> None:
        call()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_login_on_its_way_stays_open_though_another_found_it_gone(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other login comes between this one's row and its place."""
    others: list[SessionStore] = []

    def overtake(**kwargs: object) -> None:
        if not others:
            others.append(SessionStore())
            others[0] = sign_in(ann)
            lost = LoggedSession.objects.get(end_reason="lost")
            assert lost.session_id == kwargs["session_id"]

    session_entering.connect(overtake)
    try:
        sign_in(ann)
    finally:
        session_entering.disconnect(overtake)
    assert len(live_keys(ann)) == 2
    assert rows_agree_with_redis(ann)


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_row_that_is_closed_too_late_is_opened_again(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow login looks, the fast one takes its place, then the slow one closes."""
    has_row, has_looked = threading.Event(), threading.Event()
    close = LoggedSessionQuerySet.close_gone

    def wait(**kwargs: object) -> None:
        if not has_row.is_set():
            has_row.set()
            assert has_looked.wait(30)

    def close_late(rows: Any, gone: Any) -> None:
        has_looked.set()
        fast.join()
        close(rows, gone)

    session_entering.connect(wait)
    monkeypatch.setattr(LoggedSessionQuerySet, "close_gone", close_late)
    try:
        fast = in_a_thread(lambda: sign_in(ann))
        assert has_row.wait(30)
        sign_in(ann)
    finally:
        session_entering.disconnect(wait)
    assert len(live_keys(ann)) == 2
    assert rows_agree_with_redis(ann)


IN_FLIGHT = {
    "a save": lambda store: store.save(),
    "a touch": lambda store: store.load(),
    "a rotation": lambda store: store.cycle_key(),
}


@pytest.mark.parametrize("operation", IN_FLIGHT)
def test_what_is_in_flight_does_not_bring_an_ended_session_back(
    ann: Any, operation: str
) -> None:
    """The session ends between its load and the operation."""
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        store = sign_in(ann)
        key = str(store.session_key)
        store["x"] = 1
        sign_in(ann)
        with Checker(str(ann.pk), 1) as checker:
            try:
                IN_FLIGHT[operation](store)
            except UpdateError:
                assert operation == "a save"
    assert checker.complaints == []
    assert not SessionStore().exists(key)
    assert key not in live_keys(ann)


@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_session_that_ends_between_its_load_and_its_touch_is_not_loaded(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = str(sign_in(ann).session_key)
    lose_index(ann)  # the load finds no member, so a save follows
    save = commands.save

    def lose_the_race(*args: Any, **kwargs: Any) -> Any:
        lose_payload(key)
        return save(*args, **kwargs)

    monkeypatch.setattr(commands, "save", lose_the_race)
    store = SessionStore(key)
    assert store.load() == {}
    assert store.session_key is None


@pytest.mark.parametrize("racer", ["a login", "clearsessions"])
@override_settings(EXPIRE_MAX_USERS=2, EXPIRE_LOG_LIMIT=0)
def test_a_row_whose_session_is_just_moving_is_not_taken_for_gone(
    ann: Any, monkeypatch: pytest.MonkeyPatch, racer: str
) -> None:
    """The racer comes between the rotation and its row."""
    store = sign_in(ann)
    LoggedSession.objects.update(date_logged=timezone.now() - timedelta(days=1))
    follow = LoggedSessionQuerySet.follow

    def follow_late(rows: Any, previous_id: str, new_id: str) -> int:
        monkeypatch.setattr(LoggedSessionQuerySet, "follow", follow)
        if racer == "a login":
            sign_in(ann)
        else:
            call_command("clearsessions")
        return follow(rows, previous_id, new_id)

    monkeypatch.setattr(LoggedSessionQuerySet, "follow", follow_late)
    store.cycle_key()
    assert session_id(str(store.session_key)) in set(
        LoggedSession.objects.active().values_list("session_id", flat=True)
    )
    assert rows_agree_with_redis(ann)


def test_all_sessions_end_also_the_one_that_is_just_moving(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sign_in(ann)
    remove = commands.remove_many

    def remove_late(*args: Any) -> Any:
        store.cycle_key()
        return remove(*args)

    monkeypatch.setattr(commands, "remove_many", remove_late)
    assert UserSessions(ann).end_all() == 1
    assert live_keys(ann) == []
    assert rows_agree_with_redis(ann)


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_rotated_session_keeps_its_place_in_the_order(ann: Any) -> None:
    older, newer = sign_in(ann), sign_in(ann)
    older.cycle_key()
    assert live_keys(ann) == [older.session_key, newer.session_key]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_clock_that_was_set_back_makes_no_login_look_old(ann: Any) -> None:
    """The sessions of before carry a time that is still to come."""
    before = str(sign_in(ann).session_key)
    add_members(ann, {before: 9e15})
    first, second = sign_in(ann), sign_in(ann)
    assert live_keys(ann) == [first.session_key, second.session_key]


@override_settings(EXPIRE_MAX_USERS=2)
def test_a_clock_that_was_set_back_makes_no_save_look_old(ann: Any) -> None:
    first, second = sign_in(ann), sign_in(ann)
    stamps = {str(first.session_key): 9e15, str(second.session_key): 9.1e15}
    add_members(ann, stamps)
    second["x"] = 1
    second.save()
    third = sign_in(ann)
    assert live_keys(ann) == [second.session_key, third.session_key]


def test_the_checker_cries_out_at_a_script_without_its_existence_check(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness of these tests would see what they are to prevent."""
    blind = Script("save", "life", "notice")
    check = 'if exists == (mode == "new") then return 0 end'
    assert check in blind.source
    source = blind.source.replace(check, "")
    monkeypatch.setattr(blind, "source", source)
    monkeypatch.setattr(blind, "digest", "0" * 40)
    monkeypatch.setattr(commands, "SAVE", blind)
    store = sign_in(ann)
    checker = Checker(str(ann.pk), 1)
    checker.look()
    sign_in(ann)
    checker.look()
    store["x"] = 1
    store.save()
    checker.look()
    assert "an ended session came back" in checker.complaints
