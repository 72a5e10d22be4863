"""Signing in and out, with a password."""

from __future__ import annotations

from tests.dashboard.visitors import PASSWORD, Visitors


def test_nobody_sees_a_page_without_signing_in(visitors: Visitors) -> None:
    answer = visitors.browser().get("/account")

    assert (answer.status_code, answer.location) == (303, "/sign-in?to=/account")


def test_who_signs_in_comes_to_where_they_wanted(visitors: Visitors) -> None:
    visitors.add("ana")
    browser = visitors.browser()

    answer = browser.sign_in("ana", to="/account?x=1")

    assert (answer.status_code, answer.location) == (303, "/account?x=1")
    assert "<h1>ana</h1>" in browser.get("/account").text


def test_a_wrong_password_and_an_unknown_name_are_told_alike(visitors: Visitors) -> None:
    visitors.add("ana")

    wrong = visitors.browser().sign_in("ana", "not the password")
    unknown = visitors.browser().sign_in("eve", "not the password")

    assert wrong.status_code == unknown.status_code == 403
    assert wrong.text.replace("ana", "eve") == unknown.text


def test_signing_out_ends_the_session(visitors: Visitors) -> None:
    cookie = visitors.ana.client.get_cookie("serinus")
    assert cookie is not None

    visitors.ana.post("/sign-out")

    other = visitors.browser()
    other.client.set_cookie("serinus", cookie.value)
    assert other.get("/account").status_code == 303


def test_all_four_can_be_had_in_one_line(visitors: Visitors) -> None:
    for browser in (visitors.ana, visitors.ben, visitors.vera, visitors.ada):
        assert browser.get("/account").status_code == 200
        assert browser.csrf


def test_the_password_is_in_no_page(visitors: Visitors) -> None:
    assert PASSWORD not in visitors.ana.get("/account").text
