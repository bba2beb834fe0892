"""The history in the admin is there to read."""

import datetime
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from expire_sessions.models import LoggedSession
from tests.sessions import sign_in

pytestmark = pytest.mark.django_db

LIST = reverse("admin:expire_sessions_loggedsession_changelist")


@pytest.fixture
def row(ann: Any) -> LoggedSession:
    """A login of Ann's."""
    sign_in(ann)
    return LoggedSession.objects.for_user(ann).get()


@pytest.fixture
def staff(db: None) -> Client:
    """The browser of somebody who may do everything."""
    browser = Client()
    users = get_user_model()._default_manager
    browser.force_login(users.create(username="root", is_staff=True, is_superuser=True))
    return browser


def row_ended(row: LoggedSession) -> datetime.datetime:
    """Return when the session of a row ended."""
    row.refresh_from_db()
    assert row.ended_at is not None
    return row.ended_at


def page(name: str, row: LoggedSession) -> str:
    """Return the address of a page about a row."""
    return reverse(f"admin:expire_sessions_loggedsession_{name}", args=[row.pk])


def test_the_list_shows_and_finds_logins(staff: Client, row: LoggedSession) -> None:
    assert "worker" in staff.get(LIST).content.decode()
    assert "worker" in staff.get(LIST, {"q": "ann"}).content.decode()
    assert "worker" not in staff.get(LIST, {"q": "nobody"}).content.decode()
    assert "worker" in staff.get(LIST, {"q": "127.0.0.1"}).content.decode()


def test_the_list_is_one_query_however_long(
    staff: Client, row: LoggedSession, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        sign_in(row.user)
    with django_assert_max_num_queries(7):
        staff.get(LIST)


def test_the_list_tells_how_each_session_ended(
    staff: Client, row: LoggedSession
) -> None:
    sign_in(row.user)  # which evicts the first
    content = staff.get(LIST).content.decode()
    cells = re.findall(
        r'class="field-(?:ended|end_reason)(?: nowrap)?">([^<]*)<', content
    )
    (active, none), (ended, reason) = cells[:2], cells[2:4]
    assert (active, none) == ("active", "-")
    assert ended == date_format(timezone.localtime(row_ended(row)), "DATETIME_FORMAT")
    assert reason == "evicted"


@pytest.mark.parametrize("choice,reasons", [("yes", [""]), ("no", ["evicted"])])
def test_the_list_can_be_of_active_rows_or_of_ended_ones(
    staff: Client, row: LoggedSession, choice: str, reasons: list[str]
) -> None:
    sign_in(row.user)
    response = staff.get(LIST, {"active": choice, "q": "ann"})
    rows = response.context["cl"].result_list
    assert [each.end_reason for each in rows] == reasons


def test_a_choice_that_is_none_shows_them_all(
    staff: Client, row: LoggedSession
) -> None:
    response = staff.get(LIST, {"active": "perhaps"})
    assert row in response.context["cl"].result_list


def test_a_row_is_named_after_its_user(staff: Client, row: LoggedSession) -> None:
    assert "<h2>ann: 20" in staff.get(page("change", row)).content.decode()


def test_its_name_asks_no_query(
    row: LoggedSession, django_assert_num_queries: Any
) -> None:
    found = LoggedSession.objects.get(pk=row.pk)
    with django_assert_num_queries(0):
        assert str(found).startswith(f"{row.user_id}: 20")


def test_a_row_whose_user_is_gone_is_still_shown(
    staff: Client, row: LoggedSession
) -> None:
    users = get_user_model()._default_manager.filter(pk=row.user_id)
    users._raw_delete(users.db)  # as SQL does, which does not cascade
    assert "worker" in staff.get(LIST).content.decode()
    content = staff.get(page("change", row)).content.decode()
    assert f"<h2>{row.user_id}: 20" in content


def test_a_row_can_be_viewed(staff: Client, row: LoggedSession) -> None:
    content = staff.get(page("change", row)).content.decode()
    assert row.session_id in content
    assert 'name="_save"' not in content
    assert "deletelink" not in content


def test_nothing_is_added_changed_or_deleted(staff: Client, row: LoggedSession) -> None:
    add = reverse("admin:expire_sessions_loggedsession_add")
    assert staff.get(add).status_code == 403
    assert staff.post(page("change", row), {"ip": "::1"}).status_code == 403
    assert staff.post(page("delete", row), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    staff.post(LIST, action)
    assert LoggedSession.objects.filter(pk=row.pk, ip="127.0.0.1").exists()


def test_a_user_is_deleted_with_the_rows(staff: Client, row: LoggedSession) -> None:
    address = reverse("admin:auth_user_delete", args=[row.user.pk])
    assert staff.post(address, {"post": "yes"}).status_code == 302
    assert not get_user_model()._default_manager.filter(username="ann").exists()
    assert not LoggedSession.objects.filter(pk=row.pk).exists()
