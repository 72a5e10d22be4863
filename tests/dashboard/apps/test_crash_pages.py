"""The pages of crashes. All that is in a report was written by whoever sent it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.wrappers import Response

from tests.admin_world import APP, World
from tests.dashboard.apps.looking import api, newest_line, open_page, recounted
from tests.dashboard.apps.reading import Page, differing
from tests.dashboard.visitors import Browser, Visitors
from tests.service.clinic import Clinic, a_clinic
from tests.store.crash_values import CONTROL, a_group, a_report, a_sample
from tests.store.values import a_contact
from update_server.service.ports.crashes import Cell
from update_server.service.telemetry.digest import Digest
from update_server.web.dashboard.words import UNKNOWN

LIST = f"/apps/{APP}/crashes"
ONE, TWO = "1f2e3d4c5b6a7988", "00112233445566ff"
CRASH = f"{LIST}/{ONE}"
MARKUP = (
    "<script>alert(1)</script><img src=x onerror=alert(1)><b hx-get='/sign-out' hx-trigger=load>"
    "</title></pre></main>\"'{{ 7 * 7 }}"
)
STEERING = "\u202eevil\u2066\x00\x07\u200b"
HOSTILE = f"{STEERING}{MARKUP}"
FRAME = {"module": "notes", "function": "save", "file": "notes.py", "line": 7}


@pytest.fixture(autouse=True)
def crashes(world: World) -> None:
    world.clock.advance(timedelta(days=1))
    with world.database.transaction() as stores:
        now = world.clock.now()
        stores.telemetry.absorb([a_contact("9", version="2.1.0", rollout=None)], [])
        stores.crashes.note(
            [
                a_report("1", signature=ONE, at=now - timedelta(hours=2)),
                a_report("2", signature=ONE, cell=CONTROL, version="2.0.0", at=now),
                a_report("2", signature=TWO, version="2.0.0", channel="beta"),
                a_report("3", signature="none"),
            ]
        )
        stores.crashes.note_groups([a_group(ONE), a_group(TWO, title="KeyError in notes:load")])
        stores.crashes.add_samples([a_sample(signature=ONE, body={"frames": [FRAME]})])


# --- the list --------------------------------------------------------------------------------


def test_crashes_are_listed_with_the_numbers_of_the_api(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, LIST)

    assert f"{LIST}/{ONE}" in page.links
    assert "KeyError in notes:load" in page.text
    assert page.numbers["/items/0/installs"] == "2"
    assert differing(page, api(world, LIST)) == {}


def test_the_comparison_with_the_api_can_fail(world: World, visitors: Visitors) -> None:
    body = api(world, LIST)
    body["items"][0]["installs"] += 1

    assert differing(open_page(visitors.vera, LIST), body) == {"/items/0/installs": ("2", 3)}


@pytest.mark.parametrize("query", ["version=2.0.0&channel=", "version=&channel=beta"])
def test_the_list_may_be_of_one_version_or_channel(visitors: Visitors, query: str) -> None:
    page = open_page(visitors.vera, f"{LIST}?{query}")

    assert f"{LIST}/{TWO}" in page.links
    assert "none" not in " ".join(page.links)


def test_nothing_reported_is_no_tick_where_hardly_anybody_reports(
    world: World, visitors: Visitors
) -> None:
    clinic: Clinic = a_clinic(world)
    clinic.check_in(range(60), telemetry="health")
    clinic.check_in(clinic.candidates(range(60))[:3])
    Digest(world.database, clinic.spools).run()
    recounted(world)
    with world.database.transaction() as stores:
        stores.crashes.expire(
            reports_before=world.clock.now() + timedelta(days=1),
            samples_before=world.clock.now(),
            groups_before=world.clock.now(),
        )

    page = open_page(visitors.vera, f"{LIST}?version=2.1.0")

    candidates = len(clinic.candidates(range(60)))
    assert "No crash was reported on 2.1.0." in page.text
    assert f"2.1.0 on stable: 3 of {candidates} installs that were offered it, " in page.text
    assert "✓" not in page.text
    assert "good" not in {
        word for each in page.tags for word in (each[1].get("class") or "").split()
    }


def test_where_nothing_rolls_out_it_is_said_that_nobody_would_have_told(
    visitors: Visitors,
) -> None:
    page = open_page(visitors.vera, f"{LIST}?version=1.0.0")

    assert "No crash was reported on 1.0.0. Nothing is rolling out on 1.0.0" in page.text


def test_a_thousand_crashes_are_fifty_on_a_page_and_no_page_is_heavy(
    world: World, visitors: Visitors
) -> None:
    names = [f"{number:016x}" for number in range(1_000)]
    with world.database.transaction() as stores:
        stores.crashes.note([a_report(str(n), signature=name) for n, name in enumerate(names)])
        stores.crashes.note_groups([a_group(name, title=HOSTILE * 3) for name in names])

    page = open_page(visitors.ana, LIST)
    further = next(link for link in page.links if "cursor=" in link)
    second = open_page(visitors.ana, further)

    assert len(page.source.encode()) < 50_000
    crashes = [link for link in (*page.links, *second.links) if link.startswith(f"{LIST}/")]
    assert len(set(crashes)) == 100


@pytest.mark.parametrize("query", ["version=two", "channel=NO", "cursor=x"])
def test_what_cannot_be_asked_is_a_page_that_says_so(visitors: Visitors, query: str) -> None:
    answer = visitors.vera.get(f"{LIST}?{query}")

    assert (answer.status_code, "bad_field" in answer.text) == (400, True)


# --- one crash -------------------------------------------------------------------------------


def test_a_crash_is_shown_with_the_numbers_of_the_api(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, CRASH)

    assert "2 installs crashed with it, in 2 reports." in page.text
    assert "notes:save (notes.py:7)" in page.text
    assert {"/counts/0/installs", "/versions/0/running", "/rollouts/0/control/of"} <= {
        *page.numbers
    }
    assert differing(page, api(world, f"/apps/{APP}/crashes/{ONE}")) == {}


def test_the_last_versions_say_where_it_was_seen_and_where_not(
    world: World, visitors: Visitors
) -> None:
    world.publish("2.2.0")

    text = open_page(visitors.vera, CRASH).text

    before, _, rest = text.partition("First seen in")
    assert "2.2.0" not in before
    assert rest.index("2.2.0") < rest.index("not seen") < rest.index("2.1.0")


def test_how_many_run_what_nobody_published_is_not_known_and_never_0(
    world: World, visitors: Visitors
) -> None:
    with world.database.transaction() as stores:
        stores.crashes.note([a_report("7", signature=ONE, version="unpublished")])

    page = open_page(visitors.vera, CRASH)

    counts = api(world, f"/apps/{APP}/crashes/{ONE}")["counts"]
    unpublished = next(i for i, each in enumerate(counts) if each["version"] == "unpublished")
    assert page.numbers[f"/counts/{unpublished}/running"] == UNKNOWN


def test_the_newest_rollout_with_it_is_drawn_hour_by_hour_and_told_in_a_table(
    world: World, visitors: Visitors
) -> None:
    rollout = api(world, f"/apps/{APP}/rollouts")["items"][0]["id"]
    now = world.clock.now()
    with world.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report(
                    str(n),
                    signature=ONE,
                    version="2.0.0",
                    at=now - timedelta(hours=n),
                    cell=Cell(rollout=rollout, arm=arm),
                )
                for n, arm in enumerate(("candidate", "candidate", "control"), 10)
            ]
        )

    page = open_page(visitors.vera, CRASH)

    assert "2.0.0 hour by hour" in page.text
    assert "2 of 0 candidates above the line, 1 of 0 controls below it." in page.text
    assert f"{now - timedelta(hours=12):%Y-%m-%d %H}:00" in page.text
    assert page.named("svg")[0]["role"] == "img"


def test_it_can_be_copied_as_text(visitors: Visitors) -> None:
    text = open_page(visitors.vera, CRASH).text

    _, _, copy = text.partition("Copy as text")
    assert f"demo {ONE} (python)" in copy
    assert "2.1.0 candidate linux-x86_64 Linux 6.1: 1 installs, 1 reports" in copy
    assert "stack: notes:save (notes.py:7)" in copy


def test_a_crash_of_which_nothing_is_kept_says_so(world: World, visitors: Visitors) -> None:
    with world.database.transaction() as stores:
        stores.crashes.forget(APP, {b"1", b"2"})

    page = open_page(visitors.vera, CRASH)

    assert "Its reports are too old to be kept." in page.text
    assert "No sample is kept" in page.text


def test_what_nobody_named_has_a_page_without_forms(visitors: Visitors) -> None:
    page = open_page(visitors.ana, f"{LIST}/none")

    assert "crashed, and no report says how" in page.text
    assert [each["action"] for each in page.named("form")] == ["/sign-out"]


def test_a_crash_that_was_never_seen_is_not_found(visitors: Visitors) -> None:
    answer = visitors.vera.get(f"{LIST}/{'0' * 16}")

    assert (answer.status_code, "unknown_signature" in answer.text) == (404, True)


# --- what strangers wrote --------------------------------------------------------------------


@pytest.fixture
def hostile(world: World) -> None:
    """Everything that a report may say says too much."""
    frames = [
        {"module": HOSTILE, "function": HOSTILE, "file": HOSTILE, "line": 1},
        {"function": "x" * 10_000, "file": "a\nb"},
        {"module": HOSTILE, "offset": 64},
    ] * 40
    with world.database.transaction() as stores:
        stores.crashes.note(
            [
                a_report(str(number), signature=TWO, os=f"{HOSTILE} {number}", platform=HOSTILE)
                for number in range(500)
            ]
        )
        group = a_group(
            TWO, title=HOSTILE * 9, parts=(HOSTILE, "l" * 10_000), kind="python", key="k"
        )
        stores.crashes.note_groups([group])
        stores.crashes.add_samples([a_sample("e9", signature=TWO, body={"frames": frames})])
    world.database._state.groups_of_crashes[APP, TWO] = group  # as if nobody told of it before


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("path", [f"{LIST}/{TWO}", LIST, f"{LIST}?version=2.1.0"])
def test_what_strangers_wrote_is_text_and_nothing_else(visitors: Visitors, path: str) -> None:
    page = open_page(visitors.ana, path)

    assert MARKUP[:25] in page.text
    assert not page.named("script")
    assert not page.named("img")
    assert not {each for each in page.attributes if each.startswith("on")}
    assert {each for each in page.attributes if each.startswith("hx-")} == {"hx-ignore"}
    assert not [each for each in STEERING.replace("evil", "") if each in page.source]
    assert "⟨U+202E⟩evil⟨U+2066⟩⟨U+0000⟩" in page.text
    assert "49" not in page.source.split("</title>")[0]


def test_what_is_not_escaped_is_noticed() -> None:
    page = Page(Response(f"<main>{HOSTILE}</main>"))

    assert page.named("script")
    assert page.named("img")
    assert {"onerror", "hx-get", "hx-trigger"} <= page.attributes
    assert "\u202e" in page.source


@pytest.mark.usefixtures("hostile")
def test_what_strangers_wrote_stands_where_htmx_does_nothing(visitors: Visitors) -> None:
    source = open_page(visitors.ana, f"{LIST}/{TWO}").source

    places = [found.start() for found in re.finditer("&lt;script&gt;", source)]
    assert len(places) > 50
    for place in places:
        inside = source[source.rindex("hx-ignore", 0, place) : place]
        assert not [
            end for end in ("</pre>", "</ul>", "</tr>", "</h1>", "</span>") if end in inside
        ]


@pytest.mark.usefixtures("hostile")
def test_a_page_of_much_that_strangers_wrote_stays_light(visitors: Visitors) -> None:
    page = open_page(visitors.ana, f"{LIST}/{TWO}")

    assert len(page.source.encode()) < 50_000
    assert max(map(len, page.source.splitlines())) < 6_000


def test_only_names_of_ours_become_links(world: World, visitors: Visitors) -> None:
    odd = 'x" onfocus="1'
    with world.database.transaction() as stores:
        stores.crashes.note([a_report(str(n), signature=odd) for n in range(9)])

    page = open_page(visitors.ana, LIST)

    assert {
        link.removeprefix(f"{LIST}/") for link in page.links if link.startswith(f"{LIST}/")
    } == {
        ONE,
        TWO,
        "none",
    }


# --- what operators say of it ----------------------------------------------------------------


def a_form(**fields: str) -> dict[str, str]:
    return {"revision": "0", "key": "k1", "reason": "known, fixed in 2.1.1", **fields}


WAIVE = {"place": "stable/2.1.0", "waive_days": "7"}


def test_a_waiver_is_made_as_by_the_api(world: World, visitors: Visitors) -> None:
    answer = visitors.ana.post(f"{CRASH}/waive", a_form(**WAIVE))

    assert (answer.status_code, answer.location) == (303, CRASH)
    (waiver,) = world.services().waivers.all(APP)
    assert (str(waiver.version), waiver.channel, waiver.signature) == ("2.1.0", "stable", ONE)
    assert waiver.expires_at - world.clock.now() == timedelta(days=7)
    assert (waiver.created_by, newest_line(world).action) == ("ana", "waiver.add")
    page = open_page(visitors.vera, CRASH)
    assert "Waived for 2.1.0 on stable until" in page.text
    assert "known, fixed in 2.1.1" in page.text


def test_a_form_that_is_sent_twice_acts_once(world: World, visitors: Visitors) -> None:
    first = visitors.ana.post(f"{CRASH}/waive", a_form(**WAIVE))
    again = visitors.ana.post(f"{CRASH}/waive", a_form(**WAIVE))

    assert first.status_code == again.status_code == 303
    assert len(world.services().waivers.all(APP)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": " "}, "a waiver needs a reason"),
        ({"waive_days": "15"}, "from 1 to 14"),
        ({"waive_days": "1e1"}, "from 1 to 14"),
        ({"place": "stable/9.9.9"}, "9.9.9"),
        ({"place": "nope/2.1.0"}, "nope"),
        ({"place": ""}, "version"),
        ({"reason": "x" * 501}, "500 characters"),
        ({"reason": "a\x00b"}, "control character"),
    ],
)
def test_a_waiver_that_cannot_be_is_told_and_loses_nothing_that_was_typed(
    world: World, visitors: Visitors, fields: dict[str, str], said: str
) -> None:
    answer = visitors.ana.post(f"{CRASH}/waive", a_form(**WAIVE) | fields)

    assert answer.status_code in {400, 404, 422}
    assert said in answer.text.lower()
    assert world.services().waivers.all(APP) == []
    if "reason" not in fields:
        assert "known, fixed in 2.1.1" in answer.text


def test_a_waiver_is_ended(world: World, visitors: Visitors) -> None:
    visitors.ana.post(f"{CRASH}/waive", a_form(**WAIVE))
    (waiver,) = world.services().waivers.all(APP)

    answer = visitors.ben.post(f"{CRASH}/waivers/{waiver.id}/end", a_form(key="k2"))

    assert answer.status_code == 303
    assert world.services().waivers.all(APP) == []
    assert (newest_line(world).actor, newest_line(world).action) == ("ben", "waiver.remove")


def test_two_signatures_are_said_to_be_the_same(world: World, visitors: Visitors) -> None:
    answer = visitors.ana.post(f"{LIST}/{TWO}/same-as", a_form(signature=ONE))

    assert answer.status_code == 303
    assert newest_line(world).action == "crash.same_as"
    assert "The same bug" in open_page(visitors.vera, answer.location).text


@pytest.mark.parametrize("other", ["", "x", "f" * 16, ONE.upper(), f"{ONE}<b>"])
def test_what_cannot_be_the_same_is_told_at_its_field(
    world: World, visitors: Visitors, other: str
) -> None:
    answer = visitors.ana.post(f"{LIST}/{TWO}/same-as", a_form(signature=other))

    page = Page(answer)
    field = next(each for each in page.named("input") if each.get("name") == "signature")
    assert answer.status_code in {400, 404, 422}
    assert (field["aria-invalid"], field["value"]) == ("true", other)
    assert "<b>" not in page.source.replace("<b class", "")
    with world.database.reading() as stores:
        assert stores.crashes.aliases(APP) == []


@pytest.mark.parametrize("path", ["same-as", "waivers/wv_1/end", "waive"])
def test_no_form_swallows_what_is_wrong_with_its_reason(visitors: Visitors, path: str) -> None:
    fields = {"waive": WAIVE, "same-as": {"signature": TWO}}.get(path, {})

    page = Page(visitors.ana.post(f"{CRASH}/{path}", a_form(**fields, reason="a\x00b")))

    assert page.status == 400
    assert page.text.count("none of which is a control character") + page.text.count(
        "at most 500 characters"
    )


def posts(browser: Browser, **more: Any) -> set[int]:
    forms = {"waive": WAIVE, "same-as": {"signature": TWO}, "waivers/wv_1/end": {}}
    return {
        browser.post(f"{CRASH}/{path}", a_form(**fields), **more).status_code
        for path, fields in forms.items()
    }


def test_who_only_looks_has_no_forms_and_can_send_none(world: World, visitors: Visitors) -> None:
    page = open_page(visitors.vera, CRASH)

    assert [each["action"] for each in page.named("form")] == ["/sign-out"]
    assert len(open_page(visitors.ana, CRASH).named("form")) == 3
    assert posts(visitors.vera) == {403}
    assert world.services().waivers.all(APP) == []


@pytest.mark.parametrize(
    "forged", [{"csrf": "wrong"}, {"origin": "https://evil.example"}, {"origin": None}]
)
def test_a_form_that_is_not_ours_changes_nothing(
    world: World, visitors: Visitors, forged: dict[str, Any]
) -> None:
    assert posts(visitors.ana, **forged) == {403}
    assert world.services().waivers.all(APP) == []


def test_who_is_not_signed_in_is_sent_to_where_one_signs_in(visitors: Visitors) -> None:
    for path in (LIST, CRASH):
        assert visitors.browser().get(path).location.startswith("/sign-in")
