"""The first page of the example site tells of the last access."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from example_project.members import views

pytestmark = pytest.mark.django_db

MEMBERS = "example_project.members"
DEFAULT: dict[str, Any] = settings.TEMPLATES[0]
PAGES: dict[str, Any] = {
    **DEFAULT,
    "DIRS": [Path(str(views.__file__)).with_name("templates")],
    "OPTIONS": {
        **DEFAULT["OPTIONS"],
        "libraries": {"device": f"{MEMBERS}.templatetags.device"},
    },
}
ANN = {"username": "ann", "password": "ann"}

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.urls("example_project.urls")
@override_settings(TEMPLATES=[PAGES], LOGIN_REDIRECT_URL="home")
def test_it_is_shown_until_the_person_says_so(ann: Any) -> None:
    """The login answers with a redirect: the page after it shows the line."""
    assert Client(headers={"user-agent": FIREFOX}).post("/login/", ANN).url == "/"  # type: ignore[attr-defined]
    browser = Client()
    browser.post("/login/", ANN | {"password": "wrong"})
    page = browser.post("/login/", ANN, follow=True).content.decode()
    for _ in range(2):
        assert "from\n          127.0.0.1 with Firefox on Linux" in page
        assert "1 attempt\n" in page
        page = browser.get("/").content.decode()
    assert browser.get("/seen/").status_code == 405
    page = browser.post("/seen/", follow=True).content.decode()
    assert "You are" in page
    assert "last-access" not in page


@pytest.mark.urls("example_project.urls")
@override_settings(TEMPLATES=[PAGES], LOGIN_REDIRECT_URL="home")
def test_the_first_login_is_told_nothing(ann: Any) -> None:
    page = Client().post("/login/", ANN, follow=True).content.decode()
    assert "You are" in page
    assert "last-access" not in page
