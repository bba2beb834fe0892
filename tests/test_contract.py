"""Django's contract of a session store, through the sync and the async methods.

Each case is written once, for an ``Api`` that calls the one or the other.
"""

import copy
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.cache import caches
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import StoreUnavailable
from expire_sessions.flows import held

WITHOUT_TWIN = {"encode", "decode", "get_session_cookie_age", "is_empty", "clear"}
"""Methods that Django has in one form only: they ask nobody."""


class Api:
    """A store, its methods called by their names."""

    def __init__(self, store: SessionStore) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, "__setitem__" if name == "set" else name)

    def again(self) -> "Api":
        """Return the same session in a store of its own, as the next request has."""
        return type(self)(SessionStore(self.store.session_key))

    def forget_access(self) -> None:
        """Let it look as if nothing was done yet."""
        self.store.accessed = self.store.modified = False


class AsyncApi(Api):
    """The same through the async twins."""

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self.store, f"a{name}", None)
        if twin is None or name in WITHOUT_TWIN:
            return getattr(self.store, name)
        return async_to_sync(twin)


@pytest.fixture(params=[Api, AsyncApi], ids=["sync", "async"])
def session(request: pytest.FixtureRequest) -> Iterator[Api]:
    """A session that is not saved yet."""
    api: Api = request.param(SessionStore())
    yield api
    api.delete()


# Data.


def test_a_new_session_is_neither_accessed_nor_modified(session: Api) -> None:
    assert not session.store.modified
    assert not session.store.accessed


def test_what_is_not_there_is_none_or_the_default(session: Api) -> None:
    assert session.get("cat") is None
    assert session.get("cat", "dog") == "dog"
    assert session.store.accessed
    assert not session.store.modified


def test_what_is_set_is_there(session: Api) -> None:
    session.set("cat", "dog")
    assert session.store.modified
    assert session.get("cat") == "dog"


def test_the_operators_do_the_same() -> None:
    store = SessionStore()
    store["cat"] = "dog"
    assert "cat" in store
    assert store["cat"] == "dog"
    store.modified = False
    del store["cat"]
    assert store.modified
    assert "cat" not in store
    with pytest.raises(KeyError):
        store["cat"]


def test_pop_takes_it_away(session: Api) -> None:
    session.set("cat", "dog")
    session.forget_access()
    assert session.pop("cat") == "dog"
    assert session.store.accessed
    assert session.store.modified
    assert session.get("cat") is None


@pytest.mark.parametrize("given", [("default",), ("",), (None,)])
def test_pop_of_nothing_gives_the_default(session: Api, given: tuple[Any]) -> None:
    assert session.pop("cat", *given) == given[0]
    assert session.store.accessed
    assert not session.store.modified


def test_pop_of_nothing_without_a_default_is_an_error(session: Api) -> None:
    with pytest.raises(KeyError):
        session.pop("cat")
    assert not session.store.modified


def test_setdefault_sets_only_what_is_missing(session: Api) -> None:
    assert session.setdefault("cat", "dog") == "dog"
    assert session.store.modified
    session.forget_access()
    assert session.setdefault("cat", "mouse") == "dog"
    assert not session.store.modified


def test_update_takes_a_dictionary(session: Api) -> None:
    session.update({"cat": 1, "dog": 2})
    assert session.store.accessed
    assert session.store.modified
    assert (session.get("cat"), session.get("dog")) == (1, 2)


def test_has_key_looks_only(session: Api) -> None:
    session.set("cat", 1)
    session.forget_access()
    assert session.has_key("cat")
    assert not session.has_key("dog")
    assert session.store.accessed
    assert not session.store.modified


@pytest.mark.parametrize(
    "method,expected",
    [("keys", ["cat"]), ("values", [1]), ("items", [("cat", 1)])],
)
def test_views_look_only(session: Api, method: str, expected: list[Any]) -> None:
    session.set("cat", 1)
    session.forget_access()
    assert list(getattr(session, method)()) == expected
    assert session.store.accessed
    assert not session.store.modified


def test_clear_empties(session: Api) -> None:
    session.set("cat", 1)
    session.forget_access()
    session.clear()
    assert list(session.items()) == []
    assert session.store.accessed
    assert session.store.modified


def test_the_test_cookie_comes_and_goes(session: Api) -> None:
    assert not session.test_cookie_worked()
    session.set_test_cookie()
    assert session.test_cookie_worked()
    session.delete_test_cookie()
    assert not session.test_cookie_worked()
    assert session.store.modified


def test_empty_is_what_has_neither_key_nor_data(session: Api) -> None:
    assert session.is_empty()
    session.set("cat", 1)
    assert not session.is_empty()
    session.clear()
    session.save()
    assert not session.is_empty()


# Saving and loading.


def test_a_saved_session_exists(session: Api) -> None:
    session.save()
    assert session.exists(session.store.session_key)


def test_no_session_exists_under_no_key(session: Api) -> None:
    assert not session.exists(None)
    assert not session.exists("")
    assert not session.exists("x" * 32)


def test_what_was_saved_is_loaded(session: Api) -> None:
    session.update({"cat": "dog", "numbers": [1, 2], "none": None, "ü": "☃"})
    session.save()
    expected = {"cat": "dog", "numbers": [1, 2], "none": None, "ü": "☃"}
    assert session.again().load() == expected
    assert dict(session.again().items()) == expected


def test_a_later_save_replaces(session: Api) -> None:
    session.set("cat", 1)
    session.save()
    later = session.again()
    later.set("cat", 2)
    later.save()
    assert session.again().get("cat") == 2


def test_saving_without_loading_keeps_the_data(session: Api) -> None:
    session.set("cat", 1)
    session.save()
    session.again().save()
    assert session.again().get("cat") == 1


def test_load_without_a_key_is_empty(session: Api) -> None:
    assert session.load() == {}
    assert session.store.session_key is None


def test_load_of_what_is_not_there_makes_no_session(session: Api) -> None:
    stranger = type(session)(SessionStore("someunknownkey"))
    assert stranger.load() == {}
    assert stranger.store.session_key is None
    assert not session.exists("someunknownkey")


def test_create_saves_under_a_key_of_its_own(session: Api) -> None:
    session.create()
    first = session.store.session_key
    assert session.store.modified
    assert session.exists(first)
    session.create()
    assert session.store.session_key != first


def test_create_never_takes_an_existing_key(
    session: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.create()
    taken, free = str(session.store.session_key), "f" * 32
    drawn = iter([taken, taken, free])
    monkeypatch.setattr(held, "new_session_key", lambda: next(drawn))
    other = type(session)(SessionStore())
    other.create()
    assert other.store.session_key == free


def test_create_gives_up_where_every_key_is_taken(
    session: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.create()
    taken = str(session.store.session_key)
    monkeypatch.setattr(held, "new_session_key", lambda: taken)
    with pytest.raises(StoreUnavailable):
        type(session)(SessionStore()).create()


def test_what_must_be_created_must_not_exist(session: Api) -> None:
    session.create()
    with pytest.raises(CreateError):
        session.save(must_create=True)
    with pytest.raises(CreateError):
        session.again().save(must_create=True)


def test_what_was_deleted_elsewhere_is_not_saved(session: Api) -> None:
    session.set("cat", 1)
    session.save()
    session.again().delete()
    session.set("cat", 2)
    with pytest.raises(UpdateError):
        session.save()
    assert session.again().load() == {}


def test_a_key_that_was_never_there_is_not_saved(session: Api) -> None:
    with pytest.raises(UpdateError):
        type(session)(SessionStore("someunknownkey")).save()
    assert not session.exists("someunknownkey")


@pytest.mark.parametrize("key", ["", "1", "1234567", "x" * 129, "ü" * 32, "\udcff" * 9])
def test_a_key_that_cannot_be_one_is_replaced(session: Api, key: str) -> None:
    other = type(session)(SessionStore(key))
    assert not other.store.session_key
    other.save()
    assert other.exists(other.store.session_key)
    assert other.store.session_key != key
    assert other.get("cat") is None
    other.delete()
    other.delete(key)


def test_the_key_is_read_only(session: Api) -> None:
    with pytest.raises(AttributeError):
        session.store.session_key = "x" * 32


# Ending.


def test_delete_without_a_key_does_nothing(session: Api) -> None:
    session.delete()
    session.delete(None)


def test_delete_ends_this_or_another_session(session: Api) -> None:
    session.save()
    other = type(session)(SessionStore())
    other.save()
    session.delete(other.store.session_key)
    assert not session.exists(other.store.session_key)
    assert session.exists(session.store.session_key)
    session.delete()
    assert not session.exists(session.store.session_key)


def test_flush_ends_it_and_starts_anew(session: Api) -> None:
    session.set("cat", 1)
    session.save()
    before = session.store.session_key
    session.forget_access()
    session.flush()
    assert not session.exists(before)
    assert session.store.session_key is None
    assert session.store.modified
    assert session.store.accessed
    assert list(session.items()) == []


def test_flush_of_what_was_not_loaded_ends_it(session: Api) -> None:
    session.save()
    session.again().flush()
    assert not session.exists(session.store.session_key)


def test_cycle_key_keeps_the_data_under_another_key(session: Api) -> None:
    session.update({"a": "b", "c": "d"})
    session.save()
    before, data = session.store.session_key, dict(session.items())
    session.cycle_key()
    assert session.store.session_key != before
    assert dict(session.items()) == data
    assert session.again().load() == data
    assert not session.exists(before)
    assert session.store.modified


def test_cycle_key_loads_what_was_not_loaded(session: Api) -> None:
    session.update({"a": "b"})
    session.save()
    other = session.again()
    other.cycle_key()
    assert dict(other.items()) == {"a": "b"}
    other.delete()


def test_cycle_key_before_the_first_save_is_made_true_by_it(session: Api) -> None:
    session.set("a", "b")
    session.cycle_key()
    key = session.store.session_key
    assert key is not None
    session.save()
    assert session.store.session_key == key
    assert session.again().get("a") == "b"


def test_clear_expired_keeps_what_is_live(session: Api, db: None) -> None:
    session.set("cat", 1)
    session.save()
    session.clear_expired()
    call_command("clearsessions")
    assert session.again().get("cat") == 1


# Expiry.


def test_the_age_is_the_setting(session: Api) -> None:
    assert session.get_session_cookie_age() == settings.SESSION_COOKIE_AGE
    assert session.get_expiry_age() == settings.SESSION_COOKIE_AGE
    session.set_expiry(0)
    assert session.get_expiry_age() == settings.SESSION_COOKIE_AGE
    session.set_expiry(10)
    session.set_expiry(None)
    session.set_expiry(None)
    assert session.get_expiry_age() == settings.SESSION_COOKIE_AGE


def test_the_age_of_a_number_of_seconds(session: Api) -> None:
    now = timezone.now()
    session.set_expiry(10)
    assert session.get_expiry_date(modification=now) == now + timedelta(seconds=10)
    assert session.get_expiry_age(modification=now) == 10


@pytest.mark.parametrize("as_date", [True, False])
def test_the_age_of_a_date_and_of_a_timedelta(session: Api, as_date: bool) -> None:
    ten = timedelta(seconds=10)
    before = timezone.now()
    session.set_expiry(before + ten if as_date else ten)
    after = timezone.now()
    date: datetime = session.get_expiry_date()
    assert before + ten <= date <= after + ten
    assert session.get_expiry_age(modification=date - ten) == 10
    assert session.get_expiry_age(modification=before, expiry=before + ten) == 10
    assert session.get_expiry_date(modification=before, expiry=7) == (
        before + timedelta(seconds=7)
    )


def test_a_date_survives_saving(session: Api) -> None:
    date = timezone.now() + timedelta(seconds=100)
    session.set_expiry(date)
    session.save()
    assert session.again().get_expiry_date() == date


@pytest.mark.parametrize("setting", [True, False])
def test_expiry_at_browser_close(session: Api, setting: bool) -> None:
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=setting):
        session.set_expiry(10)
        assert not session.get_expire_at_browser_close()
        session.set_expiry(0)
        assert session.get_expire_at_browser_close()
        session.set_expiry(None)
        assert session.get_expire_at_browser_close() is setting


@pytest.mark.parametrize("saved_before", [True, False])
def test_an_age_in_the_past_ends_it(session: Api, saved_before: bool) -> None:
    session.set("cat", 1)
    if saved_before:
        session.save()
    session.set_expiry(-timedelta(seconds=10))
    session.save()
    assert session.again().load() == {}
    assert not session.exists(session.store.session_key)


# Encoding, which projects use for other things than this engine does.


def test_what_is_encoded_can_be_decoded(session: Api) -> None:
    data = {"a test key": "a test value"}
    assert session.decode(session.encode(data)) == data


@pytest.mark.parametrize("bad", ["", "flaskdj:alkdjf", "a:b:c"])
def test_what_was_tampered_with_decodes_to_nothing(
    session: Api, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert session.decode(bad) == {}
    assert "corrupted" in caplog.text


def test_no_public_method_of_django_is_left_out() -> None:
    """A method that a new Django brings is noticed here."""
    public = {name for name in dir(SessionBase) if not name.startswith("_")}
    methods = {name for name in public if callable(getattr(SessionBase, name))}
    twins = {name for name in methods if name[0] == "a" and name[1:] in methods}
    twins.add("aset")  # of an operator
    called = set(re.findall(r"\.(\w+)\(", Path(__file__).read_text(encoding="utf-8")))
    called |= {"keys", "values", "items"}  # by their names, in one test
    assert methods - twins <= called
    assert {f"a{name}" for name in methods - twins - WITHOUT_TWIN} <= twins


@pytest.mark.parametrize("key", ["k" * 32, "short", None])
def test_a_new_store_is_what_a_new_session_base_is(key: str | None) -> None:
    """It does without the constructor of Django's, which may come to do more."""
    theirs, ours = SessionBase(key), SessionStore(key)
    names = {name for name in vars(theirs) if not name.startswith("_SessionBase__")}
    for name in {*names, "session_key", "_session_key"}:
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.decode(ours.encode({"a": 1})) == {"a": 1}


def test_a_copy_goes_its_own_way(session: Api) -> None:
    session.set("x", 1)
    session.save()
    clone = copy.copy(session.store)
    type(session)(clone).flush()
    assert clone.session_key is None
    assert session.store.session_key is not None


def test_the_name_in_the_cache_is_djangos(session: Api) -> None:
    """Projects read a session past its store; Django's cache backend has both names."""
    name = session.cache_key
    name = name() if callable(name) else name
    assert session.store.cache_key_prefix == "django.contrib.sessions.cache"
    assert name == f"{session.store.cache_key_prefix}{session.store.session_key}"
    session.set("x", 1)
    session.save()
    assert caches["default"].get(name) == {"x": 1}
    assert session.again().get("x") == 1
