"""What the types promise is there, and what they cannot see is said in words."""

import ast
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.dispatch import Signal
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from expire_sessions import signals
from expire_sessions.backend import SessionStore
from expire_sessions.models import LoggedSession, LoggedSessionManager
from expire_sessions.sessions import UserSessions
from tests import typing_usage
from tests.sessions import sign_in

SIGNALS = sorted(n for n, value in vars(signals).items() if isinstance(value, Signal))


@pytest.fixture
def request_of_ann(ann: Any) -> HttpRequest:
    """A request of Ann's, who is signed in."""
    request = RequestFactory().get("/")
    request.session = sign_in(ann)
    request.user = ann
    return request


def test_code_that_is_typed_runs(ann: Any, request_of_ann: HttpRequest) -> None:
    (name,) = typing_usage.names(ann)
    (session,) = typing_usage.narrowed(request_of_ann)
    assert name == session.session_id
    assert typing_usage.sessions(request_of_ann).status_code == 200
    assert typing_usage.client_ip(request_of_ann) is None
    assert typing_usage.before(sign_in(ann)) == "127.0.0.1 worker"
    assert typing_usage.before(SessionStore()) == ""
    key = sign_in(ann).session_key
    sign_in(ann)
    told = typing_usage.reason(request_of_ann, SessionStore(key))
    assert told.startswith("evicted worker You signed in")
    assert typing_usage.reason(request_of_ann, SessionStore()) == ""
    typing_usage.listen()


def test_nobody_has_no_sessions_to_list() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    assert typing_usage.narrowed(request) == []


@pytest.mark.django_db
def test_the_types_say_no_where_the_code_does(ann: Any) -> None:
    with pytest.raises(AttributeError):
        typing_usage.wrong(ann)


def test_the_manager_has_what_its_queryset_has() -> None:
    for name in ("active", "ended", "for_user", "close", "prune", "drop_older_than"):
        assert callable(getattr(LoggedSession.objects, name))
    assert isinstance(LoggedSession._default_manager, LoggedSessionManager)


@pytest.mark.parametrize("lazy", [False, True])
def test_nobody_is_no_user(lazy: bool) -> None:
    user: Any = SimpleLazyObject(AnonymousUser) if lazy else AnonymousUser()
    with pytest.raises(TypeError, match=r"AnonymousUser\. Is somebody signed in\?"):
        UserSessions(user)


def test_the_lazy_user_of_a_request_is_one(ann: Any) -> None:
    assert UserSessions(SimpleLazyObject(lambda: ann)).list() == []  # type: ignore[arg-type]


@pytest.mark.parametrize("user", ["ann", 1, None])
def test_an_id_is_no_user(user: Any) -> None:
    with pytest.raises(TypeError, match="takes a user"):
        UserSessions(user)


@pytest.mark.django_db
def test_a_row_of_another_table_is_no_user_with_the_same_number(ann: Any) -> None:
    sign_in(ann)
    row = LoggedSession.objects.get()
    row.pk = ann.pk
    with pytest.raises(TypeError, match="LoggedSession"):
        UserSessions(row)


def test_a_user_that_was_not_saved_has_no_sessions() -> None:
    user = get_user_model()(username="ann")
    user.pk = None
    with pytest.raises(ValueError, match="saved"):
        UserSessions(user)


@pytest.mark.parametrize("name", SIGNALS)
def test_each_signal_tells_its_arguments_where_an_editor_and_pydoc_look(
    name: str,
) -> None:
    """Pydoc shows the module's docstring alone, an editor the text under a name."""
    assert f"\n``{name}`` " in str(signals.__doc__)
    body = ast.parse(Path(str(signals.__file__)).read_text(encoding="utf-8")).body
    below = {
        ast.unparse(statement.target): following
        for statement, following in pairwise(body)
        if isinstance(statement, ast.AnnAssign)
    }
    assert isinstance(below[name], ast.Expr)
    assert "sender" in ast.unparse(below[name])


def test_pydoc_shows_the_sessions_without_a_project() -> None:
    """A reader has no settings at hand."""
    command = [sys.executable, "-m", "pydoc", "expire_sessions.sessions"]
    env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    for method in ("list", "end", "end_others", "end_all"):
        # Python 3.13 puts a long one on several lines.
        assert re.search(rf" {method}\([\s|]*self", done.stdout)
    assert "problem in" not in done.stdout
