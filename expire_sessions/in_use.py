"""The session of the request that is being handled, in this thread or task.

Django hands it to the view alone. So each store is noted when it is made, which the
session middleware does at the beginning of a request.

Two are kept: the first, which is the middleware's where the view makes others, and the
last, which is the middleware's where others were made before the request, as in a test
with ``AsyncClient``. To keep one too many is harmless: see ``receivers.account``.
"""

from contextvars import ContextVar
from typing import Any, Final, TypeAlias
from weakref import ReferenceType, ref

from django.contrib.sessions.backends.base import SessionBase
from django.urls import get_urlconf

__all__ = ["forget_stores", "note_store", "stores_in_use"]


# A plain tuple: every load makes a store, and a named one takes a percent of a load.
Noted: TypeAlias = tuple[ReferenceType[SessionBase], ReferenceType[SessionBase]]

_noted: Final[ContextVar[Noted | None]] = ContextVar(
    "expire_sessions.in_use", default=None
)
"""The first and the last store that were made here since the last request."""


def note_store(store: SessionBase) -> None:
    """Note a store that has just been made. It is not kept alive for that."""
    noted, last = _noted.get(), ref(store)
    first = last if noted is None or noted[0]() is None else noted[0]
    _noted.set((first, last))


def stores_in_use() -> list[SessionBase]:
    """Return the stores of the request that is being handled; none outside of one."""
    noted = _noted.get()
    # Django sets it at the beginning of every request, and drops it at the end.
    if noted is None or get_urlconf() is None:
        return []
    stores = (store for each in noted if (store := each()) is not None)
    return list(dict.fromkeys(stores))


def forget_stores(**kwargs: Any) -> None:
    """Begin anew: the thread of a sync server handles one request after the other.

    Receives ``request_started`` and ``request_finished``.
    """
    _noted.set(None)
