"""The README names what the code has, and nothing that it has not."""

import re
from pathlib import Path

import pytest
from django.dispatch import Signal

from expire_sessions import installed, signals
from expire_sessions.checks.messages import Section
from expire_sessions.conf import KNOWN
from expire_sessions.notices import TEXTS
from expire_sessions.reasons import EndReason
from expire_sessions.receivers.audit import FIELDS
from tests.examples import ROOT
from tests.test_checks import LISTED

README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
EVENTS = ROOT.joinpath("docs/events.md").read_text(encoding="utf-8")
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


def test_the_notices_are_those_of_the_code() -> None:
    section = README.split("\n## Why a session ended\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \|", section, flags=re.MULTILINE)
    told = {reason for row in rows for reason in re.findall(r"`(\w+)`", row)}
    assert told == {*TEXTS, EndReason.DELETED}


def test_the_attributes_of_a_record_are_those_of_the_code() -> None:
    section = EVENTS.split("\n## JSON lines for a SIEM\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    assert tuple(told) == FIELDS


def anchors_of(path: str) -> set[str]:
    """Return what a link can name in a text: its headings, as GitHub writes them."""
    text = ROOT.joinpath(path).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((docs/[^)]+)\)", README)
    assert "docs/events.md" in links
    for link in links:
        path, _, anchor = link.partition("#")
        assert anchor in {"", *anchors_of(path)}


def test_every_hint_names_a_section() -> None:
    installed_at = Path(str(installed.__file__)).read_text(encoding="utf-8")
    named = {*Section, *re.findall(r'README: "(.+)"', installed_at)}
    headings = set(re.findall(r"^## (.+)$", README, flags=re.MULTILINE))
    assert named <= headings


@pytest.mark.parametrize("session", ["demo", "tests"])
def test_it_opens_with_the_two_commands(session: str) -> None:
    command = f"python -m pip install nox && nox -s {session}"
    assert README.index(command) < README.index("\n## ")
