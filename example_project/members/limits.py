"""How many sessions members may have, beside what ``EXPIRE_MAX_USERS`` says."""

from collections.abc import MutableMapping
from typing import Any, Final

TEAM: Final = "team"
TEAM_SESSIONS: Final = 3


def team_limit(
    sender: Any, settings: MutableMapping[str, Any], **kwargs: object
) -> None:
    """Give each member of the group "team" three sessions."""
    if sender.groups.filter(name=TEAM).exists():
        settings["max_users"] = TEAM_SESSIONS
