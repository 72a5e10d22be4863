from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from packaging.version import Version
from prometheus_client.parser import text_string_to_metric_families

from rollout.model import Arm, Rollout, RolloutId, RolloutState
from tests.admin_world import APP, STABLE, World, a_registered_world
from tests.store.values import NOW
from tests.web.admin.conftest import Ask
from update_server.service.ports import Contact, Role
from update_server.service.ports.counters import Counted
from update_server.service.ports.crashes import Cell, Reported, SessionCount
from update_server.service.telemetry.counting import CHECK_INS, REJECTED
from update_server.web.admin.app import create_app

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {labels: value for (sample, labels), value in found.items() if sample == name}


ANSWERED = (("action", "update"), ("reason", "in_ring"))


def test_live_rollouts_are_exported(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")
    contact = Contact(
        app=APP,
        install_key=b"k" * 32,
        at=world.clock.now(),
        channel=STABLE,
        platform="linux-x86_64",
        version="2.0.0",
        action="update",
        reason="in_ring",
        offered="2.1.0",
        rollout=rollout.id,
        ring="internal",
        arm=Arm.INTERNAL,
    )
    with world.database.transaction() as stores:
        stores.telemetry.absorb([contact], [])
        stores.counters.add([Counted(app=APP, name=CHECK_INS, labels=ANSWERED, by=3)])

    response = ask("GET", "/metrics", role=Role.VIEWER, app=None)

    assert response.headers["Content-Type"].startswith("text/plain")
    found = samples(response.text)
    states = of(found, "serinus_rollout_state")
    assert {dict(labels)["state"]: value for labels, value in states.items()} == {
        "active": 1.0,
        "paused": 0.0,
    }
    (installs,) = of(found, "serinus_installs").items()
    assert dict(installs[0])["arm"] == "internal"
    assert installs[1] == 1.0
    steps = of(found, "serinus_update_steps_total")
    assert {dict(labels)["phase"]: value for labels, value in steps.items()}["offered"] == 1.0
    verdicts = of(found, "serinus_rollout_verdict")
    assert {dict(labels)["verdict"] for labels, value in verdicts.items() if value} == {"none"}
    (counted,) = of(found, "serinus_checkins_total").items()
    assert counted == ((("action", "update"), ("app", APP), ("reason", "in_ring")), 3.0)
    assert of(found, "serinus_last_decision_timestamp_seconds")
    assert of(found, "serinus_unpublished_states") == {(): 0.0}
    assert of(found, "serinus_telemetry_lag_seconds") == {(): 0.0}
    assert of(found, "serinus_spool_bytes") == {(): 0.0}


def test_a_token_of_one_app_sees_its_own_alone(ask: Ask, world: World) -> None:
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])
    world.start("2.1.0")

    found = samples(ask("GET", "/metrics", role=Role.VIEWER, app="other").text)

    assert not of(found, "serinus_rollout_state")
    assert not of(found, "serinus_unpublished_states")


def test_crashes_and_sessions_are_told_by_arm(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")
    now = world.clock.now()
    cells = [Cell(rollout=rollout.id, ring="internal", arm=arm) for arm in ("internal", "control")]
    ran = [("2.1.0", cells[0], 2), ("2.0.0", cells[0], 1), ("2.0.0", cells[1], 1)]
    ran += [("1.9.0", cells[1], 1)]
    with world.database.transaction() as stores:
        stores.crashes.note([a_crash(n, version, cell) for version, cell, n in ran])
        stores.crashes.note([a_crash(9, "2.1.0", cells[0]), a_crash(9, "2.1.0", Cell())])
        stores.sessions.add(
            [
                SessionCount(
                    app=APP,
                    version=version,
                    cell=cell,
                    source=source,
                    status="exited",
                    hour=now,
                    sessions=times * n,
                )
                for version, cell, n in ran
                for source, times in (("launch", 10), ("sdk", 30))
            ]
        )

    found = samples(ask("GET", "/metrics", app=None).text)

    def by(name: str, *labels: str) -> dict[tuple[str | None, ...], float]:
        return {tuple(map(dict(k).get, labels)): v for k, v in of(found, name).items()}

    assert by("serinus_crashed_installs", "arm", "on") == {
        ("internal", "release"): 2.0,
        ("internal", "other"): 1.0,
        ("control", "other"): 2.0,
    }
    assert by("serinus_sessions_total", "arm", "on", "source") == {
        ("internal", "release", "launch"): 20.0,
        ("internal", "release", "sdk"): 60.0,
        ("internal", "other", "launch"): 10.0,
        ("internal", "other", "sdk"): 30.0,
        ("control", "other", "launch"): 20.0,
        ("control", "other", "sdk"): 60.0,
    }
    (one, *_) = of(found, "serinus_sessions_total")
    assert dict(one)["status"] == "exited"


def a_crash(number: int, version: str, cell: Cell) -> Reported:
    return Reported(
        app=APP,
        version=version,
        signature="a" * 16,
        report_key=bytes([number]) * 16,
        at=NOW,
        cell=cell,
    )


def test_a_version_on_two_channels_gives_no_series_twice(tmp_path: Path) -> None:
    world = a_registered_world(tmp_path / "signer", channels=(STABLE, "beta"))
    client = create_app(world.services()).test_client()
    for channel in (STABLE, "beta"):
        world.publish("2.0.0", channel=channel)
        world.start("2.0.0", channel)

    secret = world.caller(Role.VIEWER).secret
    text = client.get("/metrics", headers={"Authorization": f"Bearer {secret}"}).text

    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    states = of(samples(text), "serinus_rollout_state")
    assert {dict(labels)["channel"] for labels in states} == {STABLE, "beta"}


def test_what_is_told_depends_on_live_rollouts_alone(ask: Ask, world: World) -> None:
    rollout = world.start("2.1.0")
    ask("GET", "/metrics", app=None)
    before = set(samples(ask("GET", "/metrics", app=None).text))
    with world.database.transaction() as stores:
        (release, *_) = stores.releases.get(APP, STABLE, Version("2.0.0"))
        for number in range(1_000):
            version = Version(f"1.0.{number}")
            stores.releases.add(replace(release, version=version))
            stores.rollouts.add(an_old_rollout(rollout, number, version))
            stores.counters.add([Counted(app=APP, name=REJECTED, labels=(("reason", "x"),))])

    after = set(samples(ask("GET", "/metrics", app=None).text))

    assert after - before == {
        ("serinus_telemetry_rejected_total", (("app", APP), ("reason", "x"))),
    }
    assert before <= after


def an_old_rollout(live: Rollout, number: int, version: Version) -> Rollout:
    states = (RolloutState.COMPLETED, RolloutState.PULLED, RolloutState.SUPERSEDED)
    name = RolloutId(f"ro_old{number}")
    return replace(live, id=name, version=version, state=states[number % len(states)])


def test_requests_are_counted(ask: Ask) -> None:
    ask("GET", "/v1/admin/apps")
    ask("GET", "/nowhere")

    found = of(samples(ask("GET", "/metrics").text), "serinus_admin_requests_total")

    counted = {tuple(dict(labels).values()): value for labels, value in found.items()}
    assert counted[("apps.get_apps", "200")] == 1.0
    assert counted[("none", "404")] == 1.0
