"""What several steps do, and verify each time."""

from typing import Final

from example_project.demo.accounts import Account
from example_project.demo.browsers import Browser, Browsers
from example_project.demo.pages import NOBODY
from example_project.demo.report import verify

TOLD_EVICTED: Final = (
    "You signed in on another device ({device}), so this one was signed out. If that"
    " was not you, change your password."
)
TOLD_ENDED: Final = (
    "You were signed out here from another device, or by the site. Please sign in"
    " again."
)


def sign_in(
    browsers: Browsers, account: Account, names: tuple[str, ...]
) -> list[Browser]:
    """Sign in with a new browser of each name; return them."""
    opened = [browsers.open(name) for name in names]
    for browser in opened:
        verify(
            f"{account.name.title()} signs in with {browser.name}",
            expected=account.name,
            found=browser.sign_in(account).user,
        )
    return opened


def verify_out(browser: Browser, told: str) -> None:
    """See that a session has ended, and that its browser is told why, once."""
    page = browser.home()
    verify(
        f"{browser.name} is signed out on its next request",
        expected=NOBODY,
        found=page.user,
    )
    verify(f"Its page says: {told}", expected=told, found=page.told)
    again = browser.home()
    verify("It says so once", expected=(NOBODY, None), found=(again.user, again.told))


def verify_in(account: Account, browsers: list[Browser]) -> None:
    """See that these are signed in, and no others."""
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
