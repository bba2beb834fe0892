"""Listing a user's sessions and ending one of them, as each contender does it."""

from importlib import import_module
from typing import Any, Protocol

from django.test import override_settings
from django.utils import timezone

from tests.benchmarks.engine import session_id
from tests.benchmarks.operations import Operation

__all__ = ["OPERATIONS", "Allauth", "Ours", "QSessions", "UserSessions"]


class Listing(Protocol):
    """What a contender has for it."""

    def list(self, user: Any) -> list[Any]:
        """Return the user's live sessions."""

    def end(self, user: Any, key: str) -> None:
        """End one that the user has chosen from the list."""


class Ours:
    """``expire_sessions.sessions``."""

    def __init__(self) -> None:
        # Its models must not be imported where it is not installed.
        self._sessions = import_module("expire_sessions.sessions").UserSessions

    def list(self, user: Any) -> list[Any]:
        found: list[Any] = self._sessions(user).list()
        return found

    def end(self, user: Any, key: str) -> None:
        self._sessions(user).end(session_id(key))


class Allauth:
    """What its page does: the list leaves out, and drops, what is not live."""

    def __init__(self) -> None:
        self._model = import_module("allauth.usersessions.models").UserSession

    def list(self, user: Any) -> list[Any]:
        found: list[Any] = self._model.objects.purge_and_list(user)
        return found

    def end(self, user: Any, key: str) -> None:
        self._model.objects.get(user=user, session_key=key).end()


class QSessions:
    """Its model, as its README shows."""

    module = "qsessions.models"

    def __init__(self) -> None:
        self._model = import_module(self.module).Session

    def list(self, user: Any) -> list[Any]:
        return list(self._live(user))

    def end(self, user: Any, key: str) -> None:
        self._live(user).get(pk=key).delete()

    def _live(self, user: Any) -> Any:
        return self._model.objects.filter(user=user, expire_date__gt=timezone.now())


class UserSessions(QSessions):
    """What its page does."""

    module = "user_sessions.models"

    def _live(self, user: Any) -> Any:
        return super()._live(user).order_by("-last_activity")


class List(Operation):
    """List the ten sessions of a user."""

    place = 5

    def prepare(self) -> None:
        contender = self.site.contender
        self._ten = override_settings(**contender.settings_for_ten)
        self._ten.enable()
        self.listing: Listing = globals()[contender.listing]()
        self.most = self.pool
        self.users = self.site.pool(self.place, self.pool)
        self.keys = {
            user.pk: [self.site.sign_in(user) for _ in range(10)] for user in self.users
        }
        assert len(self.listing.list(self.users[0])) == 10

    def run(self, times: int) -> None:
        for user in self.users[:times]:
            self.listing.list(user)

    def close(self) -> None:
        for keys in self.keys.values():
            for key in keys:
                self.site.forget(key)
        self._ten.disable()


class End(List):
    """End the oldest of the ten."""

    place = 6

    def prepare(self) -> None:
        super().prepare()
        self.ended: list[str] = []

    def ready(self, times: int) -> None:
        for user in self.users:
            keys = self.keys[user.pk]
            keys += [self.site.sign_in(user) for _ in range(10 - len(keys))]
        self.ended = []

    def run(self, times: int) -> None:
        for user in self.users[:times]:
            key = self.keys[user.pk].pop(0)
            self.listing.end(user, key)
            self.ended.append(key)

    def check(self) -> None:
        assert not self.site.is_live(self.ended[-1]), "it goes on"


OPERATIONS = {"sessions.list": List, "sessions.end": End}
