"""``/operators``: admins add, change and remove people, with their own password again."""

from __future__ import annotations

import re

import pytest

from tests.dashboard.visitors import PASSWORD, Visitors
from update_server.service.ports import Role

ANA = {"name": "ana", "role": "operator", "app": "demo"}
WITH = {"password": PASSWORD}


def link_in(page: str) -> str:
    found = re.search(r"http://localhost(/set-password/[\w-]+)", page)
    assert found
    return found[1]


def test_an_admin_adds_somebody_and_gets_a_link_that_works(visitors: Visitors) -> None:
    answer = visitors.ada.post("/operators", {**ANA, **WITH})

    browser = visitors.browser()
    browser.post(link_in(answer.text), password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 201
    assert browser.get("/account").status_code == 200
    assert ">ana</th><td>operator</td><td>demo</td>" in visitors.ada.get("/operators").text


def test_a_link_is_shown_once(visitors: Visitors) -> None:
    visitors.ada.post("/operators", {**ANA, **WITH})

    assert "set-password" not in visitors.ada.get("/operators").text


def test_a_role_is_changed_and_sessions_end(visitors: Visitors) -> None:
    assert visitors.ana.get("/account").status_code == 200
    ana = next(each for each in visitors.operators.all(None) if each.name == "ana")

    answer = visitors.ada.post(f"/operators/{ana.id}/role", role="viewer", fields=WITH)

    assert (answer.status_code, answer.location) == (303, "/operators")
    assert visitors.ana.get("/account").status_code == 303


def test_a_reset_ends_sessions_and_makes_a_link(visitors: Visitors) -> None:
    assert visitors.ana.get("/account").status_code == 200
    ana = next(each for each in visitors.operators.all(None) if each.name == "ana")

    answer = visitors.ada.post(f"/operators/{ana.id}/link", fields=WITH)

    assert link_in(answer.text)
    assert visitors.ana.get("/account").status_code == 303


def test_a_removed_operator_is_out(visitors: Visitors) -> None:
    assert visitors.ana.get("/account").status_code == 200
    ana = next(each for each in visitors.operators.all(None) if each.name == "ana")

    visitors.ada.post(f"/operators/{ana.id}/remove", fields=WITH)

    assert visitors.ana.get("/account").status_code == 303
    assert visitors.browser().sign_in("ana").status_code == 403


@pytest.mark.parametrize("action", ["role", "link", "remove"])
def test_nothing_is_done_without_the_admins_password(visitors: Visitors, action: str) -> None:
    visitors.add("ana")
    visitors.ada.get("/")
    before = visitors.operators.all(None)
    ana = next(each for each in before if each.name == "ana")

    answer = visitors.ada.post(f"/operators/{ana.id}/{action}", role="admin", password="wrong" * 3)

    assert answer.status_code == 403
    assert "not your password" in answer.text
    assert visitors.operators.all(None) == before
    again = visitors.ada.post(f"/operators/{ana.id}/{action}", {"role": "admin", **WITH})
    assert again.status_code in {200, 303}
    assert visitors.operators.all(None) != before


def test_what_was_typed_is_kept_when_it_is_refused(visitors: Visitors) -> None:
    answer = visitors.ada.post("/operators", {**ANA, "name": "a<b>", **WITH})

    assert answer.status_code == 422
    assert 'value="a&lt;b&gt;"' in answer.text
    assert "<b>" not in answer.text


def test_only_admins_have_the_page(visitors: Visitors) -> None:
    for browser in (visitors.vera, visitors.ana):
        assert browser.get("/operators").status_code == 403
        assert browser.post("/operators", {**ANA, "name": "eve", **WITH}).status_code == 403
    assert "eve" not in {each.name for each in visitors.operators.all(None)}


def test_an_admin_of_one_app_reaches_nobody_elses(visitors: Visitors) -> None:
    visitors.add("otto", Role.ADMIN, "demo")
    otto = visitors.browser()
    otto.sign_in("otto")
    visitors.ada.get("/")
    ada = next(each for each in visitors.operators.all(None) if each.name == "ada")

    assert "ada" not in otto.get("/operators").text
    assert otto.post("/operators", {**ANA, "app": "", **WITH}).status_code == 403
    for action in ("role", "link", "remove"):
        answer = otto.post(f"/operators/{ada.id}/{action}", role="viewer", fields=WITH)
        assert answer.status_code == 404
    assert otto.post("/operators", {**ANA, **WITH}).status_code == 201
