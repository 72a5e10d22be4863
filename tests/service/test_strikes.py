from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model import Approvals, InstallId, RolloutId, RolloutState
from tests.admin_world import APP, STABLE, World
from tests.service.clinic import FLEET, OPEN, PAUSES, Clinic, a_clinic, key_of, settle, sicken
from update_server.evidence.state import Arms, Label
from update_server.service.agents.pseudonyms import install_key, network_hash
from update_server.service.agents.refresh import PEPPER
from update_server.service.errors import BadValueError
from update_server.service.ports import Event, NotFoundError
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_entry, decode_state
from update_server.service.studies.strikes import CONTESTED, Strike

INSTALL = InstallId("5f0c1c1e-7d0e-4e0a-9d7e-3a5b6c7d8e9f")
LAB = "203.0.113.7"
WHY = "a test lab's crashes"


@pytest.fixture(scope="session")
def sick_clinic(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """A clinic whose release was paused; no test may change it."""
    clinic = a_clinic(prepared.fork(tmp_path_factory.mktemp("struck") / "signer"), terms=PAUSES)
    sicken(clinic)
    clinic.round()
    return clinic


@pytest.fixture
def sick(sick_clinic: Clinic, tmp_path: Path) -> Clinic:
    return sick_clinic.fork(tmp_path / "sick")


def strike(
    clinic: Clinic,
    *,
    network: str | None = None,
    install: InstallId | None = None,
    reason: str = WHY,
    rollout: RolloutId | None = None,
) -> Strike:
    return clinic.world.services().strikes.strike(
        clinic.world.caller(),
        APP,
        rollout or clinic.rollout.id,
        network=network,
        install=install,
        reason=reason,
    )


def label_of(number: int) -> str:
    """Return the label of the network that an install of the clinic reports from."""
    return number.to_bytes(16).hex()


def labels(clinic: Clinic) -> list[Label]:
    with clinic.world.database.reading() as stores:
        log = [decode_entry(each) for each in stores.studies.whole_log(clinic.rollout.id)]
    return [each for each in log if isinstance(each, Label)]


def the_pause(clinic: Clinic) -> StoredDecision:
    return next(each for each in clinic.decisions if each.outcome == "paused")


def test_a_pause_that_stands_without_them_is_not_contested(sick: Clinic) -> None:
    before = sick.decisions

    done = strike(sick, network=label_of(sick.candidates(FLEET)[0]))

    assert done.struck == Arms(candidate=1)
    assert done.stand is not None
    crash = the_pause(sick).record["log_e_by_metric"]["crash"]
    assert crash["needed"] < done.stand.log_e < crash["log_e"]
    assert not done.stand.is_contested
    assert sick.decisions == before
    assert [each.struck for each in labels(sick)].count(True) == 1


def test_one_that_does_not_is_contested_and_stays_paused(sick: Clinic) -> None:
    decided = len(sick.decisions)
    done = None
    for number in sick.candidates(FLEET)[:60]:
        done = strike(sick, network=label_of(number))
        if done.stand is not None and done.stand.is_contested:
            break

    assert done is not None
    assert done.stand is not None
    struck = sum(each.struck for each in labels(sick))
    told = sick.decisions[-1]
    assert (told.verdict, told.outcome, len(sick.decisions)) == ("pause", CONTESTED, decided + 1)
    assert told.record["contests"] == the_pause(sick).id
    assert told.record["contested"]
    assert the_pause(sick).record["contested"]
    assert told.record["sentence"] == done.stand.sentence
    assert f"{struck} of its 60 reports were withdrawn" in done.stand.sentence
    assert "It stays paused until someone resumes it." in done.stand.sentence
    assert sick.state is RolloutState.PAUSED

    settle(sick)

    assert sick.state is RolloutState.PAUSED
    assert len(sick.decisions) == decided + 1


def test_what_is_contested_is_not_contested_again(sick: Clinic) -> None:
    for number in sick.candidates(FLEET)[:60]:
        strike(sick, network=label_of(number))

    assert [each.outcome for each in sick.decisions].count(CONTESTED) == 1


def test_both_arms_are_struck_alike(released: World) -> None:
    clinic = a_clinic(released, terms=PAUSES)
    with released.database.reading() as stores:
        lab = network_hash(stores.access.secret(PEPPER), APP, LAB)
    clinic.check_in(FLEET, network=lab)
    clinic.world.advance(60)
    clinic.crash([*clinic.candidates(FLEET)[:5], *clinic.controls(FLEET)[:4]])
    clinic.world.advance(700)
    clinic.round()

    assert strike(clinic, network="203.0.113.250").struck == Arms(candidate=5, control=4)
    assert strike(clinic, network=LAB).struck == Arms()
    assert strike(clinic, network="203.0.114.7").struck == Arms()


def test_an_installs_reports_are_found_by_its_events(released: World) -> None:
    clinic = a_clinic(released, terms=PAUSES)
    with released.database.reading() as stores:
        key = install_key(stores.access.secret(PEPPER), APP, INSTALL)
    clinic.check_in(FLEET)
    spool = clinic.spools.writer("web")
    spool.contact(clinic.contact(1, install_key=key, bucket=0))
    clinic.world.advance(60)
    clinic.crash(clinic.candidates(FLEET)[:3])
    at = clinic.world.clock.now()
    event = Event(
        app=APP,
        install_key=key,
        id="00000000-0000-4000-8000-999999999999",
        at=at,
        received_at=at,
        kind="crash",
        version="2.1.0",
        channel=STABLE,
    )
    spool.events([event])
    clinic.world.advance(700)
    clinic.round()

    assert strike(clinic, install=INSTALL).struck.total == 1
    assert strike(clinic, install=INSTALL).struck.total == 0


def test_the_server_does_not_pull_on_what_somebody_disbelieves(released: World) -> None:
    clinic = a_clinic(released, terms=OPEN)
    clinic.check_in(FLEET)
    clinic.world.advance(60)
    clinic.crash(clinic.candidates(FLEET)[:2])
    clinic.world.advance(700)
    clinic.round()
    strike(clinic, network=label_of(clinic.candidates(FLEET)[0]))
    clinic.crash(clinic.candidates(FLEET)[2:60])
    clinic.crash(clinic.controls(FLEET)[:3])
    clinic.world.advance(700)

    clinic.round()

    assert clinic.state is RolloutState.PAUSED  # without the strike it is pulled: test_judge
    with released.database.reading() as stores:
        assert decode_state(stores.studies.get(clinic.rollout.id).state).epoch.struck == 1


def test_reports_of_an_earlier_epoch_are_past_striking(sick: Clinic) -> None:
    alone = Approvals(resume_after_auto_pause=1)
    sick.world.change_policy(ramp=sick.rollout.ladder, approvals=alone)
    sick.world.services().control.resume(sick.world.caller(), APP, sick.rollout.id, reason="ok")
    settle(sick)

    done = strike(sick, network=label_of(sick.candidates(FLEET)[0]))

    assert done == Strike(struck=Arms())


def test_a_persons_pause_and_a_rollout_that_goes_on_are_not_contested(released: World) -> None:
    clinic = a_clinic(released, terms=replace(PAUSES, automatic=frozenset()))
    sicken(clinic)
    clinic.round()
    assert clinic.verdicts[-1] == "pause"  # advice, that nobody took

    assert strike(clinic, network=label_of(clinic.candidates(FLEET)[0])).stand is None
    clinic.world.services().control.pause(clinic.world.caller(), APP, clinic.rollout.id)
    assert strike(clinic, network=label_of(clinic.candidates(FLEET)[1])).stand is None


def test_a_pause_that_rests_on_no_reports_is_not_contested(released: World) -> None:
    clinic = a_clinic(released, terms=PAUSES)
    clinic.check_in(FLEET)
    clinic.world.advance(60)
    clinic.crash(clinic.candidates(FLEET)[:2])
    for _ in range(6):
        clinic.world.advance(5 * 3_600)
        clinic.check_in(clinic.controls(FLEET))
        clinic.round()
    assert clinic.state is RolloutState.PAUSED
    assert the_pause(clinic).record["cause_metric"] not in {"crash", "crash_loop"}

    done = strike(clinic, network=label_of(clinic.candidates(FLEET)[0]))

    assert done == Strike(struck=Arms(candidate=1))


def test_a_strike_goes_to_the_audit_log_without_the_install(sick: Clinic) -> None:
    strike(sick, network=label_of(sick.candidates(FLEET)[0]))

    with sick.world.database.reading() as stores:
        [record] = stores.audit.page(app=APP, before_seq=None, limit=1)
    assert (record.action, record.subject, record.reason) == (
        "evidence.strike",
        sick.rollout.id,
        WHY,
    )
    assert record.after == {"of": "a network", "candidate": 1, "control": 0}
    assert key_of(sick.candidates(FLEET)[0]).hex() not in repr(record)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"network": LAB, "reason": " "}, "reason"),
        ({}, "install_id"),
        (
            {"network": LAB, "install": INSTALL},
            "install_id",
        ),
        ({"network": "the lab"}, "network"),
        ({"network": "127.0.0.1"}, "network"),
        ({"network": "A" * 32}, "network"),
    ],
)
def test_what_is_no_strike_is_told_by_its_field(
    sick: Clinic, asked: dict[str, str], field: str
) -> None:
    with pytest.raises(BadValueError) as refused:
        strike(sick, **asked)  # type: ignore[arg-type]

    assert refused.value.field == field


def test_an_unknown_rollout_has_no_reports(sick: Clinic) -> None:
    with pytest.raises(NotFoundError):
        strike(sick, network=LAB, rollout=RolloutId("ro_none"))


def test_those_of_a_rollout_that_is_over_can_be_struck_all_the_same(sick: Clinic) -> None:
    sick.world.services().control.pull(sick.world.caller(), APP, sick.rollout.id)

    done = strike(sick, network=label_of(sick.candidates(FLEET)[0]))

    assert done == Strike(struck=Arms(candidate=1))
