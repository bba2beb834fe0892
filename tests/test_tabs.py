"""Several tabs of one browser: none undoes what another wrote.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from tests.sessions import request_of
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db

SignIn = Callable[..., Client]


@override_settings(SESSION_SAVE_EVERY_REQUEST=True)
def test_two_tabs_that_write_different_things_keep_both(
    ann: Any, sign_in: SignIn
) -> None:
    browser = sign_in(ann)
    browser.get("/set/one/1/")
    browser.get("/set/two/2/")
    assert browser.get("/get/one/").content == b"1"
    assert browser.get("/get/two/").content == b"2"


def test_a_tab_that_only_reads_does_not_undo_what_another_wrote(ann: Any) -> None:
    """It has loaded before the other saved, and is saved after it."""
    store = sign_in_store(ann)
    reading, writing = request_of(store).session, request_of(store).session
    writing["x"] = 1
    writing.save()
    reading.save()
    assert SessionStore(store.session_key)["x"] == 1


def test_a_change_inside_a_value_is_saved(ann: Any) -> None:
    """SESSION_SAVE_EVERY_REQUEST saves what does not look modified."""
    store = sign_in_store(ann)
    store["list"] = [1]
    store.save()
    other = request_of(store).session
    other["list"].append(2)
    other.modified = False
    other.save()
    assert SessionStore(store.session_key)["list"] == [1, 2]
