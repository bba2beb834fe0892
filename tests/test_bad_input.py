"""Whatever comes in: a clear error or a self-heal, and nobody signed out in silence."""

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection as database
from django.db import transaction
from django.db.utils import OperationalError
from django.test import Client, override_settings
from django_redis.compressors.base import BaseCompressor

from example_project.redis_server import RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.connections import connection_for
from expire_sessions.exceptions import InvalidLimits, InvalidSetup, StoreUnavailable
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.sessions import UserSessions
from expire_sessions.signals import expire_check
from tests.server_plugin import another_server
from tests.workers import sign_in

pytestmark = pytest.mark.django_db

KEY = "k" * 32


@contextmanager
def caches(location: str = "", **options: Any) -> Iterator[None]:
    """Keep sessions at another server, or with other options."""
    cache: dict[str, Any] = settings.CACHES["default"]
    changed = {
        **cache,
        "LOCATION": location or cache["LOCATION"],
        "OPTIONS": {**cache["OPTIONS"], **options},
    }
    with override_settings(CACHES={"default": changed}):
        yield
        connection_for("default").client.connection_pool.disconnect()


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
@pytest.mark.parametrize("path", ["/get/x/", "/a/get/x/"])
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
    with caches(COMPRESSOR=f"{__name__}.SaltedCompressor"):
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
}


@pytest.mark.parametrize("case", PAYLOADS)
@pytest.mark.parametrize("path", ["/get/x/", "/a/get/x/"])
def test_a_payload_that_does_not_decode_is_an_empty_session(
    case: str, path: str, ann: Any, sign_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    browser = sign_in(ann)
    connection = connection_for("default")
    key = connection.keys.payload(browser.cookies["sessionid"].value)
    connection.client.set(key, PAYLOADS[case], ex=60)
    response = browser.get(path)
    assert (response.status_code, response.content) == (200, b"")
    (record,) = [r for r in caplog.records if r.name.startswith("django.security")]
    assert record.levelname == "WARNING"
    assert "corrupted" in record.getMessage()


def test_listing_unpickles_nothing(ann: Any) -> None:
    with caches(SERIALIZER="django_redis.serializers.pickle.PickleSerializer"):
        connection = connection_for("default")
        key = connection.keys.payload(str(sign_in(ann).session_key))
        connection.client.set(key, pickle.dumps({"bomb": Bomb()}), ex=60)
        sessions = UserSessions(ann)
        (info,) = sessions.list()
        assert sessions.end(info.session_id)
    assert not Bomb.went_off


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
def broken_handler(request: pytest.FixtureRequest, ann: Any) -> Iterator[SessionStore]:
    """A session of Ann's from before her handler broke."""
    store = sign_in(ann)
    handler = HANDLERS[request.param]
    expire_check.connect(handler)
    yield store
    expire_check.disconnect(handler)


def test_a_broken_handler_lets_nobody_in_and_ends_nothing(
    ann: Any, broken_handler: SessionStore
) -> None:
    with pytest.raises((InvalidLimits, LookupError)):
        sign_in(ann)
    assert [info.session_id for info in UserSessions(ann).list()]
    assert SessionStore(broken_handler.session_key).load()
    assert LoggedSession.objects.get().active


@override_settings(EXPIRE_TOUCH_INTERVAL=0)
def test_a_broken_handler_signs_nobody_out(
    ann: Any, broken_handler: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = SessionStore(broken_handler.session_key)
    store["x"] = 1
    store.save()
    assert SessionStore(store.session_key)["x"] == 1
    assert "expire_check failed" in caplog.text


def test_a_broken_handler_is_a_server_error_at_the_login_page(
    ann: Any, broken_handler: SessionStore
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


@pytest.mark.parametrize(
    "name",
    ["EXPIRE_MAX_USERS", "EXPIRE_LOG_LIMIT", "EXPIRE_POLICY", "EXPIRE_TOUCH_INTERVAL"],
)
def test_a_wrong_setting_lets_nobody_in(ann: Any, name: str) -> None:
    """A server may have been started without the checks."""
    with override_settings(**{name: "refuse"}), pytest.raises(InvalidSetup, match=name):
        sign_in(ann)
    assert LoggedSession.objects.count() == 0
    assert UserSessions(ann).list() == []


# Redis.


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A Redis to do things to."""
    with another_server() as server, caches(server.url):
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


REQUESTS = ["/get/x/", "/set/x/1/", "/whoami/", "/a/get/x/", "/a/set/x/1/"]


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
        caches(address, **options),
        override_settings(SESSION_SAVE_EVERY_REQUEST=every_request),
    ):
        response = browser.get(path)
    assert response.status_code == 500
    assert "sessionid" not in response.cookies


def test_an_outage_says_what_it_is(tmp_path: Path) -> None:
    with down(tmp_path) as address, caches(address):
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
    connection = connection_for("default")
    dead = "d" * 32
    connection.client.zadd(connection.keys.index(str(ann.pk)), {dead: 1})
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


def test_sessions_are_kept_on_and_read_from_the_primary(ann: Any) -> None:
    """Only it knows what is live; the replica of this test knows nothing at all."""
    with (
        another_server() as primary,
        another_server() as replica,
        caches(f"{primary.url},{replica.url}"),
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


@contextmanager
def read_only() -> Iterator[None]:
    """Refuse what writes, as a read-only database does."""

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "expire_sessions" in sql and not sql.startswith("SELECT"):
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    with database.execute_wrapper(refuse):
        yield


@contextmanager
def another_user_model() -> Iterator[None]:
    """Use a user model that the history was not made for."""
    with override_settings(AUTH_USER_MODEL="accounts.UuidUser"):
        yield


FAILURES = {
    "no table": without_a_table,
    "read-only": read_only,
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
        SessionStore.clear_expired()
    errors = [r for r in caplog.records if r.name == "expire_sessions"]
    assert errors
    assert {record.levelname for record in errors} == {"ERROR"}


def test_a_user_model_that_is_not_the_historys_breaks_no_login(
    ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with another_user_model():
        user = get_user_model()(username="new", pk="1" * 32)
        store = SessionStore()
        store["_auth_user_id"] = str(user.pk)
        store.save()
    assert SessionStore(store.session_key).load()
    assert "history" in caplog.text


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
