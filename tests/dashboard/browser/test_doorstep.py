"""Pages about one operator, and the one that sets a password, as everybody may look at them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.browser.barriers import barriers, too_small_to_touch, wider_than_the_page
from tests.dashboard.browser.chromium import LOOKS, look_at
from tests.dashboard.browser.hands import be_signed_in
from tests.dashboard.browser.stage import Served
from update_server.service.access.caller import Caller
from update_server.service.ports import Role

ROOT = Caller(name="test", token_id="")


def check(page: Page) -> None:
    found = []
    for name, look in LOOKS.items():
        look_at(page, look)
        faults = (*barriers(page), *too_small_to_touch(page), *wider_than_the_page(page))
        found += [f"{name}: {each}" for each in faults]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["zoe", "Änne-Marie Müller-Lüdenscheidt von und zu Hohenstein"])
def test_one_operators_page_has_no_barrier(page: Page, served: Served, name: str) -> None:
    be_signed_in(page.context, served, "ada")
    operators = served.stage.world.services().operators
    one, _ = operators.add(ROOT, name, Role.VIEWER, None)

    page.goto(f"{served.url}/operators/{one.id}")

    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    check(page)


def test_the_page_that_sets_a_password_has_no_barrier(page: Page, served: Served) -> None:
    operators = served.stage.world.services().operators
    _, link = operators.add(ROOT, "yan", Role.VIEWER, None)

    page.goto(f"{served.url}/set-password/{link}")

    expect(page.get_by_role("heading", level=1)).to_have_text("Set a password for yan")
    check(page)
