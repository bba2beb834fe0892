"""User models with other primary keys than an integer."""

import uuid
from typing import ClassVar

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


def awkward_key() -> str:
    """Draw a key with what Redis keys, patterns and hash tags are made of."""
    return f"a:{{b}}%2F*?[ü☃]\\-{uuid.uuid4().hex}"


class StringUser(BaseUser):
    """A string for a key."""

    id = models.CharField(primary_key=True, max_length=80, default=awkward_key)
