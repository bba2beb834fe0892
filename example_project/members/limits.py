"""How many sessions members may have, beside what ``EXPIRE_MAX_USERS`` says."""

from collections.abc import MutableMapping
from typing import Any, Final

from django.contrib.auth.models import Group

TEAM: Final = "team"
TEAM_SESSIONS: Final = 3


def team_limit(
    sender: Any, settings: MutableMapping[str, Any], **kwargs: object
) -> None:
    """Give each member of the group "team" three sessions.

    One query: asked by its number, the user is not fetched.
    """
    if Group.objects.filter(name=TEAM, user=sender.pk).exists():
        settings["max_users"] = TEAM_SESSIONS
