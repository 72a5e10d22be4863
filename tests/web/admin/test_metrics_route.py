from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from rollout.model import Arm
from tests.admin_world import APP, STABLE, World
from tests.web.admin.conftest import Ask
from update_server.service.ports import Contact, Role

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(found: Samples, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {labels: value for (sample, labels), value in found.items() if sample == name}


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
    assert of(found, "serinus_unpublished_states") == {(): 0.0}


def test_a_token_of_one_app_sees_its_own_alone(ask: Ask, world: World) -> None:
    world.services().apps.add(world.caller(Role.ADMIN, None), "other", ["stable"], ["a-b"])
    world.start("2.1.0")

    found = samples(ask("GET", "/metrics", role=Role.VIEWER, app="other").text)

    assert not of(found, "serinus_rollout_state")
    assert not of(found, "serinus_unpublished_states")


def test_requests_are_counted(ask: Ask) -> None:
    ask("GET", "/v1/admin/apps")
    ask("GET", "/nowhere")

    found = of(samples(ask("GET", "/metrics").text), "serinus_admin_requests_total")

    counted = {tuple(dict(labels).values()): value for labels, value in found.items()}
    assert counted[("apps.get_apps", "200")] == 1.0
    assert counted[("none", "404")] == 1.0
