"""No error report holds a session key: it would sign its reader in."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import sentry_sdk
from asgiref.sync import async_to_sync
from django.contrib.auth import login
from django.db import OperationalError
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.views.debug import ExceptionReporter
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from sentry_sdk.transport import Transport

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import (
    StoreUnavailable,
    SweepIncomplete,
)
from expire_sessions.flows import held
from expire_sessions.models import LoggedSession, LoggedSessionQuerySet
from expire_sessions.protocol.session_keys import new_session_key, session_id
from expire_sessions.sessions import UserSessions
from tests.asking import index_name, redis_client
from tests.caches import other_cache
from tests.server_plugin import another_server
from tests.sessions import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_retries")]

READ_ONLY = "min-replicas-to-write"


@pytest.fixture(params=["away", "mute", "refusing"])
def broken(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[], None]]:
    """A server of one's own, which is broken from a call on."""
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    options = {"SOCKET_TIMEOUT": 0.2, "CONNECTION_POOL_KWARGS": {"retry": retry}}
    with another_server() as own:

        def break_it() -> None:
            with redis.Redis(unix_socket_path=str(own.socket)) as client:
                if request.param == "away":
                    own.stop()
                elif request.param == "mute":
                    client.execute_command("CLIENT", "PAUSE", 5000, "ALL")
                else:
                    client.config_set(READ_ONLY, 1)
                    client.config_set("maxmemory", 1)

        with other_cache(own.url, **options):
            yield break_it


def report_on(error: BaseException) -> str:
    """Return Django's error report, with all it shows while developing.

    Without the frames of this file: they hold the keys on purpose.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    error = error.with_traceback(frames)
    request = RequestFactory().get("/")
    with override_settings(DEBUG=True):
        reporter = ExceptionReporter(request, type(error), error, error.__traceback__)
        html = reporter.get_traceback_html()
    return html + reporter.get_traceback_text()


def read(store: SessionStore, user: Any) -> None:
    SessionStore(store.session_key).load()


def change(store: SessionStore, user: Any) -> None:
    store["x"] = 1
    store.save()


def rotate(store: SessionStore, user: Any) -> None:
    store.cycle_key()


def log_out(store: SessionStore, user: Any) -> None:
    store.flush()


def delete(store: SessionStore, user: Any) -> None:
    SessionStore().delete(store.session_key)


def look(store: SessionStore, user: Any) -> None:
    SessionStore().exists(store.session_key)


def end(store: SessionStore, user: Any) -> None:
    UserSessions(user).end(session_id(str(store.session_key)))


def end_all(store: SessionStore, user: Any) -> None:
    UserSessions(user).end_all()


def end_others(store: SessionStore, user: Any) -> None:
    UserSessions(user, store.session_key).end_others()


def show(store: SessionStore, user: Any) -> None:
    UserSessions(user, store.session_key).list()


def sign_in_again(store: SessionStore, user: Any) -> None:
    request = HttpRequest()
    request.session = SessionStore()
    login(request, user)
    request.session.save()


def read_async(store: SessionStore, user: Any) -> None:
    asyncio.run(SessionStore(store.session_key).aload())


def change_async(store: SessionStore, user: Any) -> None:
    store["x"] = 1
    asyncio.run(store.asave())


def rotate_async(store: SessionStore, user: Any) -> None:
    asyncio.run(store.acycle_key())


def log_out_async(store: SessionStore, user: Any) -> None:
    asyncio.run(store.aflush())


def delete_async(store: SessionStore, user: Any) -> None:
    asyncio.run(SessionStore().adelete(store.session_key))


def look_async(store: SessionStore, user: Any) -> None:
    asyncio.run(SessionStore().aexists(store.session_key))


READING = [read, look, show, end_others, read_async, look_async]

CALLS = [
    *READING, change, rotate, log_out, delete, end, end_all, sign_in_again,
    change_async, rotate_async, log_out_async, delete_async,
]  # fmt: skip


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every session key that is drawn."""
    drawn: list[str] = []

    def draw() -> str:
        drawn.append(new_session_key())
        return drawn[-1]

    monkeypatch.setattr(held, "new_session_key", draw)
    return drawn


@pytest.mark.parametrize("call", CALLS)
def test_djangos_report_holds_no_session_key(
    ann: Any,
    broken: Callable[[], None],
    call: Callable[[SessionStore, Any], None],
    keys: list[str],
) -> None:
    """Not even the one that it shows while developing."""
    store = sign_in(ann)
    store.get("x")
    broken()
    error: StoreUnavailable | None = None
    try:
        call(store, ann)
    except StoreUnavailable as raised:
        error = raised
    if error is None:
        assert call in READING
        return
    report = report_on(error)
    assert type(error).__name__ in report
    assert type(error.__cause__).__name__ in report
    assert not [key for key in keys if key in report]


class Kept(Transport):
    """Keep what Sentry would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.sent += [item.get_bytes().decode() for item in envelope.items]


README = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")


def example() -> dict[str, Any]:
    """Run the README's example, and return what it passes to ``sentry_sdk.init``."""
    code = README.split("```python\nimport re\n\nimport sentry_sdk\n")[1].split("```")[
        0
    ]
    passed: dict[str, Any] = {}
    names = {"re": re, "sentry_sdk": SimpleNamespace(init=passed.update)}
    exec(code, names)  # noqa: S102 - it is our own
    return passed


@pytest.fixture(params=[False, True], ids=["", "with personal data"])
def sentry(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Have Sentry report to a list, set up as in the README's example."""
    kept = Kept()
    options = {**example(), "dsn": "http://key@127.0.0.1:1/1", "traces_sample_rate": 1}
    options["send_default_pii"] = request.param
    sentry_sdk.init(**options, transport=kept)
    yield kept
    sentry_sdk.get_client().close()
    sentry_sdk.init()


@pytest.mark.filterwarnings("ignore:The send_default_pii option")
@pytest.mark.parametrize("site", ["", "/a"])
def test_sentry_is_sent_no_session_key(
    ann: Any, broken: Callable[[], None], sentry: Kept, site: str
) -> None:
    browser = Client(raise_request_exception=False)
    browser.force_login(ann)
    key = browser.cookies["sessionid"].value
    broken()
    assert browser.get(f"{site}/set/x/1/").status_code == 500
    sentry_sdk.flush()
    assert [sent for sent in sentry.sent if "gave no usable answer" in sent]
    assert not [sent for sent in sentry.sent if key in sent]


def fail(*args: object, **kwargs: object) -> None:
    raise OperationalError("no database today")


def test_a_database_that_fails_shows_no_session_key_either(
    ann: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A page that lists sessions, and a login that puts its rows right."""
    store = sign_in(ann)
    LoggedSession.objects.all().delete()
    monkeypatch.setattr(LoggedSessionQuerySet, "for_user", fail)
    with pytest.raises(OperationalError) as raised:
        UserSessions(ann).list()
    assert str(store.session_key) not in report_on(raised.value)
    monkeypatch.undo()
    monkeypatch.setattr(LoggedSessionQuerySet, "bulk_create", fail)
    with pytest.raises(SweepIncomplete) as swept:
        SessionStore.clear_expired()
    assert str(store.session_key) not in report_on(swept.value)
    assert swept.value.__cause__ is not None
    with override_settings(EXPIRE_MAX_USERS=2):
        sign_in(ann)
    (record,) = [
        r for r in caplog.records if r.name == "expire_sessions" and r.exc_info
    ]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OperationalError)
    assert str(store.session_key) not in report_on(record.exc_info[1])


@pytest.mark.parametrize("method", ["aexists", "adelete"])
def test_async_methods_that_take_a_key_hide_it_too(
    ann: Any, broken: Callable[[], None], method: str
) -> None:
    store = sign_in(ann)
    broken()
    error: StoreUnavailable | None = None
    try:
        async_to_sync(getattr(SessionStore(), method))(store.session_key)
    except StoreUnavailable as raised:
        error = raised
    if error is None:
        assert method == "aexists", "it only reads"
    else:
        assert str(store.session_key) not in report_of_package(error)


def report_of_package(error: BaseException) -> str:
    """Return the variables of the frames of this package and of asgiref's threads."""
    found = []
    frames = error.__traceback__
    while frames is not None:
        if "expire_sessions" in frames.tb_frame.f_code.co_filename:
            found.append(repr(frames.tb_frame.f_locals))
        frames = frames.tb_next
    return "".join(found)


def test_no_message_of_redis_py_holds_a_key(
    ann: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A pipeline's error names the command: it is not the one that is raised."""
    store = sign_in(ann)
    redis_client().rename(index_name(ann), "kept")
    redis_client().set(index_name(ann), "no index")
    for call in (UserSessions(ann).list, UserSessions(ann).end_all, store.save):
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "WRONGTYPE" in str(raised.value)
        assert str(store.session_key) not in report_on(raised.value)
    assert str(store.session_key) not in caplog.text
