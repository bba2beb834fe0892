"""Moving in from Django's cache backend and out again: nobody is signed out."""

from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cache import SessionStore as DjangoStore
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession
from expire_sessions.transport.connections import forget_connections
from tests.asking import index_name, payload_name, payload_of, redis_client
from tests.sessions import live, sign_in

pytestmark = pytest.mark.django_db

OURS = "expire_sessions.backend"
DJANGOS = "django.contrib.sessions.backends.cache"

HOUR = 3600

JSON = {"SERIALIZER": "django_redis.serializers.json.JSONSerializer"}
PICKLE = {"SERIALIZER": "django_redis.serializers.pickle.PickleSerializer"}
ZLIB = {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"}

SETUPS: dict[str, dict[str, Any]] = {
    "JSON": {"OPTIONS": JSON},
    "pickle": {"OPTIONS": PICKLE},
    "zlib": {"OPTIONS": {**JSON, **ZLIB}},
    "pickle and zlib": {"OPTIONS": {**PICKLE, **ZLIB}},
    "a prefix and a version": {"OPTIONS": JSON, "KEY_PREFIX": "{a}*", "VERSION": 3},
}


@pytest.fixture(autouse=True, params=SETUPS)
def cache(request: pytest.FixtureRequest) -> Any:
    """The session cache, set up in one of these ways."""
    changed = {**settings.CACHES["default"], **SETUPS[request.param]}
    with override_settings(CACHES={"default": changed}):
        yield


class Browser:
    """Cookies, and a site that may run on either engine at each request."""

    def __init__(self) -> None:
        self._cookies = Client().cookies

    def get(self, path: str, engine: str = OURS) -> str:
        """Ask for a page; a client keeps the middleware it began with."""
        with override_settings(SESSION_ENGINE=engine):
            client = Client()
            client.cookies = self._cookies
            return client.get(path).content.decode()

    def log_in(self, engine: str = OURS) -> None:
        """Sign Ann in."""
        self.get("/login/?username=ann&password=ann", engine)


def who(browser: Browser, engine: str = OURS) -> str:
    """Return whom a browser's next request is signed in as."""
    return browser.get("/whoami/", engine)


def with_django(user: Any) -> Browser:
    """Sign in while Django's backend is the engine."""
    browser = Browser()
    browser.log_in(DJANGOS)
    browser.get("/set/before/1/", DJANGOS)
    return browser


def age(key: str | None) -> int:
    """Return the seconds that a payload has left."""
    return int(redis_client().ttl(payload_name(key)))


def test_both_write_the_same_bytes_under_the_same_key() -> None:
    data = {"a": [1, "x" * 100, None], "ü": "☃"}
    ours, djangos = SessionStore(), DjangoStore()
    for store in (ours, djangos):
        store.update(data)
        store.set_expiry(HOUR)
        store.save()
        assert age(store.session_key) == pytest.approx(HOUR, abs=60)
    assert payload_of(ours.session_key) == payload_of(djangos.session_key)
    assert DjangoStore(ours.session_key).load() == dict(ours.items())
    assert SessionStore(djangos.session_key).load() == dict(djangos.items())


@pytest.mark.parametrize("path", ["/whoami/", "/a/whoami/"])
def test_a_session_of_before_stays_signed_in_and_joins_at_its_next_request(
    ann: Any, path: str
) -> None:
    browser = with_django(ann)
    assert live(ann) == 0
    assert browser.get(path) == "ann"
    assert live(ann) == 1
    assert browser.get("/get/before/") == "1"


def test_sessions_of_before_count(ann: Any) -> None:
    """The one that was seen last stays."""
    browsers = [with_django(ann) for _ in range(3)]
    assert who(browsers[0]) == "ann"
    assert who(browsers[1]) == "ann"
    assert who(browsers[0]) == ""
    with override_settings(EXPIRE_MAX_USERS=2):
        assert who(browsers[2]) == "ann"
        assert who(browsers[1]) == "ann"
    assert live(ann) == 2


@override_settings(EXPIRE_TOUCH_INTERVAL=None)
def test_a_session_of_before_joins_without_touches_too(
    ann: Any, server: redis.Redis
) -> None:
    """And one that is a member is not marked seen by that."""
    browser = with_django(ann)
    assert who(browser) == "ann"
    index = index_name(ann)
    joined = server.zrange(index, 0, -1, withscores=True)
    assert len(joined) == live(ann) == 1
    forget_connections()  # as a process that has not seen it yet
    assert who(browser) == "ann"
    assert server.zrange(index, 0, -1, withscores=True) == joined


def test_a_session_of_before_signs_out_and_moves_like_any_other(ann: Any) -> None:
    browser = with_django(ann)
    browser.get("/password/?password=new")
    assert who(browser) == "ann"
    assert live(ann) == 1
    browser.get("/logout/")
    assert live(ann) == 0
    row = LoggedSession.objects.get()
    assert (row.end_reason, row.ip) == ("logout", None), "only its end was seen"


def test_a_login_ends_sessions_of_before_that_have_joined(ann: Any) -> None:
    before, after = with_django(ann), Browser()
    assert who(before) == "ann"
    after.log_in()
    assert (who(before, DJANGOS), who(after, DJANGOS)) == ("", "ann")


def test_back_again_nobody_is_signed_out(ann: Any) -> None:
    browser = Browser()
    browser.log_in()
    browser.get("/set/x/1/")
    assert who(browser, DJANGOS) == "ann"
    assert browser.get("/get/x/", DJANGOS) == "1"
    browser.get("/set/x/2/", DJANGOS)
    assert who(browser) == "ann"
    assert browser.get("/get/x/") == "2"
    assert live(ann) == 1


@override_settings(EXPIRE_MAX_USERS=2)
def test_both_engines_serve_one_site_during_a_deploy(ann: Any) -> None:
    """Each request of each browser goes to the one or the other."""
    browsers = [with_django(ann), Browser()]
    browsers[1].log_in()
    for number in range(4):
        for browser in browsers:
            browser.get(f"/set/old/{number}/", DJANGOS)
            browser.get(f"/set/new/{number}/")
            assert browser.get("/get/old/") == str(number)
            assert browser.get("/get/new/", DJANGOS) == str(number)
            assert who(browser, DJANGOS) == who(browser) == "ann"
    assert live(ann) == 2


def test_what_django_ended_is_dropped_at_the_next_login(ann: Any) -> None:
    store = sign_in(ann)
    DjangoStore(store.session_key).delete()
    assert SessionStore(store.session_key).get(SESSION_KEY) is None
    with override_settings(EXPIRE_MAX_USERS=2):
        sign_in(ann)
    assert live(ann) == 1
    reasons = LoggedSession.objects.order_by("pk").values_list("end_reason", flat=True)
    assert list(reasons) == ["expired", ""]
