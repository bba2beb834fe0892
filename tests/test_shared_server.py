"""Several caches on one server do not mix.

Run for user models with an integer, a UUID and an awkward string for a key.
"""

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.transport.connections import connection_for
from tests.asking import index_name, live_keys, redis_client
from tests.sessions import sign_in as sign_in_store

pytestmark = pytest.mark.django_db


def reversed_key(key: str, prefix: str, version: int) -> str:
    """Name keys the other way round."""
    return f"{version}|{key}|{prefix}"


@pytest.mark.parametrize(
    "changes",
    [
        {"KEY_PREFIX": "other:{x}*?[a]"},
        {"VERSION": 2},
        {"KEY_FUNCTION": f"{__name__}.reversed_key", "KEY_PREFIX": "^-\\"},
    ],
    ids=["prefix", "version", "key function"],
)
def test_caches_on_one_server_do_not_mix(ann: Any, changes: dict[str, Any]) -> None:
    here = sign_in_store(ann)
    other = {**settings.CACHES["default"], **changes}
    with override_settings(
        CACHES={**settings.CACHES, "other": other}, SESSION_CACHE_ALIAS="other"
    ):
        there = sign_in_store(ann)
        assert SessionStore(here.session_key).load() == {}
        SessionStore.clear_expired()
        assert live_keys(ann, "other") == [there.session_key]
        dead = index_name("nobody", "other")
        redis_client("other").zadd(dead, {"dead": 1})
        SessionStore.clear_expired()
        assert not redis_client("other").exists(dead)
    assert live_keys(ann) == [here.session_key]


@pytest.mark.parametrize("user_id", ["1", "a:{b}%2F*?[c]", "ü☃ \\", "%41"])
def test_the_name_of_an_index_gives_the_user_back(user_id: str) -> None:
    keys = connection_for("default").keys
    name = keys.index(user_id).rpartition(":")[2]
    assert not set(name) & set(":{}*?[]\\ ")
    assert keys.user_id(keys.index(user_id)) == user_id
