"""Ended rows go by age: all that are too old, and no others."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from expire_sessions.models import LoggedSession
from expire_sessions.models.rows import BATCH
from expire_sessions.protocol.session_keys import session_id
from tests.sessions import sign_in
from tests.threads import all_at_once

pytestmark = pytest.mark.django_db


def write_rows(user: Any, days: list[float], **fields: Any) -> None:
    """Write a row for a login of each of these numbers of days ago."""
    now = timezone.now()
    first = LoggedSession.objects.count()
    LoggedSession.objects.bulk_create(
        LoggedSession(
            user=user,
            session_id=session_id(str(n)),
            date_logged=now - timedelta(days=age),
            **fields,
        )
        for n, age in enumerate(days, first)
    )


def ended(reason: str = "logout") -> dict[str, Any]:
    """Return the fields of a row that has ended just now."""
    return {"ended_at": timezone.now(), "end_reason": reason}


def ages_of(user: Any) -> list[int]:
    """Return how many days ago the logins were that are still known."""
    now = timezone.now()
    rows = LoggedSession.objects.for_user(user).order_by("-date_logged")
    return [(now - row.date_logged).days for row in rows]


def test_the_sweep_drops_what_is_older(ann: Any, bob: Any) -> None:
    write_rows(ann, [1, 29, 31, 400], **ended())
    write_rows(bob, [2, 32], **ended("evicted"))
    with override_settings(EXPIRE_LOG_AGE=30):
        call_command("clearsessions")
    assert ages_of(ann) == [1, 29]
    assert ages_of(bob) == [2]


def test_without_the_setting_nothing_is_too_old(ann: Any) -> None:
    write_rows(ann, [1, 36_000], **ended())
    call_command("clearsessions")
    assert ages_of(ann) == [1, 36_000]


def test_a_live_session_keeps_its_row_however_old(ann: Any) -> None:
    sign_in(ann)
    LoggedSession.objects.update(date_logged=timezone.now() - timedelta(days=400))
    with override_settings(EXPIRE_LOG_AGE=0):
        call_command("clearsessions")
    assert ages_of(ann) == [400]


@pytest.mark.parametrize("days,kept", [(0.5, [0]), (0, [])])
def test_the_age_may_be_part_of_a_day_or_none(
    ann: Any, days: float, kept: list[int]
) -> None:
    write_rows(ann, [0.4, 0.6], **ended())
    LoggedSession.objects.drop_older_than(days)
    assert ages_of(ann) == kept


def test_a_login_on_its_way_keeps_its_row(ann: Any) -> None:
    """It was found gone before it had its place, and opens again when it has."""
    write_rows(ann, [0], **ended("lost"))
    assert LoggedSession.objects.drop_older_than(0) == 0
    assert ages_of(ann) == [0]


def test_it_goes_in_steps_of_bounded_deletes(ann: Any) -> None:
    write_rows(ann, [40] * (2 * BATCH + 3), **ended())
    write_rows(ann, [40])
    write_rows(ann, [1], **ended())
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert LoggedSession.objects.drop_older_than(30) == 2 * BATCH + 3
    assert sorted(ages_of(ann)) == [1, 40]
    deletes = [q["sql"] for q in queries if q["sql"].startswith("DELETE")]
    assert len(deletes) == 3
    assert max(sql.count(",") for sql in deletes) < BATCH


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_drop_the_same_rows(ann: Any) -> None:
    write_rows(ann, [40] * 1700, **ended())
    write_rows(ann, [1] * 5, **ended())
    errors = all_at_once(lambda: LoggedSession.objects.drop_older_than(30), 3)
    assert errors == []
    LoggedSession.objects.drop_older_than(30)  # one that was overtaken stops early
    assert ages_of(ann) == [1] * 5


def test_the_database_has_an_index_for_it(ann: Any) -> None:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(
            cursor, LoggedSession._meta.db_table
        )
    columns = [each["columns"] for each in found.values() if each["index"]]
    assert ["date_logged"] in columns
