"""Sign-ins that fail: counted for their account, and told to its next login."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model, login
from django.contrib.auth.signals import user_login_failed
from django.contrib.sessions.backends.base import UpdateError
from django.db import connection
from django.db.models import F
from django.db.utils import OperationalError
from django.http import HttpRequest
from django.test import Client

from expire_sessions.backend import SessionStore
from expire_sessions.models import FailedSignIns
from tests.asking import lose_payload
from tests.sessions import request_of, sign_in
from tests.threads import all_at_once

pytestmark = pytest.mark.django_db


def fail(times: int = 1, name: str = "ann") -> None:
    """Try to sign in with a wrong password."""
    for _ in range(times):
        assert authenticate(username=name, password="wrong") is None


def failures(store: SessionStore) -> int:
    """Return how many a login was told of."""
    access = store.last_access
    assert access is not None
    return access.failures


def untold() -> dict[Any, int]:
    """Return how many the next login is to be told of, by user."""
    rows = FailedSignIns.objects.annotate(left=F("count") - F("told"))
    return dict(rows.values_list("user_id", "left"))


def counted(credentials: Mapping[str, Any]) -> dict[Any, int]:
    """Tell of a sign-in that failed; return what is counted then."""
    user_login_failed.send(sender=__name__, credentials=credentials, request=None)
    return untold()


def test_the_next_login_is_told_how_many(ann: Any, site: str) -> None:
    sign_in(ann)
    for _ in range(3):
        query = {"username": "ann", "password": "wrong"}
        assert Client().get(f"{site}/login/", query).status_code == 403
    assert failures(sign_in(ann)) == 3
    assert failures(sign_in(ann)) == 0
    fail()
    assert failures(sign_in(ann)) == 1


def test_those_before_the_first_login_are_of_no_interest_to_the_second(
    ann: Any,
) -> None:
    fail(2)
    assert sign_in(ann).last_access is None
    fail(1)
    assert failures(sign_in(ann)) == 1


def test_what_fails_while_a_login_is_on_its_way_is_told_to_the_next(ann: Any) -> None:
    sign_in(ann)
    fail(2)
    request = HttpRequest()
    request.session = store = SessionStore()
    login(request, ann)
    fail(5)
    store.save()
    assert failures(store) == 2
    assert failures(sign_in(ann)) == 5


def test_a_login_that_does_not_take_place_was_told_nothing(ann: Any) -> None:
    sign_in(ann)
    fail(2)
    visitor = SessionStore()
    visitor["cart"] = "full"
    visitor.save()
    request = request_of(visitor)
    login(request, ann)
    lose_payload(request.session.session_key)
    with pytest.raises(UpdateError):
        request.session.save()
    assert failures(sign_in(ann)) == 2


def test_two_logins_at_once_are_told_of_the_same_ones(ann: Any) -> None:
    """None is lost by it: those that came later are left for the third."""
    sign_in(ann)
    fail(2)
    requests = [HttpRequest(), HttpRequest()]
    for request in requests:
        request.session = SessionStore()
        login(request, ann)
    fail(1)
    for request in requests:
        request.session.save()
    assert [failures(SessionStore(r.session.session_key)) for r in requests[1:]] == [2]
    assert failures(sign_in(ann)) == 1


def test_a_flood_makes_one_row_for_each_account_and_one_for_all_others(
    ann: Any, bob: Any
) -> None:
    for number in range(20):
        fail(name=f"nobody{number}")
        fail(name="ann")
    fail(name="bob")
    assert untold() == {None: 20, ann.pk: 20, bob.pk: 1}
    assert str(FailedSignIns.objects.get(user=bob)) == f"{bob.pk}: 1"


def test_names_are_looked_up_as_the_login_does(ann: Any) -> None:
    """Whether "Ann" is ann is up to the database, or to the project's manager."""
    is_ann = authenticate(username="Ann", password="ann") is not None
    fail(name="Ann")
    assert untold()[ann.pk if is_ann else None] == (1 if is_ann else 2)


@pytest.mark.parametrize("name", ["", "a\0b", 7, None, ["ann"], b"ann"])
def test_names_that_no_account_can_have_are_nobodys(ann: Any, name: object) -> None:
    assert counted({"username": name}) == {None: 1}


def test_credentials_without_a_name_are_not_counted(ann: Any) -> None:
    assert counted({"token": "x"}) == {}


def test_an_account_may_be_known_by_its_address(ann: Any, bob: Any) -> None:
    users = get_user_model()
    if not hasattr(ann, "email"):
        pytest.skip("This user model has no addresses.")
    users.objects.filter(pk=ann.pk).update(email="Ann@example.org")
    assert counted({"email": "ann@Example.org"}) == {ann.pk: 1}
    assert counted({"email": "eve@example.org"}) == {ann.pk: 1, None: 1}
    assert counted({"email": None}) == {ann.pk: 1, None: 2}
    users.objects.filter(pk=bob.pk).update(email="ann@example.org")
    assert counted({"email": "ann@example.org"}) == {ann.pk: 1, None: 3}


def test_the_row_goes_with_the_user(ann: Any, bob: Any) -> None:
    fail()
    fail(name="bob")
    ann.delete()
    assert untold() == {bob.pk: 1}


def test_a_counter_that_another_request_has_just_made_is_used(ann: Any) -> None:
    made: list[int] = []

    def make(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and not made:
            made.append(1)
            FailedSignIns.objects.create(user=ann, count=1)
        return result

    with connection.execute_wrapper(make):
        fail()
    assert untold() == {ann.pk: 2}


def test_a_database_that_cannot_be_written_breaks_no_login_page(
    ann: Any, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "failedsignins" in sql:
            raise OperationalError("attempt to write a readonly database")
        return execute(sql, params, many, context)

    query = {"username": "ann", "password": "wrong"}
    with connection.execute_wrapper(refuse):
        assert Client().get(f"{site}/login/", query).status_code == 403
    assert "count_failure" in caplog.text
    assert "wrong" not in caplog.text


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["ann", "nobody"])
def test_none_is_lost_when_many_fail_at_once(ann: Any, bob: Any, name: str) -> None:
    fail(name=name)
    assert all_at_once(lambda: fail(name=name), 8) == []
    assert untold() == {ann.pk if name == "ann" else None: 9}
