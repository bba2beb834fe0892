"""The session key is nowhere but in Redis: it would sign its reader in."""

from typing import Any

import pytest
from django.apps import apps
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from expire_sessions.backend import SessionStore
from expire_sessions.flows import held
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import new_session_key, session_id
from tests.asking import put_payload
from tests.ends import ENDS

pytestmark = pytest.mark.django_db

Told = list[tuple[str, dict[str, Any]]]


def break_the_history(user: Any) -> None:
    """Sign in where no row can be written, then break the payload: both are logged."""
    taken = SessionStore()
    taken.create()
    taken["_auth_user_id"] = str(user.pk)

    def refuse(*args: object) -> None:
        raise OperationalError("no database today")

    with connection.execute_wrapper(refuse):
        taken.save()
    LoggedSession.objects.create(
        user=user, session_id=session_id(str(taken.session_key))
    )
    put_payload(taken.session_key, b"no payload")
    SessionStore(taken.session_key).load()


def test_the_session_key_is_nowhere_but_in_redis(
    ann: Any,
    bob: Any,
    told: Told,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not in the database, in what is sent to it, in signals or in logs."""
    caplog.set_level(0)
    keys: list[str] = []

    def noted_key() -> str:
        keys.append(new_session_key())
        return keys[-1]

    monkeypatch.setattr(held, "new_session_key", noted_key)
    with CaptureQueriesContext(connection) as queries:
        for _, end in ENDS:
            ann.set_password("ann")
            ann.save()
            browser = Client()
            browser.get("/set/x/1/")
            browser.get("/login/", {"username": "ann", "password": "ann"})
            browser.get("/password/", {"password": "new"})
            end(browser, ann)
        break_the_history(ann)
    tables = [model._default_manager.values() for model in apps.get_models()]
    places = {
        "database": repr([list(rows) for rows in tables]),
        "queries": repr(queries.captured_queries),
        "signals": repr(told),
        "logs": caplog.text + repr([vars(record) for record in caplog.records]),
    }
    assert len(keys) > 3 * len(ENDS)
    for place, text in places.items():
        assert [key for key in keys if key in text] == [], place
    for place in ("database", "queries", "signals"):
        assert session_id(keys[-1]) in places[place], "it would have been seen"
    assert "history was not written" in caplog.text
    assert "Session data corrupted" in caplog.text
