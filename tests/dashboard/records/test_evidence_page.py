"""``…/evidence``: the numbers are the API's, nothing is green, and the old epochs stay."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, open_page
from tests.dashboard.apps.reading import Page, differing
from tests.dashboard.visitors import Visitors
from tests.service.clinic import FLEET, OPEN, Clinic, a_clinic
from update_server.service.errors import PendingError
from update_server.web.admin import series, studies
from update_server.web.dashboard.numbers import at
from update_server.web.dashboard.views import evidence
from update_server.web.dashboard.words import evidence as as_evidence

WAIVED = "dead00beef00dead"


@pytest.fixture
def path(clinic: Clinic) -> str:
    return path_of(clinic)


@pytest.fixture
def visitors(clinic: Clinic) -> Visitors:
    return Visitors(clinic.world)


def path_of(clinic: Clinic) -> str:
    return f"/apps/{APP}/rollouts/{clinic.rollout.id}"


def e_values(page: Page) -> dict[str, str]:
    return dict(re.findall(r'data-evidence="([^"]+)">([^<]*)<', page.source))


def resume(clinic: Clinic) -> None:
    """Let two people resume the rollout, with a waiver."""
    control = clinic.world.services().control
    asked: dict[str, Any] = {
        "reason": "known",
        "waived": [WAIVED],
        "waived_for": timedelta(days=1),
    }
    with pytest.raises(PendingError):
        control.resume(clinic.world.person("ada"), APP, clinic.rollout.id, **asked)
    control.resume(clinic.world.person("ben"), APP, clinic.rollout.id, **asked)
    clinic.world.advance(700)
    clinic.round()


def test_every_number_is_the_apis(clinic: Clinic, visitors: Visitors, path: str) -> None:
    page = open_page(visitors.vera, f"{path}/evidence")

    study = api(clinic.world, f"{path}/study")
    assert len(page.numbers) > 15
    assert differing(page, study) == {}
    shown = e_values(page)
    assert len(shown) > 20
    assert shown == {pointer: as_evidence(at(study, pointer)) for pointer in shown}


def test_the_sentence_is_the_judges_word_for_word(
    clinic: Clinic, visitors: Visitors, path: str
) -> None:
    [newest, *_] = api(clinic.world, f"{path}/decisions")["items"]

    page = open_page(visitors.vera, f"{path}/evidence")

    assert page.text.count(newest["sentence"]) == 2  # above all, and with the decision
    assert newest["false_alarm_statement"] in page.text
    assert f"{newest['tamper_margin']} of the reports must be false" in page.text


def test_a_record_can_be_read_in_full(clinic: Clinic, visitors: Visitors, path: str) -> None:
    told = api(clinic.world, f"{path}/decisions")["items"]

    links = open_page(visitors.vera, f"{path}/evidence").links
    for each in told:
        link = f"{path}/evidence?decision={each['number']}"
        assert link in links
        page = open_page(visitors.vera, link)
        assert _record(page) == each
        assert each["sentence"] in page.text
    assert visitors.vera.get(f"{path}/evidence?decision=999").status_code == 404
    assert visitors.vera.get(f"{path}/evidence?decision=0").status_code == 400


def test_a_record_that_is_too_long_is_not_put_on_a_page(
    clinic: Clinic, visitors: Visitors, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = api(clinic.world, f"{path}/decisions")["items"][0]["number"]
    monkeypatch.setattr(evidence, "_LONGEST_RECORD", 100)

    page = open_page(visitors.vera, f"{path}/evidence?decision={number}")

    assert "too long for this page" in page.text
    assert not page.named("pre")


def _record(page: Page) -> dict[str, Any]:
    [text] = re.findall(r"<pre[^>]*>(.*?)</pre>", page.source, re.DOTALL)
    record: dict[str, Any] = json.loads(unescape(text))
    return record


def test_nothing_is_green_and_nothing_has_a_tick(visitors: Visitors, path: str) -> None:
    for query in ("", "?check=1"):
        page = open_page(visitors.vera, f"{path}/evidence{query}")
        assert "✓" not in page.text
        assert not re.search(r'class="[^"]*\bgood\b', page.source)


def test_a_release_without_a_verdict_is_said_to_have_none(world: World) -> None:
    clinic = a_clinic(world, terms=OPEN)
    clinic.check_in(FLEET[:10])
    clinic.world.advance(700)
    clinic.round()

    page = open_page(Visitors(world).vera, f"{path_of(clinic)}/evidence")

    assert "? No verdict" in page.text
    assert "This is not a sign of health" in page.text
    assert "none known yet" in page.text
    assert "✓" not in page.text


def test_a_rollout_that_nobody_judged_says_so(world: World) -> None:
    with world.database.reading() as stores:
        [completed] = stores.rollouts.of_app(APP)
    with world.database.transaction() as stores:
        stores.studies._state.studies.pop(completed.id, None)

    page = open_page(Visitors(world).vera, f"/apps/{APP}/rollouts/{completed.id}/evidence")

    assert "was not judged" in page.text
    assert "✓" not in page.text


def test_the_old_epoch_stays_to_be_seen_after_a_resume(clinic: Clinic, path: str) -> None:
    resume(clinic)

    page = open_page(Visitors(clinic.world).vera, f"{path}/evidence")

    assert "Epoch 1 (ended by a resume)" in page.text
    assert "What spoke against it in epoch 1" in page.text
    assert page.numbers["/epochs/0/metrics/0/candidate/events"] == "60"
    assert page.numbers["/epochs/1/metrics/0/candidate/events"] == "0"
    assert WAIVED in page.text
    assert differing(page, api(clinic.world, f"{path}/study")) == {}


def test_the_newest_decision_can_be_recomputed_but_not_each_second(
    visitors: Visitors, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(visitors.vera, f"{path}/evidence")
    checked = open_page(visitors.vera, f"{path}/evidence?check=1")
    monkeypatch.setattr(studies, "recomputed_body", _never)
    visitors.vera.get(f"{path}/evidence?live=1&check=1")

    assert f"{path}/evidence?check=1#h-replay" in page.links
    assert "comes out again from the 63 entries of its log, to the bit" in checked.text
    monkeypatch.setattr(evidence, "RECOMPUTED_ON_A_PAGE", 10)
    long = open_page(visitors.vera, f"{path}/evidence?check=1")
    assert "too many for a page" in long.text


def _never(*_: object) -> None:
    raise AssertionError("recomputed")


def test_pieces_hold_nothing_that_is_opened_or_typed(visitors: Visitors, path: str) -> None:
    pieces = visitors.vera.get(f"{path}/evidence?live=1").text

    names = re.findall(r'<div id="([a-z_]+)" hx-swap-oob="innerMorph">', pieces)
    assert names == ["age", *evidence.PIECES]
    assert not re.search(r"<(form|input|select|textarea|button|details)\b", pieces)


def test_a_page_of_many_signatures_and_points_shows_the_nearest(
    clinic: Clinic, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = studies.body

    def many(*asked: Any) -> dict[str, Any]:
        body: dict[str, Any] = whole(*asked)
        [epoch] = body["epochs"]
        crash = epoch["metrics"][0]
        epoch["metrics"] += [
            {**crash, "metric": f"signature:<b>{n}", "log_e": n / 100} for n in range(200)
        ]
        return body

    def long(*asked: Any) -> dict[str, Any]:
        body: dict[str, Any] = drawn(*asked)
        [*_, point] = body["points"]
        names = ("crash", "silence", "healthy_launch", "crash_loop")
        body["points"] = [
            {
                **point,
                "at": f"2026-11-22T03:{n // 4:02}:{n % 4:02}Z",
                "log_e": dict.fromkeys(names, n),
            }
            for n in range(200)
        ]
        return body

    drawn = series.body
    monkeypatch.setattr(studies, "body", many)
    monkeypatch.setattr(series, "body", long)

    page = open_page(Visitors(clinic.world).vera, f"{path}/evidence")

    assert "And 197 metrics that are farther from their limits" in page.text
    assert "signature:<b>199" in page.text
    assert "signature:<b>3 " not in page.text
    assert not page.named("b")
    assert len(page.source) < 50_000


def test_roles_and_apps_are_kept_apart(visitors: Visitors, path: str) -> None:
    other = path.replace(f"/apps/{APP}/", "/apps/other/")

    assert visitors.browser().get(f"{path}/evidence").status_code == 303
    assert visitors.ana.get(f"{other}/evidence").status_code == 403
    assert visitors.ana.get(f"/apps/{APP}/rollouts/ro_none/evidence").status_code == 404


def test_the_template_has_no_filter_that_could_turn_text_into_markup() -> None:
    folder = Path(evidence.__file__).parents[1] / "templates"
    for name in ("evidence", "audit", "explain", "policy", "releases"):
        text = (folder / f"{name}.html").read_text()
        raw = [line for line in text.splitlines() if "| safe" in line and ".svg | safe" not in line]
        assert raw == []
