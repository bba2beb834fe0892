"""Show the steps, one after the other, and the site after them."""

import signal

import httpx

from example_project.demo.accounts import ACCOUNTS
from example_project.demo.browsers import Browsers
from example_project.demo.report import NotAsSaidError, say, say_table
from example_project.demo.server import serve
from example_project.demo.steps import STEPS


def show(*, stay: bool) -> int:
    """Show them and return the exit code.

    Args:
        stay: keep the site up after, until Ctrl-C.
    """
    with serve() as address:
        say(f"The example site is up at {address}")
        if not _steps_hold(address):
            return 1
        say("\nEvery step did what it said.")
        if stay:
            _stay_up(address)
    return 0


def _steps_hold(address: str) -> bool:
    with Browsers(address) as browsers:
        try:
            for number, step in enumerate(STEPS, 1):
                say(f"\n{number}. {step.__doc__}")
                step(browsers)
        except NotAsSaidError:
            return False
        except httpx.HTTPError as error:
            say(f"   FAILED  {error}")
            return False
    return True


def _stay_up(address: str) -> None:
    try:
        say(f"\nThe site stays up at {address}")
        say(f"        and its admin at {address}admin/\n")
        say_table(("user", "password", "may have"), ACCOUNTS)
        say("\nCtrl-C ends it.")
        while True:
            signal.pause()
    except KeyboardInterrupt:
        say()
