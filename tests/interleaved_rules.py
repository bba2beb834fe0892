"""What must hold whatever the order of steps: the judge of an interleaving.

After every step that may have changed Redis the judge compares a snapshot with the one
before, and so knows who ended, moved or made each session. When all actors are done
and the history has had its chance to settle, the rows are judged as well.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import caches

from expire_sessions.backend import SessionStore
from expire_sessions.exceptions import SweepIncomplete
from expire_sessions.models import LoggedSession
from expire_sessions.protocol.keys import PAYLOAD
from expire_sessions.protocol.session_keys import session_id
from expire_sessions.reasons import FOUND_GONE, EndReason
from expire_sessions.signals import session_ended
from expire_sessions.transport.connections import connection_for
from tests.asking import index_name, redis_client
from tests.interleaved_actors import MARK, VISITOR, Actor, Outcome, Stage, sign_in
from tests.interleaving import LOST, Run, Step, letters

__all__ = ["Judge", "Violation", "noted_signals"]

SNAPSHOT = """
local payloads, indexes = {}, {}
for _, key in ipairs(redis.call("KEYS", ARGV[1])) do
  table.insert(payloads, {key, redis.call("GET", key), redis.call("PTTL", key)})
end
for n, key in ipairs(KEYS) do
  indexes[n] = {redis.call("ZRANGE", key, 0, -1, "WITHSCORES"), redis.call("PTTL", key)}
end
return {payloads, indexes}
"""

ROUNDING: Final = 5_000
"""Milliseconds that may pass between the looks at two keys, on a machine that stalls:
sessions live for weeks here."""


class Violation(NamedTuple):
    """A rule that was broken."""

    rule: str
    details: str


class Login(NamedTuple):
    """One login of one user: a session, whatever its key."""

    mark: str | None
    user: str | None
    """None for an anonymous session."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A session as it lies in Redis."""

    login: Login
    data: dict[str, Any]
    life: int
    """Milliseconds; negative: for ever."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Redis in one instant."""

    payloads: dict[str, Payload]
    """By session key."""

    members: dict[str, dict[str, float]]
    """By user id: session key -> last seen."""

    index_life: dict[str, int]

    def live(self, user: str) -> dict[str, Payload]:
        """Return the live sessions of a user."""
        return {k: p for k, p in self.payloads.items() if p.login.user == user}

    @property
    def logins(self) -> frozenset[Login]:
        """What is live."""
        return frozenset(payload.login for payload in self.payloads.values())


def snapshot(users: Sequence[str]) -> Snapshot:
    """Take one."""
    found = connection_for("default")
    indexes = [index_name(user) for user in users]
    head = caches["default"].make_key(PAYLOAD)
    reply = redis_client().eval(SNAPSHOT, len(indexes), *indexes, f"{head}*")
    payloads = {}
    for key, packed, life in reply[0]:
        data = found.decode(packed)
        user = data.get(SESSION_KEY)
        login = Login(data.get(MARK), None if user is None else str(user))
        payloads[key.decode().removeprefix(head)] = Payload(login, data, life)
    members = {
        user: {
            key.decode(): float(score)
            for key, score in zip(pairs[::2], pairs[1::2], strict=True)
        }
        for user, (pairs, _) in zip(users, reply[1], strict=True)
    }
    lives = {user: life for user, (_, life) in zip(users, reply[1], strict=True)}
    return Snapshot(payloads, members, lives)


@dataclass(frozen=True, slots=True)
class End:
    """How a session ended."""

    by: int
    key: str
    reasons: frozenset[EndReason]
    """Any of which is true."""

    step: Step | None = None


@dataclass(slots=True)
class Noted:
    """What was told and logged while the actors ran."""

    ended: list[tuple[str, EndReason]] = field(default_factory=list)
    """Session id and reason of each ``session_ended``."""

    logged: list[str] = field(default_factory=list)


@contextmanager
def noted_signals() -> Iterator[Noted]:
    """Note ``session_ended`` and what is logged as an error."""
    noted = Noted()

    def listen(*, session_id: str, reason: EndReason, **kwargs: Any) -> None:
        noted.ended.append((session_id, reason))

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            noted.logged.append(f"{record.getMessage()} {error!r}")

    logger, handler = logging.getLogger("expire_sessions"), Handler(logging.ERROR)
    logger.addHandler(handler)
    session_ended.connect(listen)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield noted
    finally:
        logger.propagate = propagates
        session_ended.disconnect(listen)
        logger.removeHandler(handler)


EVICTED: Final = frozenset({EndReason.EVICTED})


class Judge:
    """Judges one run on a stage that has just been set."""

    def __init__(self, stage: Stage, actors: Sequence[Actor], noted: Noted) -> None:
        self._stage, self._actors, self._noted = stage, actors, noted
        self._ann, self._bob = str(stage.ann.pk), str(stage.bob.pk)
        self._now = snapshot((self._ann, self._bob))
        self._limit = stage.limit
        self._is_lowered = any(actor.what == "lower the limit" for actor in actors)
        self._began: dict[int, frozenset[Login]] = {}
        self._ended: dict[Login, End] = {}
        self._touched: dict[str | None, set[int]] = {}
        """Who ended or moved the sessions of each mark."""
        self._keys: dict[str, Login] = {}
        """Whose session each id was."""
        self.violations: list[Violation] = []
        self._learn()

    def expect(self, holds: object, rule: str, details: object = "") -> None:
        """Note a violation where it does not hold."""
        if not holds:
            self.violations.append(Violation(rule, str(details)))

    # After each step.

    def watch(self, actor: int, step: Step) -> None:
        """Compare Redis with what it was before this step."""
        self._began.setdefault(actor, self._now.logins)
        if step.place != "redis" or not step.writes:
            return
        before, self._now = self._now, snapshot((self._ann, self._bob))
        self._learn()
        made = self._now.payloads.keys() - before.payloads.keys()
        gone = before.payloads.keys() - self._now.payloads.keys()
        heirs = {self._now.payloads[key].login.mark: key for key in made}
        evicted = []
        for key in gone:
            login = before.payloads[key].login
            self._touched.setdefault(login.mark, set()).add(actor)
            heir = heirs.get(login.mark)
            if heir is not None:
                self._judge_move(actor, login, self._now.payloads[heir].login)
            if heir is None or self._now.payloads[heir].login != login:
                reasons = self._reasons(actor, login)
                self._ended[login] = End(actor, key, reasons, step)
                if reasons == EVICTED:
                    evicted.append(key)
        if evicted:
            self._judge_evictions(actor, evicted, before)
        for key in made:
            self._judge_arrival(actor, self._now.payloads[key].login)
        for key in before.payloads.keys() & self._now.payloads.keys():
            self._judge_owner(before.payloads[key].login, self._now.payloads[key].login)
        self._judge_state()

    def _learn(self) -> None:
        for key, payload in self._now.payloads.items():
            self._keys[session_id(key)] = payload.login

    def _judge_move(self, actor: int, old: Login, new: Login) -> None:
        kind = self._actors[actor].kind
        is_own = old.mark == self._actors[actor].target
        self.expect(kind.moves and is_own, "moved by somebody else", (old, new))
        self.expect(old.user == new.user or kind.parts, "given to another", (old, new))

    def _reasons(self, actor: int, login: Login) -> frozenset[EndReason]:
        """Return why this actor may have ended this session; it was its business."""
        who = self._actors[actor]
        is_own = login.mark == who.target
        if who.kind.ends == "own" and is_own and login.user != self._bob:
            return frozenset({who.kind.reason})
        if self._must_end(who, login):
            # Where the limit is lowered, its own load may have evicted them first.
            also = EVICTED if who.kind.evicts and self._is_lowered else frozenset()
            return also | {who.kind.reason}
        # Who has found its session moved or ended signs in as with a fresh browser.
        is_fresh = who.kind.signs_in and self._touched[login.mark] - {actor}
        self.expect(
            who.kind.evicts and login.user and (not is_own or is_fresh),
            "ended without cause",
            login,
        )
        return EVICTED

    def _judge_evictions(
        self, actor: int, evicted: list[str], before: Snapshot
    ) -> None:
        user = str(before.payloads[evicted[0]].login.user)
        limit = self._stage.limit if self._is_lowered else self._limit
        live = self._now.live(user)
        self.expect(len(live) >= limit, "too many evicted", list(live))
        own = {self._actors[actor].target, letters([actor])}
        rivals = [key for key, p in live.items() if p.login.mark not in own]
        scores = before.members[user]
        oldest = min((scores[key] for key in rivals if key in scores), default=None)
        youngest = max(scores.get(key, 0.0) for key in evicted)
        self.expect(
            oldest is None or youngest < oldest, "not the least recently seen evicted"
        )

    def _judge_arrival(self, actor: int, login: Login) -> None:
        ends = [end for ended, end in self._ended.items() if ended.mark == login.mark]
        is_parting = self._actors[actor].kind.parts and login not in self._ended
        for end in ends:
            self.expect(
                end.by == actor and is_parting,
                "an ended session came back",
                f"{login}, {_words(end)} by {letters([end.by])}",
            )

    def _judge_owner(self, old: Login, new: Login) -> None:
        self.expect(
            new.user == old.user or old.user is None,
            "another user under the same key",
            (old, new),
        )

    def _judge_state(self) -> None:
        marks = [payload.login.mark for payload in self._now.payloads.values()]
        for mark in set(marks) - {VISITOR}:
            self.expect(marks.count(mark) == 1, "a session lives twice", mark)
        for user in (self._ann, self._bob):
            live, members = self._now.live(user), self._now.members[user]
            if not self._is_lowered:
                self.expect(len(live) <= self._limit, "above the limit", list(live))
            self.expect(live.keys() <= members.keys(), "live and no member", list(live))
            dead = {
                key: self._keys[session_id(key)] for key in members.keys() - live.keys()
            }
            self.expect(
                all(self._is_expired(login) for login in dead.values()),
                "a member without a payload",
                dead,
            )
            longest = max((payload.life for payload in live.values()), default=0)
            self.expect(
                self._now.index_life[user] + ROUNDING >= longest or not live,
                "the index ends before a session",
            )
        for payload in self._now.payloads.values():
            self.expect(payload.life >= 0, "a session lives for ever", payload.login)

    def _is_expired(self, login: Login) -> bool:
        end = self._ended.get(login)
        return end is not None and self._actors[end.by].what == "expire"

    # At the end.

    def finish(self, run: Run, *, by_login: bool) -> None:
        """Judge what the actors were told, let the history settle, and judge it."""
        for actor, result in run.results.items():
            if isinstance(result, Outcome):
                self._judge_outcome(actor, result, run)
            else:
                self._judge_error(actor, result)
        unheard = _is_unheard(run)
        for login, end in self._ended.items():
            if unheard and end.step is run.lost:
                # As if the process had died here: found gone when it is looked for.
                gone = replace(end, reasons=end.reasons | set(FOUND_GONE))
                self._ended[login] = gone
            else:
                self._judge_told(login, end)
        self._judge_changes(run)
        self._settle(by_login=by_login)
        self._judge_rows(run)
        for line in self._noted.logged:
            self.expect(run.lost and LOST in line, "an error was logged", line)

    def _judge_error(self, actor: int, error: object) -> None:
        marks = {self._actors[actor].target, letters([actor])}
        others = set[int]().union(*(self._touched.get(mark, set()) for mark in marks))
        self.expect(
            isinstance(error, UpdateError) and others - {actor},
            "an error without cause",
            f"{letters([actor])}: {error!r}",
        )

    def _judge_outcome(self, actor: int, outcome: Outcome, run: Run) -> None:
        who = self._actors[actor]
        before = self._began[actor]
        mine = self._endings(actor)
        touched = self._touched.get(who.target, set())
        if not outcome.found:
            self.expect(touched - {actor}, "not found though nobody touched it", who)
            return
        if not outcome.is_in and not who.kind.ends:
            self.expect(
                Login(who.target, self._ann) not in self._now.logins,
                "signed out though the session lives",
                who,
            )
        for login in before & self._now.logins:
            self.expect(
                not self._must_end(who, login), "outlived its end", (who, login)
            )
        if who.what.startswith("log in") and outcome.found and who.kind.on != "session":
            known = self._keys.values()
            self.expect(
                Login(letters([actor]), self._ann) in known, "not signed in", who
            )
        self.expect(
            not self._ended_before_repetition(actor, run),
            "signed in to a session that had ended",
            who,
        )
        if who.what == "end":
            self.expect(outcome.answer == bool(mine), "the wrong answer", outcome)
        if who.what in {"end all", "end others"} and not (run.lost or self._is_lowered):
            self.expect(outcome.answer == len(mine), "the wrong number", outcome)

    def _ended_before_repetition(self, actor: int, run: Run) -> bool:
        """Tell whether a login was ended between its script and its repetition."""
        order = {id(step): n for n, (_, step) in enumerate(run.steps)}
        repeated = max(
            (
                order[id(step)]
                for who, step in run.steps
                if who == actor and step.words.startswith("save new")
            ),
            default=-1,
        )
        return any(
            login.mark == letters([actor])
            and order.get(id(end.step), repeated) < repeated
            for login, end in self._ended.items()
        )

    def _must_end(self, who: Actor, login: Login) -> bool:
        is_own = login.mark == who.target
        if who.kind.ends == "own":  # an expiry does not follow a session that moved
            return is_own and login.user == self._ann and who.what != "expire"
        return login.user == self._ann and (
            who.kind.ends == "all" or (who.kind.ends == "others" and not is_own)
        )

    def _endings(self, actor: int) -> list[Login]:
        return [login for login, end in self._ended.items() if end.by == actor]

    def _judge_told(self, login: Login, end: End) -> None:
        if login.user is None or self._actors[end.by].what == "expire":
            return
        told = [
            reason for name, reason in self._noted.ended if name == session_id(end.key)
        ]
        self.expect(
            end.reasons.intersection(told),
            f"{_words(end)} was not told",
            f"{login}, by {letters([end.by])}: {told}",
        )

    def _judge_changes(self, run: Run) -> None:
        """A save that changed nothing undoes no change."""
        if not {who.what for who in self._actors} <= {
            "change",
            "keep",
            "visit",
            "log in",
        }:
            return
        for actor, result in run.results.items():
            who = self._actors[actor]
            if who.what == "change" and isinstance(result, Outcome) and result.found:
                for payload in self._now.payloads.values():
                    self.expect(
                        payload.login.mark != who.target or "changed" in payload.data,
                        "a change was undone",
                        who,
                    )

    def _settle(self, *, by_login: bool) -> None:
        if by_login:
            users = {login.user for login in self._keys.values()}
            for user in (self._stage.ann, self._stage.bob):
                if str(user.pk) in users:
                    sign_in(SessionStore(), user, f"settled {user.pk}")
        else:
            try:
                SessionStore.clear_expired()
            except SweepIncomplete as error:
                self.expect(not error, "the sweep failed", error)
        before, self._now = self._now, snapshot((self._ann, self._bob))
        self._learn()
        # Nobody is an actor now: what is gone was evicted.
        for key in before.payloads.keys() - self._now.payloads.keys():
            self.expect(
                by_login, "the sweep ended a session", before.payloads[key].login
            )
            self._ended[before.payloads[key].login] = End(-1, key, EVICTED)
        for user in (self._ann, self._bob):
            live = self._now.live(user).keys()
            self.expect(
                live == self._now.members[user].keys(), "members are not settled"
            )
            if by_login:
                self.expect(
                    len(live) <= self._stage.limit, "above the limit when settled"
                )

    def _judge_rows(self, run: Run) -> None:
        rows: dict[Login, list[LoggedSession]] = {}
        for row in LoggedSession.objects.all():
            user = str(row.user_id)
            login = self._keys.get(row.session_id, Login("never live", user))
            self.expect(
                login.user in {user, None}, "a row of another user", row.end_reason
            )
            rows.setdefault(Login(login.mark, user), []).append(row)
            self._judge_row(row, login)
        failed = sum(
            not isinstance(result, Outcome) and self._actors[actor].kind.signs_in
            for actor, result in run.results.items()
        )
        unborn = [
            row for login in rows if login.mark == "never live" for row in rows[login]
        ]
        self.expect(len(unborn) <= failed, "a row without a session", len(unborn))
        for login in set(self._keys.values()):
            if login.user is not None:
                count = len(rows.get(login, []))
                is_pruned = self._stage.log_limit == 0 and login not in self._now.logins
                self.expect(
                    count == 1 or (is_pruned and count == 0),
                    f"{count} rows of a login",
                    login,
                )
        for user in (self._ann, self._bob):
            live = set(map(session_id, self._now.live(user)))
            active = set(
                LoggedSession.objects.for_user(user)
                .active()
                .values_list("session_id", flat=True)
            )
            self.expect(
                not live - active, "live without an active row", len(live - active)
            )
            self.expect(
                not active - live, "an active row without a session", len(active - live)
            )

    def _judge_row(self, row: LoggedSession, login: Login) -> None:
        if row.ended_at is None:
            self.expect(
                not row.end_reason, "an active row with a reason", row.end_reason
            )
            return
        end = self._ended.get(login)
        if login in self._now.logins or end is None:
            return
        allowed: set[str] = {*end.reasons}
        if EndReason.EXPIRED in end.reasons:  # whoever finds it gone says so, or lost
            allowed |= set(FOUND_GONE)
        if self._stage.log_limit == 0:
            # What told the reason was pruned before the row of a rotation came by.
            allowed |= set(FOUND_GONE)
        for who in self._actors:  # who wanted the same, and came too late to do it
            if self._must_end(who, login):
                allowed.add(who.kind.reason)
        self.expect(
            row.end_reason in allowed,
            "a row with the wrong reason",
            f"{login}: {row.end_reason or 'none'}, not {'/'.join(sorted(allowed))}",
        )


def _is_unheard(run: Run) -> bool:
    """Tell whether nobody learned of the lost reply, so that nobody did it again.

    It was that to the mark of a load, which has its data already and goes on: a server
    that takes no writes keeps everybody signed in.
    """
    if run.lost is None or not run.lost.words.startswith("save keep"):
        return False
    at = next(n for n, (_, step) in enumerate(run.steps) if step is run.lost)
    actor = run.steps[at][0]
    later = [step for who, step in run.steps[at + 1 :] if who == actor]
    return all(step.words != run.lost.words for step in later[:1])


def _words(end: End) -> str:
    return "/".join(sorted(end.reasons))
