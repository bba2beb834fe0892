"""The app of the example site: it connects what decides on the limits."""

from django.apps import AppConfig


class MembersConfig(AppConfig):
    """``INSTALLED_APPS = ["example_project.members", ...]``."""

    name = "example_project.members"

    def ready(self) -> None:
        """Connect the handlers. The last one to speak about a user decides."""
        from example_project.members.limits import (  # noqa: PLC0415
            group_policy,
            team_limit,
        )
        from expire_sessions.signals import (  # noqa: PLC0415 - as Django advises
            expire_check,
            superuser_handler,
        )

        expire_check.connect(team_limit, dispatch_uid="team_limit")
        expire_check.connect(group_policy, dispatch_uid="group_policy")
        expire_check.connect(superuser_handler, dispatch_uid="superuser_handler")
