"""The site of one contender: its users, their sessions and its middleware."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.handlers.base import BaseHandler
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from django.utils.module_loading import import_string

from tests.benchmarks import views
from tests.benchmarks.contenders import Contender
from tests.benchmarks.place import AGENT, Place

__all__ = ["Handler", "Site"]

Handler = Callable[[HttpRequest], HttpResponseBase]

OWN = 7 * 20
"""Users of the operations that have some of their own."""

ADDRESS = "127.0.0.1"

EXTRAS = {"cart": [1207, 88, 4], "theme": "dark", "language": "en-gb", views.NUMBER: 0}
"""With what a login leaves, a payload of some 250 bytes."""

AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


class Site:
    """What the operations need of a contender. Nothing here is timed."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        # Not those whose sessions are written past the site: they come after these.
        users = get_user_model().objects.order_by("pk")
        self.users = list(users[: _users()])
        self.store_class: Any = import_module(settings.SESSION_ENGINE).SessionStore
        self.client = (
            {"user_agent": AGENT, "ip": ADDRESS} if contender.knows_client else {}
        )
        self.login = self._bare(views.sign_in)
        self.logout = self._bare(views.sign_out)
        self.whole = self._whole()
        self._factory = RequestFactory()
        self._kept: list[str] = []

    def store(self, key: str | None = None) -> Any:
        """Return a fresh session store, as the contender's middleware makes it."""
        return self.store_class(session_key=key, **self.client)

    def request(self, path: str, key: str = "", user: object = None) -> Any:
        """Return a request of a browser with that session, or with none."""
        cookie = f"{settings.SESSION_COOKIE_NAME}={key}" if key else ""
        request: Any = self._factory.get(
            path, headers={"user-agent": AGENT, "cookie": cookie}
        )
        request.META[views.USER] = user
        return request

    def sign_in(self, user: object) -> str:
        """Sign a user in with a fresh browser; return the session key."""
        request = self.request("/login/", user=user)
        self.login(request)
        return str(request.session.session_key)

    def visit(self, key: str) -> None:
        """Make an ordinary request."""
        self.whole(self.request("/none/", key))

    def is_live(self, key: str) -> bool:
        """Tell whether somebody is signed in with that session."""
        return "_auth_user_id" in self.store(key).load()

    def forget(self, key: str) -> None:
        """End a session, and drop what rows there are of it."""
        for model in apps.get_models():
            names = {each.name for each in model._meta.fields}
            if {"session_key", "user"} <= names:
                rows: Any = model._default_manager.filter(session_key=key)
                rows._raw_delete(rows.db)  # past a delete() that does more
        self.store().delete(key)

    def pool(self, place: int, size: int) -> list[Any]:
        """Return the users that one operation has for itself."""
        first = place * size
        assert first + size <= OWN, "the others' begin there"
        return self.users[first : first + size]

    def kept(self) -> list[str]:
        """Return the keys of the sessions that go on, with a payload."""
        if not self._kept:
            self._kept = [self._keep(user) for user in self.users[OWN:]]
        return self._kept

    def _keep(self, user: object) -> str:
        key = self.sign_in(user)
        session = self.store(key)
        session.update(EXTRAS)
        session.save()
        return key

    def _bare(self, view: Handler) -> Handler:
        """Return a view with the session around it, and no more of Django."""
        middleware = import_string(self.contender.session_middleware)
        handler: Handler = middleware(import_string(AUTHENTICATION)(view))
        return handler

    def _whole(self) -> Handler:
        """Return all of Django behind the server, with URLs and all middleware."""
        handler = BaseHandler()
        handler.load_middleware()
        return handler.get_response


def set_up() -> None:
    """Make the contender's own database and the users in it."""
    if connection.vendor == "postgresql":
        with connection._nodb_cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"CREATE DATABASE {name}")
    call_command("migrate", run_syncdb=True, verbosity=0)
    model = get_user_model()
    model._default_manager.bulk_create(
        model(username=f"user{number:04}", password="!") for number in range(_users())
    )


def _users() -> int:
    return OWN + Place.from_environment().sessions
