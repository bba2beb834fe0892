"""Who signs in to the demo."""

from typing import Final, NamedTuple

from django.contrib.auth.models import Group, User

from example_project.members.limits import TEAM


class Account(NamedTuple):
    """A user of the site."""

    name: str
    password: str
    about: str


ANN: Final = Account("ann", "ann-demo", "one session")
BOB: Final = Account("bob", "bob-demo", f'three sessions, being in the group "{TEAM}"')
ROOT: Final = Account("root", "root-demo", "superuser: no limit, and the admin")
ACCOUNTS: Final = (ANN, BOB, ROOT)


def create_accounts() -> None:
    """Create them all."""
    User.objects.create_user(ANN.name, password=ANN.password)
    bob = User.objects.create_user(BOB.name, password=BOB.password)
    bob.groups.add(Group.objects.create(name=TEAM))
    User.objects.create_superuser(ROOT.name, password=ROOT.password)
