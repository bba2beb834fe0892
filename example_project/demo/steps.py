"""The steps of the demo. Each says what it does and verifies that it did.

Their numbers are their own: a site that is set up differently fails them.
"""

from collections.abc import Callable
from typing import Final

from example_project.demo.accounts import ANN, BOB, ROOT, Account
from example_project.demo.browsers import (
    ENDED,
    NAMES,
    NOBODY,
    SIGNED_OUT,
    Browser,
    Browsers,
)
from example_project.demo.history import (
    browsers_of,
    outcomes,
    rows_of,
    say_history,
)
from example_project.demo.report import verify
from expire_sessions.models import LoggedSession

FIREFOX, CHROME, PHONE, EDGE, ANDROID = NAMES
KEPT: Final = 3

EVICTED: Final = "evicted"
LOGOUT: Final = "logout"
ACTIVE: Final = ""


def one_session(browsers: Browsers) -> None:
    """Ann may have one session: EXPIRE_MAX_USERS = 1."""
    first, second = _sign_in(browsers, ANN, (FIREFOX, CHROME))
    _verify_out(first)
    _verify_in(ANN, [second])


def three_for_the_team(browsers: Browsers) -> None:
    """Bob may have three: an expire_check handler gives them to his group."""
    three = _sign_in(browsers, BOB, (FIREFOX, CHROME, PHONE))
    _verify_in(BOB, three)
    fourth = _sign_in(browsers, BOB, (EDGE,))
    # Asked above in the order of their logins: the first is the least recently seen.
    _verify_out(three[0])
    _verify_in(BOB, [*three[1:], *fourth])


def no_limit_for_superusers(browsers: Browsers) -> None:
    """A superuser may have any number: superuser_handler is connected."""
    five = _sign_in(browsers, ROOT, NAMES)
    _verify_in(ROOT, five)
    *others, last = five
    page = last.sign_out()
    verify(f"Root signs out with {last.name}", expected=NOBODY, found=page.user)
    verify("The page says so, and no more", expected=SIGNED_OUT, found=page.told)
    _verify_in(ROOT, others)


def login_history(browsers: Browsers) -> None:
    """The login history has a row for each login, and why it ended."""
    say_history()
    expected = [
        *_logins(ANN, EVICTED, ACTIVE),
        *_logins(BOB, EVICTED, ACTIVE, ACTIVE, ACTIVE),
        *_logins(ROOT, ACTIVE, ACTIVE, ACTIVE, ACTIVE, LOGOUT),
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
        _sign_in(browsers, ANN, (name,))
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
    login_history,
    pruned_history,
)


def _logins(account: Account, *reasons: str) -> list[tuple[str, str, str]]:
    """Return an account's logins with the browsers in their order, and their ends."""
    return [(account.name, *login) for login in zip(NAMES, reasons, strict=False)]


def _sign_in(
    browsers: Browsers, account: Account, names: tuple[str, ...]
) -> list[Browser]:
    opened = [browsers.open(name) for name in names]
    for browser in opened:
        verify(
            f"{account.name.title()} signs in with {browser.name}",
            expected=account.name,
            found=browser.sign_in(account).user,
        )
    return opened


def _verify_out(browser: Browser) -> None:
    page = browser.home()
    verify(
        f"{browser.name} is signed out on its next request",
        expected=NOBODY,
        found=page.user,
    )
    verify("Its page says why", expected=ENDED, found=page.told)
    again = browser.home()
    verify("It says so once", expected=(NOBODY, None), found=(again.user, again.told))


def _verify_in(account: Account, browsers: list[Browser]) -> None:
    verify(
        f"{account.name.title()} is signed in: {_names(browsers)}",
        expected=[account.name] * len(browsers),
        found=[browser.home().user for browser in browsers],
    )
    verify(
        f"{account.name.title()}'s page lists {len(browsers)} live",
        expected=len(browsers),
        found=browsers[-1].home().sessions,
    )


def _names(browsers: list[Browser]) -> str:
    return ", ".join(browser.name for browser in browsers)
