"""What a page says is what the API says; and what is not known never looks like good news."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.admin_world import APP, World, a_registered_world, a_world
from tests.dashboard.browser.chromium import DESK, Look, look_at
from tests.dashboard.browser.hands import be_signed_in
from tests.dashboard.browser.pages import path_of
from tests.dashboard.browser.stage import LADDER, NEW, OLD, Served, Stage, serving
from tests.lazy_routes import lazy_routes
from update_server.web.dashboard.numbers import at

# Colours that say good news: between yellow and cyan, and not too pale to have a colour at all.
_GREENS = """() => {
    const isGreen = text => [...text.matchAll(/rgba?\\(([^)]*)\\)/g)].some(found => {
        const [r, g, b, a = 1] = found[1].split(/[,\\s/]+/).map(Number);
        return a > 0 && g > r * 1.15 && g > b * 1.05;
    });
    const properties = ["color", "backgroundColor", "borderLeftColor", "fill", "stroke"];
    return [...document.querySelectorAll("body *")].filter(element => {
        const style = getComputedStyle(element);
        return element.checkVisibility() && properties.some(each => isGreen(style[each]));
    }).map(element => element.outerHTML.slice(0, 120));
}"""
_MORE = ("/study", "/telemetry")
"""What the page of a release tells besides what the API answers to the same path."""
_TICKS = ("\N{CHECK MARK}", "\N{HEAVY CHECK MARK}", "\N{WHITE HEAVY CHECK MARK}")


def shown_on(page: Page) -> list[tuple[str, str]]:
    """Return each number on a page that says where it is from, with that place."""
    read = "all => all.map(each => [each.dataset.number, each.textContent.trim()])"
    found: list[tuple[str, str]] = page.locator("[data-number]").evaluate_all(read)
    return [(pointer, text) for pointer, text in found]


@pytest.mark.parametrize("name", ["release", "resume", "pull"])
def test_every_number_of_a_release_is_the_apis(page: Page, shown: Served, name: str) -> None:
    stage = shown.stage
    answers = [stage.api(f"/rollouts/{stage.rollout.id}{more}") for more in ("", *_MORE)]
    be_signed_in(page.context, shown, "ada")

    page.goto(shown.url + path_of(name, stage))

    numbers = shown_on(page)
    assert len(numbers) >= 3
    for pointer, text in numbers:
        told = [at(answer, pointer) for answer in answers]
        assert text in [f"{value:,.0f}" for value in told if value is not None], pointer


def test_the_words_of_a_release_are_the_apis_and_the_decisions(page: Page, shown: Served) -> None:
    stage = shown.stage
    told = stage.api(f"/rollouts/{stage.rollout.id}")
    decision = stage.api(f"/rollouts/{stage.rollout.id}/decisions")["items"][0]
    be_signed_in(page.context, shown, "ada")

    page.goto(shown.url + path_of("release", stage))

    expect(page.locator("#sentence")).to_have_text(told["sentence"])
    assert decision["sentence"] == told["sentence"]
    crashed = told["judged"]["candidate"]["events"], told["judged"]["candidate"]["installs"]
    assert "{:,} of {:,} installs".format(*crashed) in told["sentence"]
    for ring in told["rings"]:
        expect(page.locator("#rings")).to_contain_text(ring["name"])


@pytest.fixture(scope="module")
def unheard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A release that was just started, of which nothing was heard."""
    world = a_registered_world(tmp_path_factory.mktemp("unheard") / "signer")
    world.publish(OLD)
    world.complete(OLD)
    world.change_policy(ramp=LADDER)
    world.publish(NEW, rollback_to=[OLD])
    stage = Stage(world=world)
    stage.take_in()
    stage.rollout = world.start(NEW)
    stage.round()
    with lazy_routes(), serving(stage) as served:
        yield served


@pytest.mark.parametrize("name", ["now", "release", "promote"])
def test_where_nothing_is_known_nothing_is_green(page: Page, unheard: Served, name: str) -> None:
    be_signed_in(page.context, unheard, "ada")
    path = path_of("release", unheard.stage) + "/promote" if name == "promote" else None

    page.goto(unheard.url + (path or path_of(name, unheard.stage)))

    main = page.get_by_role("main")
    expect(main).to_contain_text("No verdict")
    expect(main).to_contain_text("not a sign of health")
    for look in (DESK, Look(scheme="dark")):
        look_at(page, look)
        assert page.evaluate(_GREENS) == [], look
    assert [tick for tick in _TICKS if tick in page.content()] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_green_would_be_noticed(page: Page, unheard: Served, scheme: Any) -> None:
    """The control."""
    be_signed_in(page.context, unheard, "ada")
    page.goto(unheard.url)
    look_at(page, Look(scheme=scheme))
    page.locator("main h1").evaluate("heading => heading.className = 'good'")

    assert len(page.evaluate(_GREENS)) == 1


def an_empty(world: World) -> Stage:
    stage = Stage(world=world)
    stage.take_in(["ada"])
    return stage


def test_without_an_app_three_commands_are_told(page: Page, tmp_path: Path) -> None:
    with lazy_routes(), serving(an_empty(a_world(tmp_path / "signer"))) as served:
        be_signed_in(page.context, served, "ada")
        page.goto(served.url)
        commands = page.locator("pre").inner_text().splitlines()
        page.context.close()

    assert [command.split()[:2] for command in commands] == [
        ["serinus", "init"],
        ["serinus", "release"],
        ["serinus", "rollout"],
    ]


def test_without_a_rollout_there_is_nothing_to_act_on(page: Page, tmp_path: Path) -> None:
    with lazy_routes(), serving(an_empty(a_registered_world(tmp_path / "signer"))) as served:
        be_signed_in(page.context, served, "ada")
        page.goto(served.url)
        said = page.get_by_role("main").inner_text()
        page.context.close()

    assert "Nothing to act on" in said
    assert APP not in said


def test_without_the_database_the_last_page_is_shown_with_its_age(
    page: Page, served: Served
) -> None:
    be_signed_in(page.context, served, "ana")
    path = served.url + path_of("release", served.stage)
    page.goto(path)
    sentence = page.locator("#sentence").inner_text()

    served.stage.world.database.down = True
    served.stage.world.advance(90)

    said = page.get_by_role("main").or_(page.locator("#age"))
    expect(said.filter(has_text="database").first).to_be_visible(timeout=3_000)
    assert page.locator("#sentence").inner_text() == sentence
    served.stage.world.database.down = False
