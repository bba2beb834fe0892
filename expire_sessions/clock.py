"""From the clock of Redis to times as the project keeps them."""

import datetime
from typing import Final

from django.conf import settings
from django.utils import timezone

__all__ = ["time_of"]

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def time_of(microseconds: int) -> datetime.datetime:
    """Return a time that can stand beside those in the database.

    Without a time zone where ``USE_TZ`` is off, as ``django.utils.timezone.now``.
    """
    aware = EPOCH + datetime.timedelta(microseconds=microseconds)
    return aware if settings.USE_TZ else timezone.make_naive(aware)
