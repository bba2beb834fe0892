"""Who signs in to the demo."""

from typing import Final, NamedTuple

from django.contrib.auth.models import Group, User

from example_project.members.limits import EXAM, FAMILY, TEAM


class Account(NamedTuple):
    """A user of the site."""

    name: str
    password: str
    about: str


ANN: Final = Account("ann", "ann-demo", "one session")
BOB: Final = Account("bob", "bob-demo", f'three sessions, being in the group "{TEAM}"')
CLEO: Final = Account("cleo", "cleo-demo", "one session, and no further login")
DAN: Final = Account("dan", "dan-demo", "one session, and chooses what ends")
ROOT: Final = Account("root", "root-demo", "superuser: no limit, and the admin")
ACCOUNTS: Final = (ANN, BOB, CLEO, DAN, ROOT)
GROUPS: Final = {TEAM: BOB, EXAM: CLEO, FAMILY: DAN}
"""The one member of each group."""


def create_accounts() -> None:
    """Create them all."""
    for name, password, _ in (ANN, BOB, CLEO, DAN):
        User.objects.create_user(name, password=password)
    User.objects.create_superuser(ROOT.name, password=ROOT.password)
    for group, member in GROUPS.items():
        user = User.objects.get(username=member.name)
        user.groups.add(Group.objects.create(name=group))
