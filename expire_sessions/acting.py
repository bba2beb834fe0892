"""Who is signed in with the request that is being handled, for signals and the log."""

from expire_sessions.in_use import stores_in_use
from expire_sessions.store import HeldStore

__all__ = ["acting_user_id"]


def acting_user_id() -> str | None:
    """Return the id of that user; None where there is none, or it is not known.

    Nothing is loaded for it. A request that has made other session stores may have one
    of another user: where they differ, nobody is named.
    """
    owners = {
        store.owner_id if isinstance(store, HeldStore) else None
        for store in stores_in_use()
    }
    return owners.pop() if len(owners) == 1 else None
