"""Ages and limits that a named rule asks for: ``EXPIRE_PRESET``.

Each stands for the settings below. A setting that the project makes itself wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["PRESETS", "Preset"]

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

IDLE: Final = "EXPIRE_IDLE_AGE"
ABSOLUTE: Final = "EXPIRE_ABSOLUTE_AGE"
MAX_USERS: Final = "EXPIRE_MAX_USERS"


@dataclass(frozen=True, slots=True)
class Preset:
    """What a rule asks for."""

    source: str
    """Where the numbers stand."""

    settings: Mapping[str, Any]

    staff_idle_age: int | None = None
    """Seconds, for users with ``is_staff``; None: as for all."""


PRESETS: Final[Mapping[str, Preset]] = {
    "aal1": Preset(
        "NIST SP 800-63B-4, section 2.1.3: reauthenticated every 30 days",
        {ABSOLUTE: 30 * DAY},
    ),
    "aal2": Preset(
        "NIST SP 800-63B-4, section 2.2.3: 24 hours, and 1 hour of inactivity",
        {ABSOLUTE: DAY, IDLE: HOUR},
    ),
    "aal3": Preset(
        "NIST SP 800-63B-4, section 2.3.3: 12 hours, and 15 minutes of inactivity",
        {ABSOLUTE: 12 * HOUR, IDLE: 15 * MINUTE},
    ),
    "pci": Preset(
        "PCI DSS 4.0.1, requirement 8.2.8: 15 minutes idle",
        {IDLE: 15 * MINUTE},
    ),
    "stig": Preset(
        "ASD STIG: V-222389 (15 minutes idle), V-222390 (10 minutes for admins),"
        " V-222387 (a limit of sessions)",
        {IDLE: 15 * MINUTE, MAX_USERS: 1},
        staff_idle_age=10 * MINUTE,
    ),
    "psd2": Preset(
        "Delegated Regulation (EU) 2018/389 (RTS), article 4(3)(d): 5 minutes without"
        " activity",
        {IDLE: 5 * MINUTE},
    ),
}
