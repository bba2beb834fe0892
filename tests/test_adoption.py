"""Sessions of before the switch are taken in by a command, and nobody is signed out."""

import io
import pickle
import re
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import redis
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone

from expire_sessions import adoption
from expire_sessions.adoption import Adopted, adopt_payloads
from expire_sessions.models import LoggedSession
from expire_sessions.protocol import bulk
from expire_sessions.sessions import UserSessions
from tests.asking import id_of, index_name, payload_name
from tests.sessions import key_of, sign_in, who

pytestmark = pytest.mark.django_db

DJANGOS = "django.contrib.sessions.backends."


def with_engine(engine: str, user: Any, **data: object) -> Client:
    """Return a browser whose session another engine of Django has made."""
    session: SessionBase = import_module(DJANGOS + engine).SessionStore()
    if user is not None:
        session[SESSION_KEY] = id_of(user)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.update(data)
    session.save()
    browser = Client()
    browser.cookies["sessionid"] = str(session.session_key)
    return browser


class Anything:
    """A serializer of the project's that takes what JSON does not."""

    def dumps(self, data: Any) -> bytes:
        return pickle.dumps(data)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)  # noqa: S301 - written by this test


def index_sessions(*args: str) -> str:
    """Run the command and return what it says."""
    out = io.StringIO()
    call_command("index_sessions", *args, stdout=out)
    return out.getvalue()


def test_sessions_of_before_count_and_end_with_the_others(ann: Any) -> None:
    browsers = [with_engine("cache", ann) for _ in range(6)]
    with_engine("cache", None, cart=1)
    said = index_sessions()
    assert said == (
        "6 sessions of users are in their index, 1 are anonymous, 0 had ended here,"
        " 0 cannot be read.\n"
    )
    assert len(UserSessions(ann).list()) == 6
    assert UserSessions(ann).end_all() == 6
    assert [who(browser) for browser in browsers] == [""] * 6


def test_the_first_save_after_it_leaves_as_many_as_the_limit_allows(ann: Any) -> None:
    browsers = [with_engine("cache", ann) for _ in range(6)]
    index_sessions()
    assert [row.active for row in LoggedSession.objects.all()] == [True] * 6
    store = sign_in(ann)
    assert [who(browser) for browser in browsers] == [""] * 6
    assert len(UserSessions(ann).list()) == 1
    assert LoggedSession.objects.active().get().user == ann
    assert store.exists(store.session_key)


def test_what_was_adopted_counts_from_its_adoption(
    ann: Any, server: redis.Redis
) -> None:
    """A second run makes nobody look as if he had just been seen."""
    with_engine("cache", ann)
    index_sessions()
    index = index_name(ann)
    first = server.zrange(index, 0, -1, withscores=True)
    index_sessions()
    assert server.zrange(index, 0, -1, withscores=True) == first
    (info,) = UserSessions(ann).list()
    assert info.since == info.last_seen


@pytest.mark.parametrize("engine", ["db", "cached_db"])
@override_settings(EXPIRE_MAX_USERS=0)
def test_moving_in_from_a_table_signs_nobody_out(
    ann: Any, bob: Any, engine: str
) -> None:
    browsers = [with_engine(engine, user) for user in (ann, ann, bob)]
    visitor = with_engine(engine, None, x=7)
    said = index_sessions("--from", engine)
    assert said.startswith("3 sessions of users are in their index, 1 are anonymous")
    assert [who(browser) for browser in browsers] == ["ann", "ann", "bob"]
    assert visitor.get("/get/x/").content == b"7"
    assert len(UserSessions(ann).list()) == 2


def test_a_copied_session_lives_no_longer_than_it_had_to(
    ann: Any, server: redis.Redis
) -> None:
    browser = with_engine("db", ann, _session_expiry=1000)
    index_sessions("--from", "db")
    name = payload_name(key_of(browser))
    assert 990 < server.ttl(name) <= 1000


def test_what_is_in_redis_already_stays_as_it_is(ann: Any) -> None:
    browser = with_engine("db", ann, x=1)
    index_sessions("--from", "db")
    browser.get("/set/x/2/")
    index_sessions("--from", "db")
    assert browser.get("/get/x/").content == b"2"


@pytest.mark.parametrize("minutes", [0, 60])
def test_what_has_ended_here_is_not_copied_again(ann: Any, minutes: int) -> None:
    browser = with_engine("db", ann)
    index_sessions("--from", "db")
    browser.get("/logout/")
    ago = timezone.now() - timedelta(minutes=minutes)
    LoggedSession.objects.update(ended_at=ago)
    assert "1 had ended here" in index_sessions("--from", "db")
    assert UserSessions(ann).list() == []


def test_a_row_that_the_caches_serializer_cannot_write_is_counted(ann: Any) -> None:
    with override_settings(SESSION_SERIALIZER="tests.test_adoption.Anything"):
        with_engine("db", ann, found={1, 2})
        assert "1 cannot be read" in index_sessions("--from", "db")


def test_a_key_of_another_type_under_a_payloads_name_is_passed_over(
    ann: Any, server: redis.Redis
) -> None:
    with_engine("cache", ann)
    server.rpush(payload_name("z" * 32), "x")
    assert index_sessions().startswith("1 sessions of users are in their index")


@override_settings(USE_TZ=False)
def test_a_project_without_time_zones_moves_in_as_well(ann: Any) -> None:
    with_engine("cache", ann)
    index_sessions()
    call_command("clearsessions")
    (info,) = UserSessions(ann).list()
    assert info.since is not None
    assert info.since == info.last_seen


@override_settings(EXPIRE_MAX_USERS=0)
def test_a_user_with_many_sessions_costs_no_more_for_each(
    ann: Any, server: redis.Redis
) -> None:
    def commands(count: int) -> int:
        for _ in range(count):
            with_engine("cache", ann)
        server.config_resetstat()
        index_sessions()
        server.info("commandstats")
        stats: dict[str, Any] = server.info("commandstats")
        return int(sum(found["calls"] for found in stats.values()))

    few = commands(600)
    assert commands(1800) < 4.5 * few, "four times as many by now"


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Walk in steps of a few sessions."""
    monkeypatch.setattr(adoption, "BATCH", 2)
    monkeypatch.setattr(bulk, "BATCH", 2)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("source", [(), ("--from", "db")])
def test_a_walk_that_was_stopped_goes_on_where_it_was(
    ann: Any, monkeypatch: pytest.MonkeyPatch, source: tuple[str, ...]
) -> None:
    for _ in range(40):
        with_engine("db" if source else "cache", ann)
    joined = adoption._join

    def stop(*args: Any) -> int:
        done = joined(*args)
        if len(UserSessions(ann).list()) >= 10:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(adoption, "_join", stop)
    with pytest.raises(CommandError, match="--resume") as stopped:
        index_sessions(*source)
    monkeypatch.undo()
    assert 0 < len(UserSessions(ann).list()) < 40
    resume = re.findall(r"--resume (\S+)", str(stopped.value))
    index_sessions(*source, "--resume", *resume)
    assert len(UserSessions(ann).list()) == 40


@pytest.mark.usefixtures("small_steps")
def test_each_step_tells_how_far_it_is(ann: Any) -> None:
    for _ in range(30):
        with_engine("cache", ann)
    steps = list(adopt_payloads())
    assert len(steps) > 5
    assert [step.part for step in steps] == sorted(step.part for step in steps)
    assert steps[-1].part == 1
    assert steps[-1].cursor == ""
    assert sum(step.indexed for step in steps) >= 30


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar(ann: Any) -> None:
    with_engine("cache", ann)
    screen = Terminal()
    call_command("index_sessions", stdout=io.StringIO(), stderr=screen)
    assert f"[{'#' * 40}] 100%" in screen.getvalue()


def test_what_cannot_be_read_is_counted_and_left_alone(
    ann: Any, server: redis.Redis
) -> None:
    name = payload_name("x" * 32)
    server.set(name, b"no session", ex=100)
    assert "1 cannot be read" in index_sessions()
    assert server.get(name) == b"no session"


@pytest.mark.parametrize(
    "args,message",
    [
        (["--from", "nowhere"], "'nowhere' is no session engine"),
        (["--from", f"{DJANGOS}cache"], "keeps no sessions in a table"),
        (["--resume", "soon"], "invalid literal"),
        (["--from", "db", "--resume", "soon"], "Invalid isoformat"),
    ],
)
def test_a_wrong_option_is_told(args: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        index_sessions(*args)


def test_a_step_is_a_plain_value() -> None:
    assert Adopted("7", 0.5) == Adopted("7", 0.5, 0, 0, 0)
