"""Logins and logouts, as the session middleware and ``contrib.auth`` make them.

The user is at hand and no password is asked for. Every contender that ends other
sessions has to prove it before it is timed, and every other that it does not.
"""

from typing import Any

from django.conf import settings
from django.test import override_settings

from tests.benchmarks.contenders import Ends
from tests.benchmarks.operations import Operation

__all__ = ["OPERATIONS"]


class Login(Operation):
    """Sign in with a browser that has no session."""

    before = 0
    """Sessions that the user has already."""

    visits = False
    """The first request after the login belongs to it."""

    place = 0
    """Which users: each operation has its own."""

    def prepare(self) -> None:
        self.most = self.pool
        self.users = self.site.pool(self.place, self.pool)
        self.keys = {user.pk: self._sessions_of(user) for user in self.users}
        self.at = 0
        self.ends = self.site.contender.ends if self.before else Ends.NEVER
        self.requests: list[Any] = []
        self._prove()

    def ready(self, times: int) -> None:
        self._settle()
        users = [self.users[n % self.pool] for n in range(self.at, self.at + times)]
        self.at += times
        self.requests = [self.site.request("/login/", user=user) for user in users]
        self.visitors = [self.site.request("/read/") for _ in users]

    def run(self, times: int) -> None:
        login = self.site.login
        for request in self.requests:
            login(request)

    def check(self) -> None:
        request = self.requests[-1]
        assert self.site.is_live(request.session.session_key), "nobody is signed in"

    def close(self) -> None:
        self._settle()
        for keys in self.keys.values():
            for key in keys:
                self.site.forget(key)

    def _sessions_of(self, user: Any) -> list[str]:
        keys: list[str] = []
        for _ in range(self.before):
            keys.append(self.site.sign_in(user))
            if self.site.contender.ends is Ends.AT_REQUEST:
                self.site.visit(keys[-1])
        return keys

    def _settle(self) -> None:
        """Leave each user with as many sessions as before."""
        for request in self.requests:
            user, key = request.user, request.session.session_key
            if self.ends is Ends.NEVER:
                self.site.forget(key)
                continue
            if self.ends is Ends.AT_REQUEST and not self.visits:
                self.site.visit(key)
            self.keys[user.pk] = [*self.keys[user.pk][1:], key]
        self.requests = []

    def _prove(self) -> None:
        if not self.before:
            return
        oldest = self.keys[self.users[0].pk][0]
        # Not with a load, which may mark it seen: then it is not the oldest any more.
        assert self.site.store().exists(oldest), "it was ended too soon"
        self.ready(1)
        self.run(1)
        self.check()
        ends_now = self.ends is Ends.AT_LOGIN or (
            self.ends is Ends.AT_REQUEST and self.visits
        )
        assert self.site.is_live(oldest) != ends_now, "the other session's end"
        self._settle()
        self.at = 0
        if self.ends is not Ends.NEVER:
            assert not self.site.is_live(oldest), "the other session goes on"


class LoginWithOne(Login):
    """Sign in where there is one session; contenders with a limit end it."""

    before = 1
    place = 1


class LoginAndVisit(LoginWithOne):
    """The same, and the first request after it, through the whole of Django."""

    visits = True
    place = 2

    def run(self, times: int) -> None:
        whole, cookie = self.site.whole, settings.SESSION_COOKIE_NAME
        for request, visitor in zip(self.requests, self.visitors, strict=True):
            whole(request)
            visitor.COOKIES[cookie] = request.session.session_key
            self.response = whole(visitor)

    def check(self) -> None:
        super().check()
        assert self.response.content.startswith(b"user"), "the visitor is nobody"


class LoginWithTen(Login):
    """Sign in where there are ten; contenders with a limit of ten end one."""

    before = 10
    place = 3

    def prepare(self) -> None:
        self._ten = override_settings(**self.site.contender.settings_for_ten)
        self._ten.enable()
        super().prepare()

    def close(self) -> None:
        super().close()
        self._ten.disable()


class Logout(Login):
    """Sign out; the middleware loads the session."""

    place = 4

    def ready(self, times: int) -> None:
        super().ready(times)
        for request in self.requests:
            self.site.login(request)
        self.outs = [
            self.site.request("/login/", request.session.session_key)
            for request in self.requests
        ]

    def run(self, times: int) -> None:
        logout = self.site.logout
        for request in self.outs:
            logout(request)

    def check(self) -> None:
        key = self.requests[-1].session.session_key
        assert not self.site.is_live(key), "somebody is still signed in"


OPERATIONS = {
    "login.first": Login,
    "login.limit": LoginWithOne,
    "login.visit": LoginAndVisit,
    "login.ten": LoginWithTen,
    "login.logout": Logout,
}
