"""The page about installs as a whole: what runs, who should have moved on, how fast others do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from packaging.version import Version

from rollout.model import MustReach
from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, open_page, recounted
from tests.dashboard.apps.reading import Page, differing
from tests.dashboard.visitors import Visitors
from tests.store.values import NOW, a_contact, a_history
from update_server.service.rollouts.version_days import DayCounter
from update_server.web.dashboard.views.fleet import ON_A_PAGE

PAGE = f"/apps/{APP}/fleet"


@pytest.fixture
def told(world: World) -> None:
    """Installs on four versions over three days, one of them pulled."""
    world.change_policy(floor="2.0.0", must_reach=[MustReach(version=Version("2.1.0"), after=NOW)])
    rollout = world.start("2.1.0")
    for day in range(3):
        check_in(world, 30 - 9 * day, "1.9.0", start=1_000)
        check_in(world, 5 + 9 * day, "2.0.0", start=2_000)
        check_in(world, 4, "2.1.0", start=3_000)
        count_today(world)
        world.advance(timedelta(days=1).total_seconds())
    world.services().control.pull(world.caller(), APP, rollout.id, reason="crashes")
    world.advance(60)
    check_in(world, 3, "2.1.0", start=3_000)
    seen = tuple(world.clock.now().timestamp() - 7_200.0 * n for n in range(5, 0, -1))
    with world.database.transaction() as stores:
        stores.histories.put(APP, {b"a" * 32: a_history(first_at=seen[0], seen=seen)})


def count_today(world: World) -> None:
    """Count who checked in today, as the controller does every hour."""
    counter = DayCounter(world.database, world.clock)
    while counter.step():
        pass


def check_in(world: World, installs: int, version: str, *, start: int) -> None:
    with world.database.transaction() as stores:
        stores.telemetry.absorb(
            [
                a_contact(str(start + n), version=version, rollout=None, at=world.clock.now())
                for n in range(installs)
            ],
            [],
        )


def answers(world: World, cursor: str = "") -> dict[str, object]:
    """Return what the API answers, as the page puts it together."""
    return {
        "fleet": api(world, f"/apps/{APP}/fleet"),
        "versions": api(world, f"/apps/{APP}/versions?limit={ON_A_PAGE}{cursor}"),
        "days": api(world, f"/apps/{APP}/versions/days?days=28"),
    }


@pytest.mark.usefixtures("told")
def test_the_page_has_the_numbers_of_the_api(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert page.numbers["/fleet/floors/0/below"] == "30"
    assert {
        "/fleet/pulled/0/running",
        "/versions/items/0/installs",
        "/days/drains/0/last_installs",
    } <= {*page.numbers}
    assert differing(page, answers(world)) == {}


@pytest.mark.usefixtures("told")
def test_the_comparison_with_the_api_can_fail(world: World, visitors: Visitors) -> None:
    body = answers(world)
    body["fleet"] = {**api(world, f"/apps/{APP}/fleet"), "installs": 1}

    assert "/fleet/installs" in differing(open_page(visitors.vera, PAGE), body)


@pytest.mark.usefixtures("told")
def test_who_should_have_moved_on_is_told_of_how_many(visitors: Visitors) -> None:
    text = open_page(visitors.vera, PAGE).text

    assert "2.0.0 floor30 of 57" in text
    assert "2.1.0 must be reached from" in text


@pytest.mark.usefixtures("told")
def test_what_became_of_a_pulled_release_is_not_known_until_it_was_counted(
    world: World, visitors: Visitors
) -> None:
    before = open_page(visitors.vera, PAGE)
    recounted(world)
    after = open_page(visitors.vera, PAGE)

    assert "not known yet: nobody counted" in before.text
    assert "/fleet/pulled/0/counts/still_on" not in before.numbers
    assert after.numbers["/fleet/pulled/0/running"] == "4"
    assert after.numbers["/fleet/pulled/0/counts/still_on"] == "3"
    assert after.numbers["/fleet/pulled/0/counts/unreachable"] == "1"


@pytest.mark.usefixtures("told")
def test_how_fast_versions_are_left_is_told_in_installs_and_days(visitors: Visitors) -> None:
    text = open_page(visitors.vera, PAGE).text

    _, _, drains = text.partition("How fast versions are left")
    assert "1.9.0 stable30" in drains
    assert "too few to say" in drains


@pytest.mark.usefixtures("told")
def test_the_usual_time_between_check_ins_is_told(visitors: Visitors) -> None:
    assert "The usual install checks in every 2 h" in open_page(visitors.vera, PAGE).text


def test_without_installs_nothing_is_called_0(visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    assert "No install has checked in yet." in page.text
    assert "No day was counted yet." in page.text
    assert "Nothing was pulled." in page.text
    assert page.numbers == {"/fleet/floors/0/installs": "0"}


def test_two_hundred_versions_are_fifty_on_a_page_and_no_page_is_heavy(
    world: World, visitors: Visitors
) -> None:
    for day in range(28):
        with world.database.transaction() as stores:
            stores.telemetry.absorb(
                [
                    a_contact(
                        str(n),
                        version=f"1.{n % 200}.{day // 9}",
                        rollout=None,
                        at=world.clock.now(),
                    )
                    for n in range(400)
                ],
                [],
            )
        count_today(world)
        world.advance(timedelta(days=1).total_seconds())

    pages: list[Page] = []
    path = PAGE
    while path:
        pages.append(open_page(visitors.vera, path))
        path = next((link for link in pages[-1].links if "cursor=" in link), "")

    assert max(len(page.source.encode()) for page in pages) < 50_000
    assert len(pages) == 4
    assert all(page.numbers["/versions/items/49/installs"] == "2" for page in pages)


@pytest.mark.usefixtures("told")
def test_what_most_installs_run_comes_first(visitors: Visitors) -> None:
    page = open_page(visitors.vera, PAGE)

    shown = [int(page.numbers[f"/versions/items/{n}/installs"]) for n in range(3)]
    assert shown == sorted(shown, reverse=True)


def test_an_app_that_is_not_there_has_no_fleet(visitors: Visitors) -> None:
    assert visitors.ada.get("/apps/nope/fleet").status_code == 404
    assert visitors.vera.get("/apps/nope/fleet").status_code == 403
    assert visitors.browser().get(PAGE).location.startswith("/sign-in")


def test_versions_that_strangers_tell_are_text(world: World, visitors: Visitors) -> None:
    """A check-in takes versions only; should another text come by, it does nothing."""
    with world.database.transaction() as stores:
        odd = "<img src=x>\u202e"
        stores.telemetry.absorb([a_contact(version=odd, rollout=None, at=world.clock.now())], [])
    count_today(world)

    page = open_page(visitors.vera, PAGE)

    assert "<img src=x>⟨U+202E⟩" in page.text
    assert not page.named("img")
    assert "\u202e" not in page.source
