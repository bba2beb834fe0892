"""Code of a project, for what mypy and pyright make of it: ``nox -s types``.

The tests run it too, so that the types are those of what is there. Where a checker
knows nothing, ``assert_type`` fails it.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

import datetime
from collections.abc import MutableMapping
from typing import Any, assert_type

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, JsonResponse

from expire_sessions.access import LastAccess
from expire_sessions.backend import SessionStore
from expire_sessions.clients import behind_proxies
from expire_sessions.models import (
    LoggedSession,
    LoggedSessionManager,
    LoggedSessionQuerySet,
)
from expire_sessions.notices import Notice
from expire_sessions.noticing import Refusal, refusal
from expire_sessions.sessions import SessionInfo, UserSessions
from expire_sessions.signals import expire_check, session_ended

client_ip = behind_proxies(1)


def newest(user: AbstractBaseUser) -> LoggedSessionQuerySet:
    """Chain what the history answers with what Django has."""
    assert_type(LoggedSession.objects, LoggedSessionManager)
    rows = LoggedSession.objects.filter(ip="127.0.0.1").for_user(user)
    ended = LoggedSession.objects.select_related("user").ended().exclude(ip=None)
    assert_type(ended.count(), int)
    assert_type(ended.for_user(user.pk).first(), LoggedSession | None)
    assert_type(LoggedSession.objects.drop_older_than(365), int)
    return rows.active().order_by("-date_logged")[:20]


def names(user: AbstractBaseUser) -> list[str]:
    """Go through rows."""
    found: list[str] = []
    for row in newest(user):
        assert_type(row, LoggedSession)
        assert_type(row.active, bool)
        found.append(row.session_id)
    return found


@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """List the sessions of who is signed in, without another look at who it is."""
    mine = UserSessions(request.user, request.session.session_key, by=request.user)
    assert_type(mine.list(), list[SessionInfo])
    for session in mine.list():
        assert_type(session.session_id, str)
        assert_type(session.since, datetime.datetime | None)
        assert_type(session.ip, str | None)
    return JsonResponse({"ended": mine.end_others()})


def before(session: SessionStore) -> str:
    """Tell of the last access, where the type of the session is known."""
    access = session.last_access
    assert_type(access, LastAccess | None)
    session.hide_last_access()
    if access is None:
        return ""
    assert_type(access.when, datetime.datetime)
    assert_type(access.failures, int)
    return f"{access.ip} {access.device}"


def reason(request: HttpRequest, session: SessionStore) -> str:
    """Tell why the session before has ended."""
    assert_type(refusal(request), Refusal | None)
    assert_type(session.session_id, str | None)
    notice = session.notice
    assert_type(notice, Notice | None)
    if notice is None:
        return ""
    assert_type(notice.when, datetime.datetime)
    return f"{notice.reason} {notice.by} {notice}"


def narrowed(request: HttpRequest) -> list[SessionInfo]:
    """List them where the type says that somebody is signed in."""
    if not request.user.is_authenticated:
        return []
    return UserSessions(request.user).list()


def more(sender: Any, settings: MutableMapping[str, Any], **kwargs: object) -> None:
    """Listen to what is asked."""
    settings["max_users"] = 3


def listen() -> None:
    """Connect, and disconnect again."""
    for signal in (expire_check, session_ended):
        signal.connect(more)
        assert_type(signal.disconnect(more), bool)


def wrong(user: AbstractBaseUser) -> None:
    """Ask for what is not there. An ignored line without an error is one."""
    LoggedSession.objects.for_nobody(user)  # type: ignore[attr-defined]
    LoggedSession.objects.active().for_nobody(user)  # type: ignore[attr-defined]
    UserSessions("ann")  # type: ignore[arg-type]
    UserSessions(user).end(1)  # type: ignore[arg-type]
