"""``/apps/{app}/policy``: the signed bounds in words, and what the last rollouts say of them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from packaging.version import Version

from rollout.model import Automatic, MustReach
from tests.admin_world import APP, PLATFORMS, World, a_world
from tests.dashboard.apps.looking import api, open_page
from tests.dashboard.apps.reading import differing
from tests.dashboard.visitors import Visitors
from tests.service.clinic import Clinic
from update_server.service.ports import Role

PAGE = f"/apps/{APP}/policy"


def test_the_ladder_is_told_step_by_step(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    told = api(world, PAGE)
    assert differing(page, told) == {}
    for step in told["policy"]["ramp"]:
        assert step["ring"] in page.text
    assert "10 %" in page.text
    assert "rules out 2 times as many crashes, and 5 % bricked" in page.text


def test_what_the_server_may_and_what_takes_people_is_told(
    world: World, visitors: Visitors
) -> None:
    world.change_policy(
        automatic=Automatic(pause=True, pull=False),
        floor=Version("1.5"),
        revoked=frozenset({Version("1.4")}),
        must_reach=(MustReach(version=Version("2.0.0"), after=world.clock.now()),),
        ceiling=((0, 1_000), (86_400, 10_000)),
    )

    page = open_page(visitors.vera, PAGE)

    for words in (
        "<dt>Pull</dt><dd>no: it tells people</dd>",
        "nothing below 1.5 may run",
        "<dt>Revoked</dt><dd>1.4</dd>",
        "<dd>2.0.0 from",
        "10 % from 0 s after publication on; 100 % from 24 h after publication on",
        "<dt>Resuming after an automatic pause</dt><dd>2</dd>",
    ):
        assert words in page.source


def test_the_signed_document_is_there_as_it_is(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    start = page.text.index('{ "app"')
    found, _ = json.JSONDecoder().raw_decode(page.text[start:])
    assert found == api(world, PAGE)["policy"]


@pytest.mark.parametrize(
    ("days", "words"), [(1, None), (80, "This policy ends"), (91, "This policy ended")]
)
def test_an_end_that_is_near_is_warned_of(world: World, days: int, words: str | None) -> None:
    world.advance(timedelta(days=days).total_seconds())

    page = open_page(Visitors(world).vera, PAGE)

    assert ("This policy end" in page.text) is (words is not None)
    assert words is None or words in page.text


def test_where_the_last_rollouts_stopped_is_told(clinic: Clinic) -> None:
    page = open_page(Visitors(clinic.world).vera, PAGE)

    [newest, completed] = api(clinic.world, f"{PAGE}/past")["items"]
    assert "pause at ring half (50 %) by crash" in page.text
    assert newest["why"] in page.text
    assert "not known it was not judged" in page.text
    assert f"/apps/{APP}/rollouts/{completed['rollout']}" in page.links
    assert "serinus rehearse --app demo --channel stable" in page.text
    assert "Nothing is judged anew here" in page.text


def test_an_app_without_a_policy_says_what_signs_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = a_world(tmp_path_factory.mktemp("unsigned") / "signer")
    admin = world.caller(Role.ADMIN, None)
    world.services().apps.add(admin, APP, ["stable", "beta"], PLATFORMS)
    visitors = Visitors(world)

    page = open_page(visitors.vera, PAGE)

    assert "serinus app policy policy.toml" in page.text
    assert f"{PAGE}?channel=beta" in page.links
    assert "Policy of demo beta" in open_page(visitors.vera, f"{PAGE}?channel=beta").text
    assert visitors.vera.get(f"{PAGE}?channel=moon").status_code == 400
