"""The steps of the demo. Each says what it does and verifies that it did.

Their numbers are their own: a site that is set up differently fails them.
"""

from collections.abc import Callable
from typing import Final

from example_project.demo.accounts import ANN, BOB, CLEO, DAN, ROOT, Account
from example_project.demo.at_limit import chosen, refused
from example_project.demo.browsers import NAMES, Browsers
from example_project.demo.history import (
    browsers_of,
    outcomes,
    rows_of,
    say_history,
)
from example_project.demo.pages import NOBODY, SIGNED_OUT
from example_project.demo.report import verify
from example_project.demo.verified import (
    TOLD_EVICTED,
    sign_in,
    verify_in,
    verify_out,
)
from expire_sessions.models import LoggedSession

FIREFOX, CHROME, PHONE, EDGE, ANDROID = NAMES
ONE_AND_THEN: Final = (FIREFOX, CHROME, CHROME, CHROME)
"""With which browsers a login is tried at the limit."""

KEPT: Final = 3

EVICTED: Final = "evicted"
LOGOUT: Final = "logout"
REFUSED: Final = "refused"
ENDED: Final = "ended"
ACTIVE: Final = ""


def one_session(browsers: Browsers) -> None:
    """Ann may have one session: EXPIRE_MAX_USERS = 1."""
    first, second = sign_in(browsers, ANN, (FIREFOX, CHROME))
    verify_out(first, TOLD_EVICTED.format(device=second.name))
    verify_in(ANN, [second])


def three_for_the_team(browsers: Browsers) -> None:
    """Bob may have three: an expire_check handler gives them to his group."""
    three = sign_in(browsers, BOB, (FIREFOX, CHROME, PHONE))
    verify_in(BOB, three)
    (fourth,) = sign_in(browsers, BOB, (EDGE,))
    # Asked above in the order of their logins: the first is the least recently seen.
    verify_out(three[0], TOLD_EVICTED.format(device=fourth.name))
    verify_in(BOB, [*three[1:], fourth])


def no_limit_for_superusers(browsers: Browsers) -> None:
    """A superuser may have any number: superuser_handler is connected."""
    five = sign_in(browsers, ROOT, NAMES)
    verify_in(ROOT, five)
    *others, last = five
    page = last.sign_out()
    verify(f"Root signs out with {last.name}", expected=NOBODY, found=page.user)
    verify("The page says so, and no more", expected=SIGNED_OUT, found=page.told)
    verify_in(ROOT, others)


def login_history(browsers: Browsers) -> None:
    """The login history has a row for each login, and why it ended."""
    say_history()
    expected = [
        *_logins(ANN, EVICTED, ACTIVE),
        *_logins(BOB, EVICTED, ACTIVE, ACTIVE, ACTIVE),
        *_logins(ROOT, ACTIVE, ACTIVE, ACTIVE, ACTIVE, LOGOUT),
        *_logins(CLEO, LOGOUT, REFUSED, REFUSED, ACTIVE, names=ONE_AND_THEN),
        *_logins(DAN, ENDED, REFUSED, ACTIVE, names=ONE_AND_THEN),
    ]
    verify(
        f"{len(expected)} logins, {len(expected)} rows, each with its end or active",
        expected=expected,
        found=outcomes(),
    )


def pruned_history(browsers: Browsers) -> None:
    """A user's history keeps the newest three that ended: EXPIRE_LOG_LIMIT = 3."""
    others = LoggedSession.objects.exclude(user__username=ANN.name).order_by("pk")
    before = list(others.values_list())
    logins = browsers_of(rows_of(ANN))
    for name in (PHONE, EDGE, ANDROID, FIREFOX):
        sign_in(browsers, ANN, (name,))
        logins.append(name)
    say_history()
    *ended, active = logins
    verify(
        f"Of Ann's {len(ended)} logins that ended the newest {KEPT} are kept",
        expected=ended[-KEPT:],
        found=browsers_of(rows_of(ANN).ended()),
    )
    verify(
        "Her active one is there",
        expected=[active],
        found=browsers_of(rows_of(ANN).active()),
    )
    verify(
        "The rows of the others are as they were",
        expected=before,
        found=list(others.values_list()),
    )


STEPS: Final[tuple[Callable[[Browsers], None], ...]] = (
    one_session,
    three_for_the_team,
    no_limit_for_superusers,
    refused,
    chosen,
    login_history,
    pruned_history,
)


def _logins(
    account: Account, *reasons: str, names: tuple[str, ...] = NAMES
) -> list[tuple[str, str, str]]:
    """Return an account's logins with the browsers in their order, and their ends."""
    return [(account.name, *login) for login in zip(names, reasons, strict=False)]
