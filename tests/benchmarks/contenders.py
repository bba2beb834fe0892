"""Who is measured, how each is set up, and what each of them does not do.

As its own documentation says, on the same Redis, cache options and database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["AGED", "CONTENDERS", "DJANGO_CACHE", "OURS", "Contender", "Ends", "named"]

OURS = "expire_sessions"
AGED = f"{OURS} with ages"
DJANGO_CACHE = "Django cache"

CACHE = "django.contrib.sessions.backends.cache"
DB = "django.contrib.sessions.backends.db"
DJANGO = "django.contrib.sessions"

AGAINST_CACHE = {"due", "async", "asgi"}
"""Sections in which the engine is measured against Django's cache engine alone.

The sessions of the first are written past the engines, as these two have them. In the
others each of 200 threads would open a connection to the database.
"""


class Ends(StrEnum):
    """When a login ends what is too many of the user's sessions."""

    NEVER = "never"
    AT_LOGIN = "at the login"
    AT_REQUEST = "at the first request after it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to keep sessions."""

    name: str
    distribution: str
    """Its name on PyPI."""

    lacks: str
    """What it does not do of what the others do."""

    engine: str = CACHE
    apps: tuple[str, ...] = (DJANGO,)
    session_middleware: str = "django.contrib.sessions.middleware.SessionMiddleware"
    middleware: tuple[str, ...] = ()
    """After Django's AuthenticationMiddleware."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    settings_for_ten: Mapping[str, Any] = field(default_factory=dict)
    """With which a user may have ten sessions."""

    login: str = "django.contrib.auth.login"
    listing: str | None = None
    """The class in ``listings`` that lists and ends a user's sessions with it."""

    ends: Ends = Ends.NEVER
    holds_ten: bool = True
    own_store: bool = True
    """Its session store is its own, not another contender's."""

    knows_client: bool = False
    """Its store takes the client's user agent and address."""

    is_ours: bool = False

    is_floor: bool = False
    """No session engine: what the bare work underneath takes."""

    def leaves_out(self, operation: str) -> str | None:
        """Say why it has no part in an operation; None where it has."""
        section = operation.partition(".")[0]
        if section in AGAINST_CACHE and not (self.is_ours or self.name == DJANGO_CACHE):
            return f"it is measured against {DJANGO_CACHE} alone"
        if section == "store" and not self.own_store:
            return "its store is another contender's"
        if self.is_floor or self.name == AGED:
            other = "no session engine" if self.is_floor else f"as {OURS}"
            return None if section == "store" else other
        if section == "sessions" and self.listing is None:
            return "it does not list sessions"
        if operation == "login.ten" and not self.holds_ten:
            return "a user has one session at most"
        return None


def _ours(name: str, **settings: int) -> Contender:
    return Contender(
        name=name,
        distribution="expire-sessions",
        engine="expire_sessions.backend",
        apps=(DJANGO, "expire_sessions"),
        settings=settings,
        settings_for_ten={"EXPIRE_MAX_USERS": 10},
        listing="Ours",
        ends=Ends.AT_LOGIN,
        is_ours=True,
        lacks="limit, list and history; sessions in Redis alone, so lost with it",
    )


def _allauth(name: str, lacks: str, **settings: bool) -> Contender:
    return Contender(
        name=name,
        distribution="django-allauth",
        apps=(DJANGO, "allauth", "allauth.account", "allauth.usersessions"),
        middleware=(
            "allauth.account.middleware.AccountMiddleware",
            "allauth.usersessions.middleware.UserSessionsMiddleware",
        ),
        settings=settings,
        login="tests.benchmarks.allauth_login.login",
        listing="Allauth",
        own_store=False,
        lacks=lacks,
    )


CONTENDERS = (
    _ours(OURS),
    _ours(f"{OURS} again"),
    _ours(AGED, EXPIRE_IDLE_AGE=900, EXPIRE_ABSOLUTE_AGE=43_200),
    Contender(
        name=DJANGO_CACHE,
        distribution="django",
        lacks="no limit, no list, no history",
    ),
    Contender(
        name="Django cached_db",
        distribution="django",
        engine="django.contrib.sessions.backends.cached_db",
        lacks="no limit, no list, no history; it survives the loss of the cache",
    ),
    Contender(
        name="Django db",
        distribution="django",
        engine=DB,
        lacks="no limit, no list, no history; needs no Redis",
    ),
    Contender(
        name="django-qsessions",
        distribution="django-qsessions",
        engine="qsessions.backends.cached_db",
        apps=("qsessions",),
        session_middleware="qsessions.middleware.SessionMiddleware",
        listing="QSessions",
        knows_client=True,
        lacks="no limit, no history; it survives the loss of the cache",
    ),
    Contender(
        name="django-user-sessions",
        distribution="django-user-sessions",
        engine="user_sessions.backends.db",
        apps=("user_sessions",),
        session_middleware="user_sessions.middleware.SessionMiddleware",
        listing="UserSessions",
        knows_client=True,
        lacks="no limit, no history; needs no Redis",
    ),
    _allauth(
        "allauth usersessions",
        "no limit, no history, no last activity; sessions in Django cache; of its"
        " login only the signal that its list needs",
    ),
    _allauth(
        "allauth usersessions, tracking",
        "the same, and it writes the last activity at every request",
        USERSESSIONS_TRACK_ACTIVITY=True,
    ),
    Contender(
        name="django-single-session",
        distribution="django-single-session",
        engine=DB,
        apps=(DJANGO, "single_session"),
        ends=Ends.AT_LOGIN,
        holds_ten=False,
        own_store=False,
        lacks="one session for each user and no other number; no list, no history;"
        " works with Django db alone; a logout ends all of the user's sessions",
    ),
    Contender(
        name="django-preventconcurrentlogins",
        distribution="django-preventconcurrentlogins",
        apps=(DJANGO, "preventconcurrentlogins"),
        middleware=(
            "preventconcurrentlogins.middleware.PreventConcurrentLoginsMiddleware",
        ),
        ends=Ends.AT_REQUEST,
        holds_ten=False,
        own_store=False,
        lacks="one session for each user and no other number; no list, no history;"
        " sessions in Django cache; SQL at every request, and the other session goes"
        " on until the first request after the login",
    ),
    Contender(
        name="redis-py",
        distribution="redis",
        is_floor=True,
        lacks="the floor: GET; GET and SET; no Django, no JSON, no session",
    ),
    Contender(
        name="socket",
        distribution="redis",
        is_floor=True,
        lacks="the floor below it: bytes ready to send, replies not parsed",
    ),
)


def named(name: str) -> Contender:
    """Return the contender of that name."""
    return next(each for each in CONTENDERS if each.name == name)
