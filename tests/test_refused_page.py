"""What a refused login is answered: a page that says why, or JSON."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings

from tests.choosing import asking, try_login
from tests.sessions import ids, live_ids, sign_in

pytestmark = pytest.mark.django_db

WHY = "Your sign-in details are right, but this account is signed in on as many devices"


@pytest.fixture(autouse=True)
def refuse() -> Iterator[None]:
    """Let the project refuse; its middleware for asking does not mind."""
    with asking(EXPIRE_POLICY="refuse"):
        yield


def refused(path: str = "/accounts/login/", **headers: str) -> Any:
    """Return what the second browser of a user is answered."""
    form = {"username": "ann", "password": "ann"}
    response = Client(headers=headers).post(path, form)
    assert isinstance(response, HttpResponse)
    assert response.status_code == 403
    assert "no-store" in response.headers["Cache-Control"]
    return response


@pytest.mark.parametrize("path", ["/accounts/login/?next=/x/", "/admin/login/"])
def test_a_page_says_why_and_what_to_do(ann: Any, path: str) -> None:
    ann.is_staff = True
    ann.save()
    first = sign_in(ann)
    page = refused(path)
    assert WHY in page.text
    assert "Sign out on one of them" in page.text
    assert f'href="{path}"' in page.text
    assert "incorrect" not in page.text
    assert "<script" not in page.text
    assert page.headers["Content-Type"].startswith("text/html")
    assert live_ids(ann) == ids(first)


@pytest.mark.parametrize(
    "accept",
    ["application/json", "application/json, text/html;q=0.5", "application/*"],
)
def test_who_asks_for_json_gets_it(ann: Any, accept: str) -> None:
    sign_in(ann)
    response = refused(accept=accept)
    told = response.json()
    assert told["detail"].startswith(WHY)
    assert told["code"] == "session_limit_reached"
    assert {*told} == {"code", "detail"}
    assert response.headers["Vary"] == "Accept, Cookie"


@pytest.mark.parametrize(
    "accept",
    ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", "", "image/png"],
)
def test_everybody_else_gets_the_page(ann: Any, accept: str) -> None:
    sign_in(ann)
    assert WHY in refused(accept=accept).text


def test_its_words_are_translated_and_its_language_is_told(ann: Any) -> None:
    sign_in(ann)
    with override_settings(LANGUAGE_CODE="ar"):
        assert '<html lang="ar" dir="rtl">' in refused().text


def test_every_other_refusal_is_as_django_has_it() -> None:
    page = Client(headers={"accept": "application/json"}).get("/forbidden/")
    assert page.status_code == 403
    assert "<h1>403 Forbidden</h1>" in page.text
    assert "Cache-Control" not in page.headers


def test_without_a_template_engine_it_is_djangos_page(ann: Any, settings: Any) -> None:
    sign_in(ann)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": False}]
    response = try_login(Client())
    assert response.status_code == 403
    assert "403 Forbidden" in response.text


def test_a_template_of_the_project_comes_first(
    ann: Any, settings: Any, tmp_path: Any
) -> None:
    folder = tmp_path / "expire_sessions"
    folder.mkdir()
    template = folder.joinpath("session_limit_reached.html")
    template.write_text("ours: {{ detail }} {{ login_path }}", encoding="utf-8")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    sign_in(ann)
    assert refused().text.startswith(f"ours: {WHY}")


def test_the_own_page_of_a_project_may_show_the_text(
    ann: Any, settings: Any, tmp_path: Any
) -> None:
    """Without our handler: what Django's hands to 403.html is the same text."""
    tmp_path.joinpath("403.html").write_text("{{ exception }}", encoding="utf-8")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    settings.ROOT_URLCONF = "tests.urls"
    sign_in(ann)
    response = Client().get("/login/", {"username": "ann", "password": "ann"})
    assert (response.status_code, response.text[: len(WHY)]) == (403, WHY)
