"""The engine against a model of its rules in plain Python, whatever the order of steps.

The model is a list for each user: the sessions in the order in which they were
seen. What is live in Redis, what each browser finds and what the history shows must
follow from it after every step, through the sync and the async methods alike.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import alogin, get_user_model, login
from django.http import HttpRequest
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SessionLimitReached
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.sessions import UserSessions
from tests.asking import live_keys, lose_index, lose_payload, members, redis_client
from tests.loops import ServerLoop, server_loop

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

NAMES = ("ann", "bob")


@dataclass(eq=False)
class Browser:
    """What one browser holds: a cookie; and what the rules say of its session."""

    name: str
    key: str
    data: dict[str, int] = field(default_factory=dict)
    live: bool = True
    indexed: bool = True


class Calls:
    """The methods of a store, called as they are."""

    def sign_in(self, user: Any) -> SessionStore:
        """Log in as a view does, and save as the middleware does."""
        request = HttpRequest()
        store = request.session = SessionStore()
        login(request, user)
        store.save()
        return store

    def __call__(self, store: SessionStore, method: str, *args: Any) -> Any:
        """Call a method."""
        return getattr(store, method)(*args)


class AsyncCalls(Calls):
    """Their async twins, each on an event loop of its own."""

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Run something to its end."""

        async def main() -> Any:
            return await awaitable

        return async_to_sync(main)()

    def sign_in(self, user: Any) -> SessionStore:
        """Log in as an async view does."""
        request = HttpRequest()
        store = request.session = SessionStore()

        async def sign_in() -> None:
            await alogin(request, user)
            await store.asave()

        self.wait_for(sign_in())
        return store

    def __call__(self, store: SessionStore, method: str, *args: Any) -> Any:
        """Call the twin of a method."""
        return self.wait_for(getattr(store, f"a{method}")(*args))


class NativeCalls(AsyncCalls):
    """The same on a loop that stays: there the engine asks Redis without a thread."""

    def __init__(self, loop: ServerLoop) -> None:
        self._loop = loop

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Run something to its end."""
        return self._loop(awaitable)


class Rules(RuleBasedStateMachine):
    """The steps. Each does one thing to the engine and the same to the model."""

    call: ClassVar[Calls] = Calls()
    browsers = Bundle("browsers")

    def __init__(self) -> None:
        super().__init__()
        redis_client().flushall()
        LoggedSession.objects.all().delete()
        users = get_user_model()._default_manager
        self.users = {name: users.get_or_create(username=name)[0] for name in NAMES}
        self.sessions: dict[str, list[Browser]] = {name: [] for name in NAMES}
        self.limit = 1
        self.rows = 0
        self.chosen: dict[str, Any] = {}

    @initialize(
        target=browsers,
        count=st.integers(0, 4),
        policy=st.sampled_from(["evict", "refuse", "ask"]),
        ages=st.sampled_from([None, 900]),
    )
    def begin(
        self, count: int, policy: str, ages: int | None
    ) -> MultipleResults[Browser]:
        """Start with some sessions, and as many allowed."""
        self.limit = max(count, 1)
        self.chosen = {
            "EXPIRE_POLICY": policy,
            "EXPIRE_IDLE_AGE": ages,
            "EXPIRE_ABSOLUTE_AGE": ages and 10 * ages,
        }
        return multiple(*(each for _ in range(count) for each in self.enter("ann")))

    @rule(limit=st.integers(0, 4))
    def change_limit(self, limit: int) -> None:
        """Set another limit; 0 is none. It takes effect with the next save or touch."""
        self.limit = limit

    @rule(target=browsers, name=st.sampled_from(("ann", "ann", *NAMES)))
    def sign_in(self, name: str) -> MultipleResults[Browser]:
        """Sign in with a new browser."""
        return multiple(*self.enter(name))

    def enter(self, name: str) -> list[Browser]:
        """Sign in, here and in the model. There may be no free place."""
        self.rows += 1
        with self.configured():
            if self.is_full(name):
                with pytest.raises(SessionLimitReached):
                    self.call.sign_in(self.users[name])
                return []
            store = self.call.sign_in(self.users[name])
        browser = Browser(name, str(store.session_key))
        self.is_seen(browser)
        self.no_member_is_dead(name)
        return [browser]

    def is_full(self, name: str) -> bool:
        """Tell whether a login is refused."""
        known = [b for b in self.sessions[name] if b.live and b.indexed]
        may_refuse = self.chosen["EXPIRE_POLICY"] != "evict" and self.limit
        return bool(may_refuse) and len(known) >= self.limit

    @rule(browser=browsers)
    def visit(self, browser: Browser) -> None:
        """Load the session, which marks it seen."""
        store = SessionStore(browser.key)
        with self.configured():
            value = self.call(store, "get", "x")
        assert value == (browser.data.get("x") if browser.live else None)
        assert (store.session_key == browser.key) is browser.live
        self.is_seen(browser)

    @rule(browser=browsers, value=st.integers())
    def change(self, browser: Browser, value: int) -> None:
        """Load, set something, save."""
        store = SessionStore(browser.key)
        with self.configured():
            self.call(store, "get", "x")
            if not browser.live:
                return
            self.is_seen(browser)
            self.call(store, "set" if self.is_async else "__setitem__", "x", value)
            self.call(store, "save")
        browser.data["x"] = value
        self.is_seen(browser)

    @rule(browser=browsers, other=browsers, value=st.integers())
    def save_late(self, browser: Browser, other: Browser, value: int) -> None:
        """Load one session, end another (or the same), then save the first."""
        store = SessionStore(browser.key)
        with self.configured():
            self.call(store, "get", "x")
            self.is_seen(browser)
            was_live = browser.live
            self.end_through_the_list(other)
            self.call(store, "set" if self.is_async else "__setitem__", "x", value)
            if browser.live:
                self.call(store, "save")
                browser.data["x"] = value
                self.is_seen(browser)
            elif was_live:
                self.call(store, "save")  # dropped, without an error

    @rule(browser=browsers)
    def save_every_request(self, browser: Browser) -> None:
        """Save what was not changed."""
        store = SessionStore(browser.key)
        with self.configured():
            self.call(store, "get", "x")
            if not browser.live:
                return
            self.is_seen(browser)
            self.call(store, "save")
        self.is_seen(browser)

    @rule(browser=browsers)
    def rotate(self, browser: Browser) -> None:
        """Give the session a new key, as a password change does."""
        store = SessionStore(browser.key)
        with self.configured():
            self.call(store, "get", "x")
            self.is_seen(browser)
            self.call(store, "cycle_key")
        if browser.live:
            assert store.session_key != browser.key
            browser.key = str(store.session_key)

    @rule(browser=consumes(browsers))
    def sign_out(self, browser: Browser) -> None:
        """Sign out; the cookie leads nowhere from now on."""
        store = SessionStore(browser.key)
        with self.configured():
            self.call(store, "get", "x")
            self.is_seen(browser)
            self.call(store, "flush")
        self.ends(browser)

    @rule(browser=browsers)
    def end_by_key(self, browser: Browser) -> None:
        """Delete a session by its key, without having loaded it."""
        with self.configured():
            self.call(SessionStore(), "delete", browser.key)
        self.ends(browser)

    @rule(browser=browsers)
    def end_through_the_list(self, browser: Browser) -> None:
        """End a session as its user does on another device."""
        sessions = UserSessions(self.users[browser.name])
        found = sessions.end(session_id(browser.key))
        assert found is (browser.live and browser.indexed)
        if found:
            self.ends(browser)

    @rule(browser=browsers)
    def expire(self, browser: Browser) -> None:
        """Let the payload expire."""
        lose_payload(browser.key)
        browser.live = False

    @rule(name=st.sampled_from(NAMES))
    def lose_index(self, name: str) -> None:
        """Lose the index of a user. Each session joins again when it is seen."""
        lose_index(self.users[name])
        for browser in self.sessions[name]:
            browser.indexed = False

    @rule()
    def clear_sessions(self) -> None:
        """Sweep."""
        with self.configured():
            self.call(SessionStore(), "clear_expired")
        for name in NAMES:
            self.sessions[name] = [b for b in self.sessions[name] if b.live]

    def no_member_is_dead(self, name: str) -> None:
        """After a login the index holds no member without a payload."""
        expected = {b.key for b in self.sessions[name] if b.live and b.indexed}
        assert set(members(self.users[name])) == expected

    def is_seen(self, browser: Browser) -> None:
        """Note in the model what a save or a touch does."""
        if not browser.live:
            return
        mine = self.sessions[browser.name]
        if browser in mine:
            mine.remove(browser)
        mine.append(browser)
        browser.indexed = True
        known = [b for b in mine if b.live and b.indexed]
        for victim in known[: -self.limit] if self.limit else []:
            self.ends(victim)

    def ends(self, browser: Browser) -> None:
        """Note in the model that a session is over."""
        browser.live = False
        mine = self.sessions[browser.name]
        if browser in mine:
            mine.remove(browser)

    def configured(self) -> override_settings:
        """The settings of the step: each load touches, so that the order is known."""
        limits = {"EXPIRE_MAX_USERS": self.limit, "EXPIRE_TOUCH_INTERVAL": 0}
        return override_settings(**limits, **self.chosen)

    @property
    def is_async(self) -> bool:
        """Whether the async twins are called."""
        return isinstance(self.call, AsyncCalls)

    @invariant()
    def redis_is_as_the_model(self) -> None:
        """The live sessions of each user are those of the model, in its order."""
        for name, user in self.users.items():
            expected = [b.key for b in self.sessions[name] if b.live and b.indexed]
            assert live_keys(user) == expected

    @invariant()
    def each_login_has_one_row(self) -> None:
        """One login, one row; an ended one has a reason and a time, an active none."""
        rows = LoggedSession.objects.all()
        assert rows.count() == self.rows
        assert not rows.ended().filter(end_reason="").exists()
        assert not rows.active().exclude(end_reason="").exists()

    def teardown(self) -> None:
        """Sweep twice over: then the history agrees with Redis again."""
        for each in self.sessions.values():
            for browser in [b for b in each if b.live]:
                self.visit(browser)
        self.clear_sessions()
        live = {session_id(b.key) for each in self.sessions.values() for b in each}
        active = LoggedSession.objects.active().values_list("session_id", flat=True)
        assert set(active) == live


class AsyncRules(Rules):
    """The same through the async twins."""

    call = AsyncCalls()


def follow_the_model(rules: type[Rules], examples: int) -> None:
    run_state_machine_as_test(
        rules,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_engine_follows_the_model() -> None:
    follow_the_model(Rules, 60)


def test_the_async_engine_follows_it_called_from_sync_code() -> None:
    follow_the_model(AsyncRules, 10)


def test_the_async_engine_follows_it_on_a_loop_that_stays() -> None:
    with server_loop() as loop:

        class NativeRules(Rules):
            call = NativeCalls(loop)

        follow_the_model(NativeRules, 30)
