"""Whatever is in Redis in place of a payload: an empty session, and a warning."""

import os
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django_redis.compressors.base import BaseCompressor

from expire_sessions.backend import SessionStore
from expire_sessions.sessions import UserSessions
from tests.asking import put_payload
from tests.caches import other_cache
from tests.sessions import key_of, sign_in

pytestmark = pytest.mark.django_db

PICKLE = "django_redis.serializers.pickle.PickleSerializer"


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
