"""The dashboard and the rules ask for nothing that a server does not tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rollout.model import Actor
from tests.admin_world import APP, STABLE, a_released_world
from tests.deploy.promql import check, grouped_by, selectors
from tests.service.clinic import FLEET, OPEN, WITH_STAFF, Clinic, a_clinic, key_of
from update_server.service.ports import Event, Phase, Role
from update_server.service.ports.crashes import LAUNCH, SDK, STATUSES
from update_server.service.telemetry.notes import REJECTED_KIND, note_of
from update_server.web.admin.app import create_app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana"
RULES = FOLDER / "alerts.yaml"
DASHBOARD = json.loads((FOLDER / "serinus.json").read_text(encoding="utf-8"))
PROMTOOL = shutil.which("promtool", path=f"{ROOT}/.venv/bin") or shutil.which("promtool")
VARIABLES = {
    "$__rate_interval": "5m",
    "$__range": "1h",
    "$app": ".*",
    "$channel": ".*",
    "$version": ".*",
}

Series = Mapping[str, list[Mapping[str, str]]]


# --- a live server ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a server tells in the middle of a rollout in which everything has happened."""
    world = a_released_world(tmp_path_factory.mktemp("world") / "signer")
    clinic = a_clinic(
        world, terms=replace(OPEN, automatic=frozenset(), outcome_seconds=300), ladder=WITH_STAFF
    )
    world.advance(60)
    clinic.rollout = world.services().control.promote(world.caller(), APP, clinic.rollout.id)
    lost, *rest = clinic.candidates(FLEET)
    clinic.check_in([lost], action="update", offered="2.1.0")
    apply(clinic, lost)
    world.advance(90_000)
    catch_up(clinic)
    for _ in range(3):
        clinic.check_in(number for number in FLEET if number != lost)
        clinic.crash(rest[:8])
        world.advance(400)
        catch_up(clinic)
    tell_the_rest(clinic, rest[20])
    clinic.round()
    world.recount()
    world.services().control.pause(
        world.caller(), APP, clinic.rollout.id, reason="x", by=Actor.AUTOMATIC
    )
    world.advance(60)
    secret = world.caller(Role.VIEWER, None).secret
    client = create_app(world.services()).test_client()
    headers = {"Authorization": f"Bearer {secret}"}
    client.get("/metrics", headers=headers)
    return client.get("/metrics", headers=headers).text


def catch_up(clinic: Clinic) -> None:
    """Let the judge look at all the time that has passed."""
    judge, looked_at = clinic.judge(), None
    while looked_at != (
        looked_at := clinic.world.services().exports.read(APP).rollouts[0].judged_at
    ):
        clinic.round(judge)


def apply(clinic: Clinic, number: int) -> None:
    """Let an install apply the release."""
    now = clinic.world.clock.now()
    event = Event(
        app=APP,
        install_key=key_of(number),
        id=f"applied-{number}",
        at=now,
        received_at=now,
        kind="update",
        version="2.1.0",
        phase=Phase.APPLIED,
        channel=STABLE,
    )
    clinic.spools.writer("web").events([event])


def tell_the_rest(clinic: Clinic, number: int) -> None:
    """Let an install and intake tell what the clinic's fleet does not."""
    now = clinic.world.clock.now()
    crash = Event(
        app=APP,
        install_key=key_of(number),
        id="",
        at=now,
        received_at=now,
        kind="crash",
        version="2.1.0",
        channel=STABLE,
    )
    sessions = [
        replace(
            crash,
            id=f"{source}:{status}",
            kind="session",
            source=source,
            body={"sid": f"{source} {status}", "status": status},
        )
        for source in (LAUNCH, SDK)
        for status in STATUSES
    ]
    discards = {"counts": [["ratelimit_backoff", "error", 19]]}
    spool = clinic.spools.writer("web")
    spool.events(
        [
            *sessions,
            replace(crash, id="c", kind="discards", version="", body=discards),
            replace(crash, id="d", version="9.9.9", quarantine="unknown_version"),
        ]
    )
    spool.note(note_of(APP, REJECTED_KIND, {"too_old": 3}, now))


@pytest.fixture(scope="module")
def series(scrape: str) -> Series:
    """The labels of every sample, by metric."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for family in text_string_to_metric_families(scrape):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


# --- what is asked ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and the labels that texts beside it show."""

    where: str
    expression: str
    shown: frozenset[str]


def panels() -> Iterator[Mapping[str, Any]]:
    for panel in DASHBOARD["panels"]:
        yield panel
        yield from panel.get("panels", ())


def of_the_dashboard() -> Iterator[Query]:
    for panel in panels():
        for target in panel.get("targets", ()):
            shown = frozenset(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield Query(panel["title"], plain(target["expr"]), shown)
    for note in DASHBOARD["annotations"]["list"]:
        texts = note["titleFormat"] + note["textFormat"]
        shown = frozenset(re.findall(r"\{\{(\w+)\}\}", texts))
        yield Query(note["name"], plain(note["expr"]), shown)
    for variable in DASHBOARD["templating"]["list"]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", ""))
        if found:
            yield Query(variable["name"], plain(found[1]), frozenset({found[2]}))


def plain(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def of_the_rules() -> Iterator[Query]:
    for rule in re.split(r"\n\s+- alert: ", RULES.read_text(encoding="utf-8"))[1:]:
        name = rule.partition("\n")[0]
        text = re.search(r"expr: (>-\n)?(.*?)\n +(?:for|labels):", rule, re.DOTALL)
        assert text, name
        shown = frozenset(re.findall(r"\$labels\.(\w+)", rule))
        yield Query(name, " ".join(text[2].split()), shown)


QUERIES = [*of_the_dashboard(), *of_the_rules()]
each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)


def test_there_are_queries() -> None:
    assert len(list(of_the_dashboard())) > 40
    assert len(list(of_the_rules())) == RULES.read_text(encoding="utf-8").count("- alert:") > 10


@each_query
def test_every_expression_is_whole(query: Query) -> None:
    check(query.expression)


@pytest.mark.parametrize("broken", ["sum(x", "sum x)", "x{a=}", "x[5m)", 'x{a="b}', "x # y"])
def test_a_broken_expression_is_seen(broken: str) -> None:
    if broken == "x{a=}":
        assert not list(selectors(broken))
        return
    with pytest.raises(ValueError, match=r"no token|clos"):
        check(broken)


@each_query
def test_every_metric_and_label_that_is_asked_for_exists(query: Query, series: Series) -> None:
    asked = list(selectors(query.expression))
    assert asked
    known: set[str] = set()
    for selector in asked:
        assert selector.metric in series, query.where
        labels = {label for one in series[selector.metric] for label in one}
        known |= labels
        assert {matcher.label for matcher in selector.matchers} <= labels, query.where
    assert grouped_by(query.expression) <= known, query.where
    assert query.shown <= known, query.where


@each_query
def test_every_value_that_is_asked_for_occurs(query: Query, series: Series) -> None:
    for selector in selectors(query.expression):
        for matcher in selector.matchers:
            if matcher.value != ".*" and matcher.label != "reason":
                values = {one.get(matcher.label) for one in series[selector.metric]}
                wanted = set(matcher.value.split("|"))
                assert wanted <= values, (query.where, matcher)


@pytest.mark.parametrize(
    "query",
    [one for one in QUERIES if "serinus_sessions_total" in one.expression],
    ids=lambda query: query.where,
)
def test_sessions_that_were_told_of_twice_are_never_added(query: Query, series: Series) -> None:
    assert {one["source"] for one in series["serinus_sessions_total"]} == {LAUNCH, SDK}

    sums = re.findall(r"sum(?: by \(([^)]*)\))?", query.expression)
    assert sums
    assert all("source" in labels for labels in sums), query.where
    assert "source" in query.shown


def test_every_metric_is_on_the_dashboard(series: Series) -> None:
    shown = {one.metric for query in of_the_dashboard() for one in selectors(query.expression)}

    assert set(series) == shown


def test_the_metrics_page_names_the_labels_of_each_metric(series: Series) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name, labels in re.findall(r"^\| `(serinus_\w+)` \|([^|]*)\|", page, re.MULTILINE):
        assert name in series, name
        found = {label for one in series[name] for label in one}
        assert set(re.findall(r"`(\w+)`", labels)) == found, name


# --- the rules and the dashboard as their programs see them ----------------------------------


def test_each_rule_says_what_to_do_and_where_to_read() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")
        for head in re.findall(r"^#+ (.*)$", runbook, re.MULTILINE)
    }
    for rule in re.split(r"\n\s+- alert: ", RULES.read_text(encoding="utf-8"))[1:]:
        name = rule.partition("\n")[0]
        assert re.search(r"\n +severity: (page|warn|info)\n", rule), name
        assert "summary: " in rule, name
        assert "description: " in rule, name
        for anchor in re.findall(r"runbook: docs/runbook\.md#(\S+)", rule):
            assert anchor in anchors, name


def test_panels_have_titles_and_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in panels()]
    assert len(numbers) == len(set(numbers))
    for panel in panels():
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_takes_whatever_source_is_chosen() -> None:
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD["panels"]))

    assert set(sources) == {"${datasource}"}
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"


needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here")


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


@needs_promtool
def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.expression}
        for number, query in enumerate(of_the_dashboard())
    ]
    file = tmp_path / "queries.yaml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    promtool("check", "rules", str(file))


def test_no_rule_is_without_a_test() -> None:
    tested = (Path(__file__).parent / "alerts_test.yaml").read_text(encoding="utf-8")
    names = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    assert [name for name in names if name not in tested] == []


@needs_promtool
def test_rules_fire_when_they_should_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yaml")
