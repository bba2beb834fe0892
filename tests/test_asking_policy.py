"""The policy "ask": a person chooses which sessions end, then the login completes."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client, override_settings

from expire_sessions.backend import SessionStore
from expire_sessions.pending import PENDING
from tests.asking import index_name, members, redis_client
from tests.choosing import (
    ASK,
    CHOOSE,
    asking,
    data_of,
    offered,
    try_login,
    waiting,
)
from tests.sessions import ids, key_of, live_ids, reasons, sign_in, who

pytestmark = pytest.mark.django_db

FORM = {"username": "ann", "password": "ann"}
TO = "/get/hello/"
WAYS: dict[str, Callable[[Client], Any]] = {
    "Django's view": lambda it: it.post("/accounts/login/", {**FORM, "next": TO}),
    "next in the address": lambda it: it.post(f"/accounts/login/?next={TO}", FORM),
    "the admin": lambda it: it.post("/admin/login/", {**FORM, "next": TO}),
    "a view of the project": lambda it: it.get("/login/", {**FORM}),
}


@pytest.fixture(autouse=True)
def ask() -> Iterator[None]:
    """Let the project ask."""
    with asking():
        yield


@pytest.mark.parametrize("way", WAYS)
def test_whoever_calls_login_the_person_chooses(ann: Any, way: str) -> None:
    ann.is_staff = True
    ann.save()
    first = sign_in(ann)
    browser = Client()
    response = WAYS[way](browser)
    assert (response.status_code, response.headers["Location"]) == (302, CHOOSE)
    page = browser.get(CHOOSE)
    assert page.status_code == 200
    assert {*offered(page)} == ids(first)
    done = browser.post(CHOOSE, {"session": offered(page)})
    to = "/accounts/profile/" if way == "a view of the project" else TO
    assert (done.status_code, done.headers["Location"]) == (302, to)
    assert who(browser) == "ann"
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))
    assert reasons(ann) == ["ended", "refused", ""]


@pytest.mark.parametrize("position", [0, 2, None])
def test_the_place_of_the_middleware_does_not_matter(
    ann: Any, settings: Any, position: int | None
) -> None:
    chain = [name for name in settings.MIDDLEWARE if name != ASK]
    chain.insert(len(chain) if position is None else position, ASK)
    settings.MIDDLEWARE = chain
    sign_in(ann)
    browser = waiting()
    page = browser.get(CHOOSE)
    browser.post(CHOOSE, {"session": offered(page)})
    assert who(browser) == "ann"


def test_until_then_nobody_is_signed_in(ann: Any) -> None:
    first = sign_in(ann)
    browser = waiting()
    browser.get(CHOOSE)
    assert who(browser) == ""
    assert live_ids(ann) == ids(first)
    assert members(ann) == [first.session_key]
    assert [*data_of(browser)] == [PENDING]
    assert redis_client().exists(index_name(ann)) == 1
    assert SessionStore(first.session_key).load()


def test_where_there_is_a_place_nobody_is_asked(ann: Any) -> None:
    browser = Client()
    response = try_login(browser)
    assert response.headers["Location"] == "/accounts/profile/"
    assert who(browser) == "ann"


def test_what_the_visitor_had_goes_with_them(ann: Any) -> None:
    sign_in(ann)
    browser = Client()
    browser.get("/set/basket/two/")
    planted = key_of(browser)
    try_login(browser)
    assert data_of(browser)["basket"] == "two"
    assert key_of(browser) != planted
    assert not SessionStore().exists(planted), "who planted it must not choose"
    browser.post(CHOOSE, {"session": offered(browser.get(CHOOSE))})
    assert who(browser) == "ann"
    assert data_of(browser)["basket"] == "two"


def test_the_page_tells_the_devices_apart(ann: Any) -> None:
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    try_login(Client(headers={"user-agent": agent}, REMOTE_ADDR="192.0.2.7"))
    browser = waiting()
    page = browser.get(CHOOSE)
    for text in ("Firefox on Linux", "192.0.2.7", "last seen", "signed in since"):
        assert text in page.text
    assert "no-store" in page.headers["Cache-Control"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert 'type="radio"' in page.text
    assert "<script" not in page.text
    assert str(members(ann)[0]) not in page.text
    assert key_of(browser) not in page.text


def test_a_user_agent_cannot_write_the_page(ann: Any) -> None:
    try_login(Client(headers={"user-agent": "<script>alert(1)</script>"}))
    assert "<script" not in waiting().get(CHOOSE).text


def test_only_the_chosen_ones_end_and_their_browsers_learn_why(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=2):
        kept, chosen = sign_in(ann), sign_in(ann)
        browser = waiting()
        browser.post(CHOOSE, {"session": [*ids(chosen)]})
        assert live_ids(ann) == ids(kept, SessionStore(key_of(browser)))
    notice = SessionStore(chosen.session_key).notice
    assert notice is not None
    assert notice.reason == "ended"


def test_where_a_limit_was_lowered_more_have_to_go(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=3):
        stores = [sign_in(ann) for _ in range(3)]
    with override_settings(EXPIRE_MAX_USERS=2):
        browser = waiting()
        page = browser.get(CHOOSE)
        assert "choose 2 that" in page.text
        assert 'type="checkbox"' in page.text
        again = browser.post(CHOOSE, {"session": [*ids(stores[0])]})
        assert "choose one more" in again.text
        assert again.text.count("checked") == 1
        assert live_ids(ann) == ids(*stores), "too few were chosen: none has ended"
        browser.post(CHOOSE, {"session": [*ids(*stores[:2])]})
        assert live_ids(ann) == ids(stores[2], SessionStore(key_of(browser)))


def test_all_can_be_signed_out_at_once(ann: Any) -> None:
    with override_settings(EXPIRE_MAX_USERS=3):
        for _ in range(3):
            sign_in(ann)
    browser = waiting()
    assert "3 that you" in browser.get(CHOOSE).text
    browser.post(CHOOSE, {"all": ""})
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))


@pytest.mark.parametrize("choice", ["none", "another user's", "ended", "nonsense"])
def test_what_is_no_live_session_of_theirs_makes_no_place(
    ann: Any, bob: Any, choice: str
) -> None:
    ended, other = sign_in(ann), sign_in(bob)
    gone = ids(ended)
    ended.flush()
    first = sign_in(ann)
    browser = waiting()
    chosen = {
        "none": [],
        "another user's": [*ids(other)],
        "ended": [*gone],
        "nonsense": ["x", "", "*"],
    }[choice]
    page = browser.post(CHOOSE, {"session": chosen})
    assert page.status_code == 200
    assert {*offered(page)} == ids(first)
    assert who(browser) == ""
    assert live_ids(ann) == ids(first)
    assert live_ids(bob) == ids(other)


def test_a_place_that_is_free_again_needs_no_choice(ann: Any) -> None:
    first = sign_in(ann)
    browser = waiting()
    first.flush()
    page = browser.get(CHOOSE)
    assert "There is a free place" in page.text
    assert offered(page) == []
    browser.post(CHOOSE)
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))


def test_a_user_without_a_limit_any_more_gets_in(ann: Any, handle: Any) -> None:
    first = sign_in(ann)
    browser = waiting()

    def unlimited(settings: dict[str, Any], **kwargs: object) -> None:
        settings["max_users"] = 0

    handle(unlimited)
    browser.post(CHOOSE)
    assert live_ids(ann) == ids(first, SessionStore(key_of(browser)))


def test_a_login_elsewhere_between_page_and_choice_has_to_be_chosen_too(
    ann: Any,
) -> None:
    first = sign_in(ann)
    browser = waiting()
    page = browser.get(CHOOSE)
    first.flush()
    second = sign_in(ann)
    again = browser.post(CHOOSE, {"session": offered(page)})
    assert "choose one more" in again.text
    assert {*offered(again)} == ids(second)
    assert live_ids(ann) == ids(second)
    browser.post(CHOOSE, {"session": offered(again)})
    assert live_ids(ann) == ids(SessionStore(key_of(browser)))


@pytest.mark.parametrize("has_middleware", [True, False])
def test_a_form_of_another_site_chooses_nothing(
    ann: Any, settings: Any, has_middleware: bool
) -> None:
    if not has_middleware:
        settings.MIDDLEWARE = [it for it in settings.MIDDLEWARE if "csrf" not in it]
    first = sign_in(ann)
    browser = Client(enforce_csrf_checks=True)
    browser.get("/login/", {"username": "ann", "password": "ann"})
    page = browser.get(CHOOSE)
    assert browser.post(CHOOSE, {"session": offered(page)}).status_code == 403
    assert live_ids(ann) == ids(first)
    token = browser.cookies["csrftoken"].value
    form = {"session": offered(page), "csrfmiddlewaretoken": token}
    assert browser.post(CHOOSE, form).status_code == 302
    assert who(browser) == "ann"


# Where it goes on to.


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""]
)
def test_it_goes_on_to_no_other_site(ann: Any, to: str) -> None:
    sign_in(ann)
    browser = waiting(next=to)
    done = browser.post(CHOOSE, {"all": ""})
    assert done.headers["Location"] == "/accounts/profile/"


def test_a_client_that_asks_for_json_is_told_where_to_choose(ann: Any) -> None:
    sign_in(ann)
    browser = Client(headers={"accept": "application/json"})
    response = try_login(browser, next="/get/hello/")
    assert response.status_code == 403
    told = response.json()
    assert told.pop("detail").startswith("Your sign-in details are right")
    assert told == {"code": "session_limit_reached", "choose": CHOOSE}
    assert "no-store" in response.headers["Cache-Control"]
    assert "Accept" in response.headers["Vary"]
    assert browser.post(CHOOSE, {"cancel": ""}).headers["Location"].endswith("/login/")
    try_login(browser, next="/get/hello/")
    done = browser.post(CHOOSE, {"all": ""})
    assert done.headers["Location"] == "/get/hello/"
    assert who(browser) == "ann"


# What is no business of the middleware.


def test_another_policy_of_a_user_is_followed(ann: Any, handle: Any) -> None:
    def refusing(settings: dict[str, Any], **kwargs: object) -> None:
        settings["policy"] = "refuse"

    handle(refusing)
    sign_in(ann)
    browser = Client()
    assert try_login(browser).status_code == 403
    assert browser.get(CHOOSE).status_code == 400


def test_a_policy_that_changes_meanwhile_is_followed(ann: Any, handle: Any) -> None:
    first = sign_in(ann)
    browser = waiting()
    faster: list[SessionStore] = []

    def refusing(settings: dict[str, Any], **kwargs: object) -> None:
        settings["policy"] = "refuse"
        if not live_ids(ann) and not faster:
            faster.append(first)  # handlers of the login below find it done
            faster[0] = sign_in(ann)

    handle(refusing)
    assert browser.post(CHOOSE, {"all": ""}).status_code == 403
    assert browser.get(CHOOSE).status_code == 400
    assert live_ids(ann) == ids(*faster)


def test_every_other_refusal_is_left_alone(ann: Any) -> None:
    response = Client().get("/forbidden/")
    assert response.status_code == 403
    assert "403 Forbidden" in response.text


@pytest.mark.parametrize("path", ["/set/_auth_user_id/%s/", "/by-hand/%s/"])
def test_who_signs_in_without_login_is_refused_as_ever(ann: Any, path: str) -> None:
    """Nobody knows who was authenticated: there is nothing to wait."""
    first = sign_in(ann)
    browser = Client()
    assert browser.get(path % ann.pk).status_code == 403
    assert browser.get(CHOOSE).status_code == 400
    assert live_ids(ann) == ids(first)
