"""What members may have, beside what ``EXPIRE_MAX_USERS`` and ``EXPIRE_POLICY`` say."""

from collections.abc import MutableMapping
from typing import Any, Final

from django.contrib.auth.models import Group

TEAM: Final = "team"
TEAM_SESSIONS: Final = 3

EXAM: Final = "exam"
FAMILY: Final = "family"
POLICIES: Final = {EXAM: "refuse", FAMILY: "ask"}
"""What happens at the limit to the members of a group."""


def team_limit(
    sender: Any, settings: MutableMapping[str, Any], **kwargs: object
) -> None:
    """Give each member of the group "team" three sessions.

    One query: asked by its number, the user is not fetched.
    """
    if Group.objects.filter(name=TEAM, user=sender.pk).exists():
        settings["max_users"] = TEAM_SESSIONS


def group_policy(
    sender: Any, settings: MutableMapping[str, Any], **kwargs: object
) -> None:
    """Let nobody push out who sits an exam, and let families choose. One query."""
    groups = Group.objects.filter(name__in=POLICIES, user=sender.pk)
    name = groups.values_list("name", flat=True).first()
    if name is not None:
        settings["policy"] = POLICIES[name]
