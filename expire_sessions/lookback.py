"""What the database knows of an account before a login: sign-ins, also failed ones.

Failed ones are counted, not listed: one row for each account, so that a flood of them
fills nothing.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.db.models import F, QuerySet, Subquery

from expire_sessions.access import Before, SignIn
from expire_sessions.models import FailedSignIns, LoggedSession
from expire_sessions.models.rows import own_savepoint
from expire_sessions.reasons import EndReason

__all__ = ["before", "count_failure", "note_told"]

LOOK_BACK: Final = 50
"""Sign-ins that a login is compared with. A device older than that is new again."""

NOT_STARTED: Final = (
    EndReason.INTERRUPTED,
    EndReason.LOST,
    EndReason.REFUSED,
    EndReason.REPLACED,
)
"""How rows of logins end that never had a place, or whose browser never knew."""


def before(pk: Any) -> Before:
    """Return what is known of a user at a login. One query, two where there is no row.

    Args:
        pk: the user's primary key.
    """
    rows = (
        LoggedSession.objects.filter(user_id=pk)
        .exclude(end_reason__in=NOT_STARTED)
        .order_by("-date_logged", "-pk")
        .annotate(failures=Subquery(_untold(pk)))
        .values_list(
            "session_id", "date_logged", "ip", "user_agent", "ended_at", "failures"
        )
    )
    found = list(rows[:LOOK_BACK])
    sign_ins = tuple(
        SignIn(name, when, ip, user_agent, is_active=ended_at is None)
        for name, when, ip, user_agent, ended_at, _ in found
    )
    failures = found[0][-1] if found else _untold(pk).first()
    return Before(sign_ins, failures or 0)


def note_told(pk: Any, failures: int) -> None:
    """Note that a login was told of so many failures. One query.

    Two logins at once may both be told of the same ones: they are subtracted once. What
    has failed since the login looked stays for the next one.
    """
    untold = FailedSignIns.objects.filter(user_id=pk, told__lte=F("count") - failures)
    untold.update(told=F("told") + failures)


def count_failure(credentials: Mapping[str, Any]) -> None:
    """Count a failed sign-in.

    A look for the account and one update of one row, also where there is no such
    account: neither the work nor the time tells which accounts exist. The very first
    failure of each adds an insert. Credentials without a name are not counted.
    """
    users: Any = get_user_model()
    for key in (users.USERNAME_FIELD, "username"):
        if key in credentials:
            _count_one(_pk_by_name(credentials[key]))
            return
    if "email" in credentials:
        _count_one(_pk_by_email(credentials["email"]))


def _untold(pk: Any) -> "QuerySet[Any, int]":
    rows = FailedSignIns.objects.filter(user_id=pk)
    return rows.values_list(F("count") - F("told"), flat=True)


def _pk_by_name(name: Any) -> Any:
    """Look an account up as Django's ModelBackend does; None where there is none."""
    users: Any = get_user_model()
    if not _is_text(name):
        return None
    with suppress(users.DoesNotExist):
        return users._default_manager.get_by_natural_key(name).pk
    return None


def _pk_by_email(email: Any) -> Any:
    """Look up the one account with this address; None where it is not one's."""
    users: Any = get_user_model()
    if not _is_text(email):
        return None
    own = users._default_manager.filter(
        **{f"{users.get_email_field_name()}__iexact": email}
    )
    pks = list(own.values_list("pk", flat=True)[:2])
    return pks[0] if len(pks) == 1 else None


def _is_text(name: Any) -> bool:
    """Tell whether a name can be asked for: PostgreSQL takes no NUL."""
    return isinstance(name, str) and "\0" not in name


def _count_one(pk: Any) -> None:
    """Count it for a user, or, with None, for nobody."""
    rows = FailedSignIns.objects.filter(user_id=pk)
    if rows.update(count=F("count") + 1):
        return
    try:
        with own_savepoint(FailedSignIns):
            FailedSignIns.objects.create(user_id=pk, count=1)
    except IntegrityError:  # another request was faster
        rows.update(count=F("count") + 1)
