"""Idle and absolute age: held at the server, to the second, whoever asks and how often.

Time does not pass here: deadlines are moved.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth import login
from django.contrib.sessions.backends import cache
from django.contrib.sessions.backends.base import SessionBase
from django.core.management import call_command
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.transport.connections import connection_for, forget_sessions
from tests.asking import payload_name, redis_client
from tests.loops import server_loop
from tests.passing import Passing, passing_time
from tests.sessions import key_of, reasons, request_of
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = 60, 3600, 86_400
IDLE, ABSOLUTE = 15 * MINUTE, 12 * HOUR

Ask = Callable[[str | None], bool]
SignIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def ages() -> Iterator[None]:
    """Give sessions both ages."""
    with override_settings(EXPIRE_IDLE_AGE=IDLE, EXPIRE_ABSOLUTE_AGE=ABSOLUTE):
        yield


@pytest.fixture
def later() -> Iterator[Passing]:
    """Let time pass."""
    with passing_time() as passing:
        yield passing


def is_live(key: str | None) -> bool:
    """Ask as a request does."""
    return "_auth_user_id" in SessionStore(key)


def is_live_in_another_process(key: str | None) -> bool:
    """Ask as the request of a process that remembers nothing."""
    forget_sessions()
    return is_live(key)


async def is_live_async(key: str | None) -> bool:
    """Ask as an async request does."""
    return await SessionStore(key).ahas_key("_auth_user_id")


@pytest.fixture(params=["same process", "another", "async"])
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Ask whether somebody is signed in."""
    if request.param == "async":
        with server_loop() as loop:
            yield lambda key: bool(loop(is_live_async(key)))
    else:
        same = request.param == "same process"
        yield is_live if same else is_live_in_another_process


def left(store: SessionBase) -> float:
    """Return the seconds that a session has left in Redis."""
    return float(redis_client().pttl(payload_name(store.session_key))) / 1000


def test_each_request_gives_the_idle_age_anew(
    ann: Any, later: Passing, ask: Ask
) -> None:
    key = sign_in_store(ann).session_key
    for _ in range(10):
        later(IDLE - 1, key)
        assert ask(key)
    later(IDLE + 1, key)
    assert not ask(key)


def test_also_many_within_the_touch_interval(
    ann: Any, later: Passing, ask: Ask
) -> None:
    """Those that only read: the payload is not written anew."""
    key = sign_in_store(ann).session_key
    for _ in range(30):
        later(1, key)
        assert ask(key)
    assert redis_client().ttl(payload_name(key)) >= IDLE - 1


def test_whatever_happens_it_ends_with_the_absolute_age(
    ann: Any, later: Passing, ask: Ask
) -> None:
    store = sign_in_store(ann)
    key = store.session_key
    for _ in range(ABSOLUTE // (IDLE // 2) - 1):
        later(IDLE // 2, key)
        assert ask(key)
    assert left(store) <= IDLE // 2
    later(IDLE // 2 + 1, key)
    assert not ask(key)


@pytest.mark.parametrize(
    "own,idle,absolute,least",
    [
        (HOUR, 2 * HOUR, 3 * HOUR, HOUR),
        (3 * HOUR, HOUR, 2 * HOUR, HOUR),
        (2 * HOUR, 3 * HOUR, HOUR, HOUR),
        (2 * HOUR, None, HOUR, HOUR),
        (HOUR, None, None, HOUR),
        (2 * HOUR, HOUR, None, HOUR),
    ],
)
def test_the_least_age_holds(
    ann: Any, own: int, idle: int | None, absolute: int | None, least: int
) -> None:
    with override_settings(
        EXPIRE_IDLE_AGE=idle, EXPIRE_ABSOLUTE_AGE=absolute, SESSION_COOKIE_AGE=own
    ):
        store = sign_in_store(ann)
        assert left(store) == pytest.approx(least, abs=5)
        store["x"] = 1
        store.save()
        assert left(store) == pytest.approx(least, abs=5)
        store.cycle_key()
        assert left(store) == pytest.approx(least, abs=5)
        SessionStore(store.session_key).load()
        assert left(store) == pytest.approx(least, abs=5)


def test_reading_prolongs_neither_its_own_age_nor_the_absolute_one(
    ann: Any, later: Passing, ask: Ask
) -> None:
    store = sign_in_store(ann)
    store.set_expiry(20 * MINUTE)
    store.save()
    later(10 * MINUTE, store.session_key)
    assert ask(store.session_key)
    assert left(store) <= 10 * MINUTE
    later(10 * MINUTE + 1, store.session_key)
    assert not ask(store.session_key)


def save(request: Any) -> None:
    """Change something."""
    request.session["x"] = 1
    request.session.save()


def rotate(request: Any) -> None:
    """Go on under a new key."""
    request.session.cycle_key()
    request.session.save()


def touch(request: Any) -> None:
    """Be looked at by another process."""
    forget_sessions()
    SessionStore(request.session.session_key).load()


@pytest.mark.parametrize("do", [save, rotate, touch])
def test_the_absolute_age_survives(
    ann: Any, later: Passing, do: Callable[[Any], None]
) -> None:
    with override_settings(EXPIRE_IDLE_AGE=None):
        store = sign_in_store(ann)
        later(ABSOLUTE - 100, store.session_key)
        request = request_of(store)
        do(request)
        assert left(request.session) <= 100


def test_a_fresh_login_in_the_same_browser_starts_anew(
    ann: Any, later: Passing
) -> None:
    with override_settings(EXPIRE_IDLE_AGE=None):
        request = request_of(sign_in_store(ann))
        later(ABSOLUTE - 100, request.session.session_key)
        request.session.flush()
        login(request, ann)
        request.session.save()
        assert left(request.session) == pytest.approx(ABSOLUTE, abs=5)


@pytest.mark.parametrize("idle", [None, IDLE])
def test_a_session_of_before_takes_the_ages_on(
    ann: Any, later: Passing, ask: Ask, idle: int | None
) -> None:
    """Adopted, or from a time without ages: they count from its next request."""
    with override_settings(EXPIRE_IDLE_AGE=None, EXPIRE_ABSOLUTE_AGE=None):
        store = sign_in_store(ann)
    with override_settings(EXPIRE_IDLE_AGE=idle):
        later(DAY, store.session_key)
        assert ask(store.session_key)
        assert left(store) == pytest.approx(idle or ABSOLUTE, abs=5)
        later(ABSOLUTE + 1, store.session_key)
        assert not ask(store.session_key)


def test_a_lowered_age_holds_for_sessions_that_are_there(
    ann: Any, later: Passing
) -> None:
    store = sign_in_store(ann)
    later(10 * MINUTE, store.session_key)
    with override_settings(EXPIRE_IDLE_AGE=5 * MINUTE):
        assert is_live(store.session_key)
        assert left(store) <= 5 * MINUTE
    with override_settings(EXPIRE_ABSOLUTE_AGE=5 * MINUTE):
        assert not is_live(store.session_key)
        assert not SessionStore().exists(store.session_key)


def test_anonymous_sessions_have_their_own_age_alone() -> None:
    store = SessionStore()
    store["basket"] = 1
    store.save()
    assert left(store) > DAY


def test_an_encoding_that_no_script_reads_has_ages_too(
    ann: Any, later: Passing
) -> None:
    store = sign_in_store(ann)
    name = payload_name(store.session_key)
    payload = redis_client().get(name)
    hidden = payload.replace(b"_auth_user_id", b"_auth_\\u0075ser_id")
    assert hidden != payload
    redis_client().set(name, hidden, keepttl=True)
    forget_sessions()
    for _ in range(3):
        later(IDLE - 1, store.session_key)
        assert is_live(store.session_key)
    later(IDLE + 1, store.session_key)
    assert not is_live(store.session_key)


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("process", [is_live, is_live_in_another_process])
def test_a_server_that_takes_no_writes_keeps_them_signed_in(
    ann: Any, admin: redis.Redis, process: Ask
) -> None:
    store = sign_in_store(ann)
    admin.config_set("min-replicas-to-write", 1)
    assert process(store.session_key)
    admin.config_set("min-replicas-to-write", 0)
    assert process(store.session_key)


# For each user.


def test_a_handler_sets_ages_for_a_user(ann: Any, bob: Any, handle: Any) -> None:
    def ages(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        if sender.pk == ann.pk:
            settings.update(idle_age=HOUR, absolute_age=None)

    handle(ages)
    assert left(sign_in_store(ann)) == pytest.approx(HOUR, abs=5)
    assert left(sign_in_store(bob)) == pytest.approx(IDLE, abs=5)


def test_a_handler_alone_sets_ages_too(ann: Any, handle: Any, later: Passing) -> None:
    def ages(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings["idle_age"] = HOUR

    handle(ages)
    with override_settings(EXPIRE_IDLE_AGE=None, EXPIRE_ABSOLUTE_AGE=None):
        key = sign_in_store(ann).session_key
        for _ in range(3):
            later(HOUR - 1, key)
            assert is_live(key)
        later(HOUR + 1, key)
        assert not is_live(key)


# How long it has.


def test_it_says_how_long_it_has(ann: Any, later: Passing) -> None:
    store = sign_in_store(ann)
    later(5 * MINUTE, store.session_key)
    for _ in range(2):  # asking does not extend it
        asked = SessionStore(store.session_key)
        assert asked.seconds_left() in range(10 * MINUTE - 3, 10 * MINUTE + 1)
        assert not asked.accessed
    later(10 * MINUTE + 1, store.session_key)
    assert SessionStore(store.session_key).seconds_left() is None
    assert SessionStore().seconds_left() is None


def test_it_says_so_in_async_too(ann: Any) -> None:
    store = sign_in_store(ann)
    with server_loop() as loop:
        assert loop(SessionStore(store.session_key).aseconds_left()) in range(
            IDLE - 3, IDLE + 1
        )
        assert loop(SessionStore("x" * 32).aseconds_left()) is None
        assert loop(SessionStore().aseconds_left()) is None


def age_of_cookie(browser: Client) -> int:
    """Return how long a browser will keep the cookie it was given last."""
    return int(browser.cookies["sessionid"]["max-age"])


def test_the_cookie_lives_no_longer_than_the_absolute_age(
    ann: Any, sign_in: SignIn, later: Passing
) -> None:
    browser = sign_in(ann)
    assert age_of_cookie(browser) == ABSOLUTE
    later(IDLE - 1, key_of(browser))
    browser.get("/set/x/1/")
    assert age_of_cookie(browser) in range(ABSOLUTE - IDLE, ABSOLUTE - IDLE + 3)
    browser.get("/set/x/2/")
    assert age_of_cookie(browser) <= ABSOLUTE - IDLE + 2


def test_in_async_too(ann: Any) -> None:
    store = sign_in_store(ann)
    with server_loop() as loop:
        loaded = SessionStore(store.session_key)
        loop(loaded.aload())
        assert loop(loaded.aget_expiry_age()) in range(ABSOLUTE - 3, ABSOLUTE + 1)


# What others do to it.


def test_a_login_in_its_own_session_begins_the_ages_anew(
    ann: Any, later: Passing
) -> None:
    """Somebody is told that there are five minutes left, and signs in again."""
    with override_settings(EXPIRE_IDLE_AGE=None):
        request = request_of(sign_in_store(ann))
        later(ABSOLUTE - 100, request.session.session_key)
        forget_sessions()
        request = request_of(request.session)
        login(request, ann)
        request.session.save()
        assert left(request.session) == pytest.approx(ABSOLUTE, abs=5)
        assert reasons(ann) == [""]


def test_what_another_process_has_shortened_stays_short(
    ann: Any, later: Passing
) -> None:
    store = sign_in_store(ann)
    SessionStore(store.session_key).load()
    elsewhere = connection_for("default").seen
    kept = dict(elsewhere._young)
    store.set_expiry(20)
    store.save()
    elsewhere._young.update(kept)
    later(2, store.session_key)
    assert is_live(store.session_key)
    assert left(store) <= 18


def test_what_it_knows_of_itself_may_be_lost(ann: Any, later: Passing) -> None:
    """Redis may evict it by itself: a busy session goes on, to its own age."""
    store = sign_in_store(ann)
    redis_client().delete(connection_for("default").keys.life(str(store.session_key)))
    forget_sessions()
    for _ in range(4):
        assert is_live(store.session_key)
        later(IDLE - 60, store.session_key)


@override_settings(SESSION_COOKIE_AGE=HOUR, EXPIRE_IDLE_AGE=600)
def test_djangos_own_backend_may_have_written_it_meanwhile(
    ann: Any, later: Passing
) -> None:
    """Back from it, the session lives for as long as that has said."""
    store = sign_in_store(ann)
    django = cache.SessionStore(store.session_key)
    for _ in range(4):
        django.save()
        later(HOUR // 2, store.session_key)
    assert is_live_in_another_process(store.session_key)
    assert left(store) == pytest.approx(600, abs=5)
    for _ in range(3):
        later(599, store.session_key)
        assert is_live(store.session_key)
    later(9, store.session_key)
    assert not is_live(store.session_key)


def test_a_process_that_cannot_read_it_takes_nothing_from_it(
    ann: Any, later: Passing
) -> None:
    store = sign_in_store(ann)
    name = payload_name(store.session_key)
    payload = redis_client().get(name)
    later(HOUR, store.session_key)
    redis_client().set(name, b"of a later version", px=IDLE * 1000)
    assert not is_live_in_another_process(store.session_key)
    assert SessionStore(store.session_key).notice is None
    redis_client().set(name, payload, keepttl=True)
    assert is_live_in_another_process(store.session_key)
    assert age_of(store) in range(ABSOLUTE - HOUR - 5, ABSOLUTE - HOUR + 1)


def age_of(store: SessionStore) -> int:
    """Return the seconds that are left of the absolute age."""
    loaded = SessionStore(store.session_key)
    loaded.load()
    return loaded.get_expiry_age()


def test_nobody_is_signed_out_by_a_pause_of_the_server(
    ann: Any, admin: redis.Redis, later: Passing
) -> None:
    """While writes have to wait nothing is extended; the first load after does it."""
    store = sign_in_store(ann)
    later(IDLE - 30, store.session_key)
    admin.client_pause(60_000, all=False)
    connection_for("default").scripts_pause.begin()
    assert is_live(store.session_key)
    admin.client_unpause()
    connection_for("default").scripts_pause.end()
    assert is_live(store.session_key)
    assert left(store) == pytest.approx(IDLE, abs=5)


def test_without_touches_a_handler_sets_ages_too(
    ann: Any, handle: Any, later: Passing
) -> None:
    """Also where no script can read the session."""

    def ages(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings["idle_age"] = HOUR

    handle(ages)
    with override_settings(
        EXPIRE_IDLE_AGE=None, EXPIRE_ABSOLUTE_AGE=None, EXPIRE_TOUCH_INTERVAL=None
    ):
        store = sign_in_store(ann)
        name = payload_name(store.session_key)
        hidden = (
            redis_client().get(name).replace(b"auth_user_id", b"auth_\\u0075ser_id")
        )
        redis_client().set(name, hidden, keepttl=True)
        forget_sessions()
        for _ in range(4):
            assert is_live(store.session_key)
            later(HOUR - 1, store.session_key)


def test_taking_sessions_in_extends_none(ann: Any, later: Passing) -> None:
    store = sign_in_store(ann)
    later(IDLE - 60, store.session_key)
    call_command("index_sessions")
    assert left(store) <= 60


def test_the_date_of_its_end_is_that_of_its_age(ann: Any, later: Passing) -> None:
    store = sign_in_store(ann)
    later(IDLE - 60, store.session_key)
    loaded = SessionStore(store.session_key)
    loaded.load()
    until = (loaded.get_expiry_date() - timezone.now()).total_seconds()
    assert until == pytest.approx(loaded.get_expiry_age(), abs=2)


@pytest.mark.parametrize("interval", [60, None])
def test_its_browser_learns_which_age_it_was(
    ann: Any, later: Passing, interval: int | None
) -> None:
    """A busy session was not idle, also where requests only read it."""
    with override_settings(EXPIRE_ABSOLUTE_AGE=HOUR, EXPIRE_TOUCH_INTERVAL=interval):
        busy = sign_in_store(ann)
        for _ in range(6):
            later(590, busy.session_key)
            assert is_live(busy.session_key)
        later(70, busy.session_key)
        notice = SessionStore(busy.session_key).notice
        assert notice is not None
        assert notice.reason == "absolute"
        away = sign_in_store(ann)
        later(IDLE + 1, away.session_key)
        notice = SessionStore(away.session_key).notice
        assert notice is not None
        assert notice.reason == "idle"
