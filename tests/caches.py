"""Where else the tests keep sessions than at the Redis of the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.test import override_settings

from tests.asking import hang_up


def entry(location: str = "", **options: Any) -> dict[str, Any]:
    """Return the cache of the run at another address, with further OPTIONS."""
    cache: dict[str, Any] = settings.CACHES["default"]
    return {
        **cache,
        "LOCATION": location or cache["LOCATION"],
        "OPTIONS": {**cache["OPTIONS"], **options},
    }


@contextmanager
def other_cache(location: str = "", **options: Any) -> Iterator[None]:
    """Keep sessions at another server, or with other options of the cache."""
    with override_settings(CACHES={"default": entry(location, **options)}):
        yield
        hang_up()
