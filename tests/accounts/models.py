"""User models with other primary keys than an integer."""

import secrets
import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Users(BaseUserManager["BaseUser"]):
    """A manager with the one method that the tests need."""

    def create_user(self, username: str, password: str, **fields: object) -> "BaseUser":
        """Save a user."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save()
        return user


class BaseUser(AbstractBaseUser):
    """What they have in common."""

    username = models.CharField(max_length=150, unique=True)
    is_superuser = models.BooleanField(default=False)

    USERNAME_FIELD = "username"

    objects: ClassVar = Users()

    class Meta:
        abstract = True


class UuidUser(BaseUser):
    """A UUID for a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class UuidStaff(UuidUser):
    """The same users by another name."""

    class Meta:
        proxy = True


class UuidMember(UuidUser):
    """Some of them, with a table of their own beside."""

    since = models.PositiveIntegerField(default=0)


class Visible(Users):
    """A manager that shows only some of the users, as those of a tenant."""

    def get_queryset(self) -> "models.QuerySet[BaseUser]":
        """Leave out the others."""
        return super().get_queryset().exclude(username="hidden")


class SaltedUser(BaseUser):
    """One whose sessions depend on more than the password."""

    salt = models.CharField(max_length=20, default="")

    objects: ClassVar = Visible()

    def get_session_auth_hash(self) -> str:
        """Return another one for another salt."""
        return f"{super().get_session_auth_hash()}{self.salt}"


class LeavingUser(BaseUser):
    """One who is active until a date, or a flag, says otherwise."""

    has_left = models.BooleanField(default=False)

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether the user is still there."""
        return not self.has_left


class BareUser(models.Model):
    """What Django asks of a user model, and no more: no password, never inactive."""

    username = models.CharField(max_length=150, unique=True)
    last_login = models.DateTimeField(null=True)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    is_anonymous = False
    is_authenticated = True

    def __str__(self) -> str:
        return self.username

    def get_session_auth_hash(self) -> str:
        """Return nothing: Django asks for it from 6.1 on."""
        return ""


def awkward_key() -> str:
    """Draw a key with what Redis keys, patterns and hash tags are made of."""
    return f"a:{{b}}%2F*?[ü☃]\\-{uuid.uuid4().hex}"


class HexField(models.BigIntegerField):  # type: ignore[type-arg] # in the stubs alone
    """A number that is written in another way than it is shown."""

    def value_to_string(self, obj: models.Model) -> str:
        """Write it as 0x1f."""
        return hex(self.value_from_object(obj))

    def to_python(self, value: Any) -> Any:
        """Read it back."""
        is_hex = isinstance(value, str) and value.startswith("0x")
        return int(value, 16) if is_hex else super().to_python(value)


def some_number() -> int:
    """Draw a key whose two ways of being written differ."""
    return 1000 + secrets.randbelow(10**12)


class HexUser(BaseUser):
    """A key whose ``value_to_string`` is not its ``str``."""

    id = HexField(primary_key=True, default=some_number)


class StringUser(BaseUser):
    """A string for a key."""

    id = models.CharField(primary_key=True, max_length=80, default=awkward_key)


class Subscription(models.Model):  # noqa: DJ008 - it is shown nowhere
    """What a user has paid for."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        # This app has no migrations, so its tables are made before the users' table.
        db_constraint=False,
    )
    seats = models.PositiveIntegerField()
