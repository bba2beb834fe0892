"""Whatever comes in: a clear error or a self-heal, and nobody signed out in silence."""

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.db import connection as database
from django.db import transaction
from django.db.utils import OperationalError
from django.test import AsyncClient, Client, override_settings
from django_redis.compressors.base import BaseCompressor

from example_project.redis_server import RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import (
    InvalidLimits,
    InvalidSetup,
    StoreUnavailable,
    SweepIncomplete,
)
from expire_sessions.index import Mode, Outcome
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import expire_check
from tests.asking import add_members, index, put_payload
from tests.caches import other_cache
from tests.server_plugin import another_server
from tests.sessions import ids, key_of, live_ids, sign_in

pytestmark = pytest.mark.django_db

KEY = "k" * 32

PICKLE = "django_redis.serializers.pickle.PickleSerializer"


# Cookies.

COOKIES = {
    "empty": "",
    "too short": "1234567",
    "a megabyte": "x" * 1_000_000,
    "NUL": "a\0b" * 10,
    "newline": "a\nb\r\nc" * 5,
    "unicode": "ü☃" * 10,
    "half a pair": "\udcff" * 10,
    "glob": "*?[a-z]" * 4,
    "Lua": "'] redis.call('FLUSHALL') --",
    "hash tag": "{user}:a%2F" * 2,
}


@pytest.mark.parametrize("case", COOKIES)
def test_any_cookie_is_just_no_session(case: str, ann: Any) -> None:
    held = sign_in(ann)
    value = COOKIES[case]
    store = SessionStore(value)
    assert store.load() == {}
    assert not store.exists(value)
    store.delete(value)
    store.flush()
    store["x"] = 1
    store.save()
    assert store.session_key != value
    assert SessionStore().exists(held.session_key)


@pytest.mark.parametrize("case", COOKIES)
@pytest.mark.parametrize("path", ["/get/x/", "/set/x/1/", "/a/get/x/", "/a/set/x/1/"])
def test_any_cookie_is_answered(case: str, path: str) -> None:
    sent = COOKIES[case].encode("utf-8", "surrogateescape").decode("latin-1")
    response = Client().get(path, headers={"cookie": f"sessionid={sent}"})
    assert response.status_code == 200


# Payloads.


class SaltedCompressor(BaseCompressor):  # type: ignore[misc] # untyped
    """Writes equal data differently each time, as gzip and encryption do."""

    def compress(self, value: bytes) -> bytes:
        """Add salt."""
        return os.urandom(8) + value

    def decompress(self, value: bytes) -> bytes:
        """Take it away."""
        return value[8:]


def test_a_tab_that_reads_undoes_nothing_however_payloads_are_written(ann: Any) -> None:
    with other_cache(COMPRESSOR=f"{__name__}.SaltedCompressor"):
        key = sign_in(ann).session_key
        reading, writing = SessionStore(key), SessionStore(key)
        reading.get("x")
        writing["x"] = 1
        writing.save()
        reading.save()
        assert SessionStore(key)["x"] == 1


class Bomb:
    """Says when it is unpickled."""

    went_off = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (set_off, ())


def set_off() -> None:
    """Be heard."""
    Bomb.went_off = True


PAYLOADS = {
    "garbage": b"\x80\x04garbage",
    "empty": b"",
    "a number": b"17",
    "a list": b"[1, 2]",
    "null": b"null",
    "half of it": b'{"a": ',
    "not UTF-8": b"\xff\xfe",
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("case", PAYLOADS)
@pytest.mark.parametrize("path", ["/get/x/", "/a/get/x/"])
def test_a_payload_that_does_not_decode_is_an_empty_session(
    case: str, path: str, ann: Any, sign_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = sign_in(ann)
    put_payload(key_of(browser), PAYLOADS[case])
    response = browser.get(path)
    assert (response.status_code, response.content) == (200, b"")
    assert_warned_of_corruption(caplog)


def assert_warned_of_corruption(caplog: pytest.LogCaptureFixture) -> None:
    """Look for the one warning that Django's own stores give as well."""
    (record,) = [r for r in caplog.records if r.name.startswith("django.security")]
    assert record.name == "django.security.SuspiciousSession"
    assert record.levelname == "WARNING"
    assert "corrupted" in record.getMessage()


PICKLES: dict[str, tuple[bytes, dict[str, str]]] = {
    "half of it": (pickle.dumps({"a": 1})[:-2], {}),
    "a list": (pickle.dumps([1, 2]), {}),
    "a class that is gone": (b"cno.such.module\nClass\n.", {}),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_that_does_not_decode_is_an_empty_session(
    case: str, ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    payload, options = PICKLES[case]
    with other_cache(SERIALIZER=PICKLE, **options):
        store = sign_in(ann)
        put_payload(store.session_key, payload)
        assert SessionStore(store.session_key).load() == {}
    assert_warned_of_corruption(caplog)


def test_listing_and_ending_unpickle_nothing(
    ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bomb, "went_off", False)
    with other_cache(SERIALIZER=PICKLE):
        store = sign_in(ann)
        put_payload(store.session_key, pickle.dumps({"bomb": Bomb()}))
        sessions = UserSessions(ann)
        (info,) = sessions.list()
        assert sessions.end(info.session_id)
        assert not Bomb.went_off
        put_payload(store.session_key, pickle.dumps({"bomb": Bomb()}))
        SessionStore(store.session_key).load()
        assert Bomb.went_off, "it is a bomb"


# Handlers of expire_check.


def raising(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
    """Fail."""
    raise LookupError("no subscription")


def leaving(key: str, value: object) -> Callable[..., None]:
    """Return a handler that leaves this in the dictionary."""

    def handler(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
        settings[key] = value

    return handler


def removing(sender: Any, settings: dict[str, Any], **kwargs: object) -> None:
    """Leave nothing."""
    settings.clear()


HANDLERS: dict[str, Callable[..., None]] = {
    "raises": raising,
    "a negative number": leaving("max_users", -1),
    "a string": leaving("max_users", "3"),
    "a bool": leaving("max_users", value=True),
    "a fraction": leaving("max_users", 1.5),
    "nothing": removing,
    "a misspelt key": leaving("max_user", 3),
    "a policy of a later version": leaving("policy", "ask"),
    "a bad log limit": leaving("log_limit", "many"),
}


@pytest.fixture(params=HANDLERS)
def held(request: pytest.FixtureRequest, ann: Any) -> Iterator[list[SessionStore]]:
    """Ann's sessions from before her handler broke: one more than her limit."""
    with override_settings(EXPIRE_MAX_USERS=2):
        stores = [sign_in(ann), sign_in(ann)]
    handler = HANDLERS[request.param]
    expire_check.connect(handler)
    yield stores
    expire_check.disconnect(handler)


def test_a_broken_handler_lets_nobody_in_and_ends_nothing(
    ann: Any, held: list[SessionStore]
) -> None:
    with pytest.raises((InvalidLimits, LookupError)):
        sign_in(ann)
    assert live_ids(ann) == ids(*held)
    assert LoggedSession.objects.active().count() == LoggedSession.objects.count() == 2


@pytest.mark.parametrize("site", ["", "/a"])
@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_broken_handler_signs_nobody_out(
    ann: Any, held: list[SessionStore], site: str, caplog: pytest.LogCaptureFixture
) -> None:
    browser = Client()
    browser.cookies["sessionid"] = held[0].session_key or ""
    assert browser.get(f"{site}/set/x/1/").status_code == 200
    assert browser.get(f"{site}/get/x/").content == b"1"
    assert browser.get(f"{site}/whoami/").content == b"ann"
    assert live_ids(ann) == ids(*held)
    errors = {r.getMessage() for r in caplog.records if r.name == "expire_sessions"}
    assert any("expire_check failed" in error for error in errors)


def test_a_broken_handler_is_a_server_error_at_the_login_page(
    held: list[SessionStore],
) -> None:
    browser = Client(raise_request_exception=False)
    response = browser.get("/login/", {"username": "ann", "password": "ann"})
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


def test_none_from_a_handler_is_no_limit(ann: Any) -> None:
    handler = leaving("max_users", None)
    expire_check.connect(handler)
    try:
        for _ in range(3):
            sign_in(ann)
    finally:
        expire_check.disconnect(handler)
    assert len(UserSessions(ann).list()) == 3


# Settings, where a server was started without the checks.


@pytest.mark.parametrize(
    "name",
    [
        "EXPIRE_MAX_USERS",
        "EXPIRE_LOG_LIMIT",
        "EXPIRE_POLICY",
        "EXPIRE_TOUCH_INTERVAL",
    ],
)
def test_a_wrong_setting_lets_nobody_in_and_ends_nothing(ann: Any, name: str) -> None:
    store = sign_in(ann)
    with override_settings(**{name: "refuse"}), pytest.raises(InvalidSetup, match=name):
        sign_in(ann)
    assert live_ids(ann) == ids(store)
    assert LoggedSession.objects.get().active


@pytest.mark.parametrize("name", ["EXPIRE_MAX_USERS", "EXPIRE_POLICY"])
@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_wrong_limit_signs_nobody_out(
    ann: Any, sign_in: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(EXPIRE_MAX_USERS=2):
        browsers = [sign_in(ann), sign_in(ann)]
    with override_settings(**{name: "refuse"}):
        for browser in browsers:
            browser.get("/set/x/1/")
            assert browser.get("/whoami/").content == b"ann"
    assert name in caplog.text


ALIASES: dict[str, dict[str, Any]] = {
    "missing": {},
    "in memory": {
        "other": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    },
    "Django's own Redis": {
        "other": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1",
        }
    },
}


@pytest.mark.parametrize("case", ALIASES)
def test_a_cache_that_cannot_hold_sessions_is_a_clear_error(case: str) -> None:
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    changed = {**settings.CACHES, **ALIASES[case]}
    with override_settings(CACHES=changed, SESSION_CACHE_ALIAS="other"):
        with pytest.raises(InvalidSetup, match="'other'"):
            SessionStore()
        response = browser.get("/get/x/")
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


# Redis.


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis to do things to."""
    with another_server() as server, other_cache(server.url):
        yield server


@pytest.fixture
def admin(own_server: RedisServer) -> Iterator[redis.Redis]:
    """A client to do them with."""
    with redis.Redis(unix_socket_path=str(own_server.socket)) as client:
        yield client


@contextmanager
def down(tmp_path: Path) -> Iterator[str]:
    """Give the address of no server."""
    yield f"unix://{tmp_path}/nothing?db=0"


@contextmanager
def mute(tmp_path: Path) -> Iterator[str]:
    """Give the address of a server that never answers."""
    path = tmp_path / "mute"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield f"unix://{path}?db=0"


REQUESTS = [
    f"{site}{path}"
    for site in ("", "/a")
    for path in ("/get/x/", "/set/x/1/", "/whoami/", "/logout/")
]


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("every_request", [False, True])
@pytest.mark.parametrize("outage", [down, mute])
def test_an_outage_is_an_error_and_never_a_logout(
    path: str, ignore: bool, every_request: bool, outage: Any, tmp_path: Path
) -> None:
    browser = Client(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    options = {"IGNORE_EXCEPTIONS": ignore, "SOCKET_TIMEOUT": 0.05}
    with (
        outage(tmp_path) as address,
        other_cache(address, **options),
        override_settings(SESSION_SAVE_EVERY_REQUEST=every_request),
    ):
        response = browser.get(path)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("path", ["/a/get/x/", "/a/set/x/1/", "/a/logout/"])
@pytest.mark.parametrize("outage", [down, mute])
def test_an_outage_under_asgi_is_an_error_and_never_a_logout(
    path: str, outage: Any, tmp_path: Path
) -> None:
    browser = AsyncClient(raise_request_exception=False)
    browser.cookies["sessionid"] = KEY
    with outage(tmp_path) as address, other_cache(address, SOCKET_TIMEOUT=0.05):
        response = async_to_sync(browser.get)(path)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


@pytest.mark.parametrize("site", ["", "/a"])
@pytest.mark.parametrize("ignore", [False, True])
def test_a_login_during_an_outage_is_an_error(
    ann: Any, site: str, ignore: bool, tmp_path: Path
) -> None:
    browser = Client(raise_request_exception=False)
    query = {"username": "ann", "password": "ann"}
    with down(tmp_path) as address, other_cache(address, IGNORE_EXCEPTIONS=ignore):
        response = browser.get(f"{site}/login/", query)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


def pause(admin: redis.Redis) -> None:
    """Let whatever writes wait; what reads is answered."""
    admin.client_pause(600_000, all=False)


def make_read_only(admin: redis.Redis) -> None:
    """Let it be the replica of a server that is not there."""
    admin.replicaof("127.0.0.1", "1")


def mend(admin: redis.Redis) -> None:
    """Let it take what is written again."""
    admin.client_unpause()
    admin.replicaof("NO", "ONE")


@pytest.mark.parametrize("fault", [pause, make_read_only])
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("path", ["/set/x/1/", "/logout/", "/a/set/x/1/", "/a/logout/"])
@override_settings(EXPIRE_TOUCH_INTERVAL=None)
def test_what_is_read_and_cannot_be_written_is_an_error_and_never_a_logout(
    fault: Any,
    ignore: bool,
    path: str,
    own_server: RedisServer,
    admin: redis.Redis,
    ann: Any,
) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(ann)
    fault(admin)
    # In the address: django-redis keeps one pool for each, with its first time-out.
    address = f"{own_server.url}&socket_timeout=0.2"
    with other_cache(address, IGNORE_EXCEPTIONS=ignore):
        response = browser.get(path)
        who = browser.get("/whoami/").content
    # Redis 6.2 does then what it was asked for, though nobody waits any more.
    mend(admin)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies
    assert who == b"ann"


def test_an_outage_says_what_it_is(tmp_path: Path) -> None:
    with down(tmp_path) as address, other_cache(address):
        with pytest.raises(StoreUnavailable, match="'default'") as caught:
            SessionStore(KEY).load()
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
        assert KEY not in str(caught.value)
        for call in (SessionStore().save, SessionStore(KEY).flush):
            with pytest.raises(StoreUnavailable):
                call()


def test_a_full_server_still_lets_in_who_ends_another(
    ann: Any, bob: Any, admin: redis.Redis
) -> None:
    old = sign_in(ann)
    admin.config_set("maxmemory", 1)
    new = sign_in(ann)
    assert SessionStore(old.session_key).load() == {}
    new["x"] = 1
    new.save()
    new.cycle_key()
    with override_settings(EXPIRE_TOUCH_INTERVAL=0):
        assert SessionStore(new.session_key)["x"] == 1
    with pytest.raises(StoreUnavailable, match=r"OOM|memory"):
        sign_in(bob)
    new.flush()
    assert UserSessions(ann).list() == []
    admin.config_set("maxmemory", 0)
    sign_in(bob)
    active = LoggedSession.objects.for_user(bob).active()
    assert active.count() == 1, "the login that failed is no longer active"


def test_a_login_that_is_repeated_is_known_on_a_server_that_is_full_by_now(
    ann: Any, admin: redis.Redis
) -> None:
    arguments: dict[str, Any] = {"user_id": str(ann.pk), "age": 60_000, "call": "call"}
    assert index().place(Mode.NEW, KEY, **arguments).outcome is Outcome.SAVED
    admin.config_set("maxmemory", 1)
    assert index().place(Mode.NEW, KEY, **arguments).outcome is Outcome.SAVED


@pytest.mark.parametrize("site", ["", "/a"])
@pytest.mark.parametrize("ignore", [False, True])
def test_a_full_server_signs_nobody_out(
    ann: Any, bob: Any, admin: redis.Redis, site: str, ignore: bool
) -> None:
    browser, visitor = Client(), Client(raise_request_exception=False)
    browser.force_login(ann)
    admin.config_set("maxmemory", 1)
    with (
        other_cache(IGNORE_EXCEPTIONS=ignore),
        override_settings(EXPIRE_TOUCH_INTERVAL=0),
    ):
        browser.get(f"{site}/set/x/1/")
        assert browser.get(f"{site}/get/x/").content == b"1"
        refused = visitor.get(f"{site}/login/", {"username": "bob", "password": "bob"})
        assert refused.status_code == 500
        assert "sessionid" not in refused.cookies
        assert browser.get(f"{site}/whoami/").content == b"ann"
        assert browser.get(f"{site}/logout/").status_code == 200
    assert live_ids(ann) == live_ids(bob) == set()


def test_a_read_only_server_is_an_error(ann: Any, admin: redis.Redis) -> None:
    store = sign_in(ann)
    admin.replicaof("127.0.0.1", "1")
    assert SessionStore(store.session_key).load()
    store["x"] = 1
    for call in (store.save, store.cycle_key, store.flush, SessionStore().create):
        with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
            call()
    admin.replicaof("NO", "ONE")
    assert SessionStore(store.session_key).load()


def test_no_error_tells_a_session_key(ann: Any, admin: redis.Redis) -> None:
    """redis-py puts the command that failed into its own errors."""
    dead = "d" * 32
    add_members(ann, {dead: 1})
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreUnavailable) as caught:
        SessionStore.clear_expired()
    assert dead not in f"{caught.value} {caught.value.__cause__}"


def test_forgotten_scripts_are_sent_again(ann: Any, server: redis.Redis) -> None:
    store = sign_in(ann)
    server.script_flush()
    store["x"] = 1
    store.save()
    server.script_flush()
    store.cycle_key()
    server.script_flush()
    store.flush()
    assert UserSessions(ann).list() == []


def test_a_restart_is_survived(ann: Any, own_server: RedisServer) -> None:
    sign_in(ann)
    own_server.stop()
    with pytest.raises(StoreUnavailable):
        SessionStore(KEY).load()
    own_server.start()
    store = sign_in(ann)
    assert SessionStore(store.session_key).load()


@pytest.mark.parametrize("site", ["", "/a"])
def test_a_restart_of_a_server_that_persists_signs_nobody_out(
    ann: Any, site: str
) -> None:
    """The connections are broken then, and the scripts forgotten."""
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    with another_server(*durable) as server, other_cache(server.url):
        browser = Client()
        browser.force_login(ann)
        server.stop()
        server.start()
        assert browser.get(f"{site}/set/x/1/").status_code == 200
        assert browser.get(f"{site}/get/x/").content == b"1"
        assert browser.get(f"{site}/whoami/").content == b"ann"


def test_sessions_are_kept_on_and_read_from_the_primary(ann: Any) -> None:
    """Only it knows what is live; the replica of this test knows nothing at all."""
    with (
        another_server() as primary,
        another_server() as replica,
        other_cache(f"{primary.url},{replica.url}"),
        redis.Redis(unix_socket_path=str(primary.socket)) as on_primary,
        redis.Redis(unix_socket_path=str(replica.socket)) as on_replica,
    ):
        store = sign_in(ann)
        assert SessionStore(store.session_key).load()
        assert (on_primary.dbsize(), on_replica.dbsize()) == (3, 0)
        assert on_replica.info("commandstats").get("cmdstat_get") is None


# The history.


@contextmanager
def without_a_table() -> Iterator[None]:
    """Rename the table of the history."""
    table = LoggedSession._meta.db_table
    LoggedSession._meta.db_table = "no_such_table"
    try:
        yield
    finally:
        LoggedSession._meta.db_table = table
        for field in LoggedSession._meta.concrete_fields:
            vars(field).pop("cached_col", None)  # it names the table


@contextmanager
def read_only() -> Iterator[None]:
    """Refuse what writes, as a read-only database does."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "expire_sessions" in sql and not sql.startswith("SELECT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    with database.execute_wrapper(refuse):
        yield


class Elsewhere:
    """A database router that keeps the history where there is no database."""

    def db_for_write(self, model: type, **hints: object) -> str | None:
        """Name the database."""
        return "nowhere" if model is LoggedSession else None

    db_for_read = db_for_write


@contextmanager
def no_database() -> Iterator[None]:
    """Keep the history in a database that cannot be reached."""
    with override_settings(DATABASE_ROUTERS=[Elsewhere()]):
        yield


FAILURES = {
    "no table": without_a_table,
    "read-only": read_only,
    "no database": no_database,
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_history_that_cannot_be_written_breaks_no_login(
    case: str, ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with FAILURES[case](), transaction.atomic():
        first, second = sign_in(ann), sign_in(ann)
        second.cycle_key()
        get_user_model()._default_manager.count()  # the transaction is not broken
        assert SessionStore(first.session_key).load() == {}
        assert SessionStore(second.session_key).load()
        second.flush()
        with suppress(SweepIncomplete):  # it says so where it had something to write
            SessionStore.clear_expired()
    errors = [r for r in caplog.records if r.name == "expire_sessions"]
    assert errors
    assert {record.levelname for record in errors} == {"ERROR"}


def test_a_user_model_that_is_not_the_historys_breaks_no_login(
    ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(AUTH_USER_MODEL="accounts.UuidUser"):
        store = sign_in(get_user_model().objects.create_user("new", password="new"))
    assert SessionStore(store.session_key).load()
    assert "history" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_user_that_is_not_there_breaks_no_transaction_of_the_project() -> None:
    """Most databases look whether a row's user is there when all is committed."""
    store = SessionStore()
    store[SESSION_KEY] = "4711"
    with transaction.atomic():
        get_user_model().objects.create_user(username="eve", password="eve")
        store.save()
    assert get_user_model()._default_manager.count() == 1
    assert SessionStore(store.session_key).load()


def test_a_transaction_that_rolls_back_takes_the_row_and_not_the_session(
    ann: Any,
) -> None:
    with transaction.atomic():
        store = sign_in(ann)
        transaction.set_rollback(True)
    assert SessionStore(store.session_key).load()
    assert LoggedSession.objects.count() == 0
    sign_in(ann)
    assert LoggedSession.objects.active().count() == 1


def test_a_settling_that_fails_is_logged(
    ann: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise OperationalError("deadlock")

    monkeypatch.setattr(LoggedSessionQuerySet, "close", fail)
    sign_in(ann)
    sign_in(ann)
    assert "deadlock" in caplog.text
    reasons = LoggedSession.objects.order_by("pk").values_list("end_reason", flat=True)
    assert list(reasons) == ["lost", ""], "it is put right all the same"
