"""The README names what the code has, and nothing that it has not."""

import re
from pathlib import Path

import pytest
from django.dispatch import Signal

from expire_sessions import installed, signals
from expire_sessions.checks.messages import Section
from expire_sessions.conf import KNOWN
from expire_sessions.reasons import EndReason
from tests.test_checks import LISTED

README = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")
SIGNALS = {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def first_cells(section: str) -> set[str]:
    """Return what the first column of a section's table names in code marks."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE))


def test_the_settings_are_those_of_the_code() -> None:
    assert first_cells("Settings") == set(KNOWN)


def test_the_default_of_each_setting_is_told() -> None:
    for name, setting in KNOWN.items():
        default = setting.default
        shown = f'"{default}"' if isinstance(default, str) else str(default)
        assert f"| `{name}` | `{shown}` |" in README


def test_the_check_of_each_setting_is_told() -> None:
    for name, setting in KNOWN.items():
        row = f"| `expire_sessions.{setting.check}` | `{name}` has a wrong value |"
        assert row in README


def test_the_signals_are_those_of_the_code() -> None:
    assert first_cells("Signals") == SIGNALS
    assert "`superuser_handler`" in README


def test_the_checks_are_those_of_the_code() -> None:
    told = {name.removeprefix("expire_sessions.") for name in first_cells("Checks")}
    assert told == set(LISTED)


def test_the_reasons_are_those_of_the_code() -> None:
    assert first_cells("Reading the login history") == set(EndReason)


def test_every_hint_names_a_section() -> None:
    installed_at = Path(str(installed.__file__)).read_text(encoding="utf-8")
    named = {*Section, *re.findall(r'README: "(.+)"', installed_at)}
    headings = set(re.findall(r"^## (.+)$", README, flags=re.MULTILINE))
    assert named <= headings


@pytest.mark.parametrize("session", ["demo", "tests"])
def test_it_opens_with_the_two_commands(session: str) -> None:
    command = f"python -m pip install nox && nox -s {session}"
    assert README.index(command) < README.index("\n## ")
