"""``/apps/{app}``: releases and rollouts, in parts, and what to type where there are none."""

from __future__ import annotations

import pytest

from tests.admin_world import APP, World, a_registered_world
from tests.dashboard.apps.looking import api, open_page
from tests.dashboard.visitors import Visitors
from update_server.service.ports import Role
from update_server.web.dashboard.views import releases


def test_releases_and_rollouts_are_those_of_the_api(world: World, visitors: Visitors) -> None:
    rollout = world.start("2.1.0", reason="a <b>bold</b> reason\u202e")

    page = open_page(visitors.vera, f"/apps/{APP}")

    for each in api(world, f"/apps/{APP}/rollouts")["items"]:
        assert f"/apps/{APP}/rollouts/{each['id']}" in page.links
        assert f"{each['version']} {each['channel']}" in page.text
    for each in api(world, f"/apps/{APP}/releases")["items"]:
        assert each["version"] in page.text
    assert f"/apps/{APP}/rollouts/{rollout.id}" in page.links
    assert "rolling out" in page.text
    assert "completed" in page.text
    assert "a <b>bold</b> reason⟨U+202E⟩" in page.text
    assert not page.named("b")


def test_a_release_that_was_never_rolled_out_is_said_to_be_so(visitors: Visitors) -> None:
    assert "not rolled out" in open_page(visitors.vera, f"/apps/{APP}").text


def test_lists_go_on_where_they_end(
    world: World, visitors: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "AT_ONCE", 1)
    world.start("2.1.0")

    first = open_page(visitors.vera, f"/apps/{APP}")
    [older] = [link for link in first.links if "rollouts=" in link]
    second = open_page(visitors.vera, older)

    [newest, oldest] = api(world, f"/apps/{APP}/rollouts")["items"]
    assert f"/apps/{APP}/rollouts/{newest['id']}" in first.links
    assert f"/apps/{APP}/rollouts/{oldest['id']}" not in first.links
    assert f"/apps/{APP}/rollouts/{oldest['id']}" in second.links
    assert f"/apps/{APP}" in second.links


def test_an_app_without_releases_says_what_makes_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = a_registered_world(tmp_path_factory.mktemp("bare") / "signer")

    page = open_page(Visitors(world).vera, f"/apps/{APP}")

    for command in ("serinus init", "serinus release publish", "serinus rollout start"):
        assert command in page.text
    assert not page.named("table")


@pytest.mark.parametrize("query", ["rollouts=x", "releases=-1", "rollouts=99999999999999999"])
def test_what_is_no_place_in_a_list_is_refused(visitors: Visitors, query: str) -> None:
    assert visitors.vera.get(f"/apps/{APP}?{query}").status_code == 400


@pytest.mark.parametrize("path", ["", "/policy", "/explain"])
def test_whoever_is_of_another_app_sees_nothing(
    world: World, visitors: Visitors, path: str
) -> None:
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])

    assert visitors.ana.get(f"/apps/other{path}").status_code == 403
    assert visitors.ana.get(f"/apps/none{path}").status_code == 403
    assert visitors.ada.get(f"/apps/none{path}").status_code == 404
    assert visitors.browser().get(f"/apps/{APP}{path}").status_code == 303
