"""Contract of ports.Rollouts: rollouts and holds."""

from dataclasses import replace

import pytest
from packaging.version import Version

from rollout.model import Actor, Audience, Rollout, RolloutId, RolloutState, Step
from tests.store.values import HOUR, NOW, a_hold, a_rollout, an_app
from update_server.service.ports import ChangedError, Database, ExistsError, NotFoundError

FULL = a_rollout(
    version=Version("2.1.0rc1"),
    state=RolloutState.PULLED,
    ladder=(Step(ring="all", exposure_bp=9_800, holdback_bp=200, soak_seconds=9, approvals=2),),
    position_reached_at=NOW + HOUR,
    changed_at=NOW + 2 * HOUR,
    revision=7,
    paused_by=Actor.AUTOMATIC,
    reason="crashes",
    replacement=Version("2.0.0"),
    first_for=Version("2.0.5"),
)


@pytest.mark.parametrize("wanted", [a_rollout(), FULL])
def test_a_rollout_comes_back_as_it_went(database: Database, wanted: Rollout) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(wanted)

    with database.reading() as stores:
        assert stores.rollouts.get("demo", wanted.id) == wanted


def test_a_rollout_is_known_to_its_own_app_only(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.rollouts.add(a_rollout())

    with database.reading() as stores, pytest.raises(NotFoundError) as caught:
        stores.rollouts.get("other", RolloutId("ro_7k2m"))
    assert (caught.value.kind, caught.value.key) == ("rollout", "ro_7k2m")


def test_a_rollout_id_is_taken_once(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())

        with pytest.raises(ExistsError):
            stores.rollouts.add(a_rollout(channel="beta"))


def test_rollouts_are_listed_newest_first(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        for rollout_id, app in (("ro_zzzz", "demo"), ("ro_mmmm", "other"), ("ro_aaaa", "demo")):
            stores.rollouts.add(a_rollout(rollout_id, app=app))

    with database.reading() as stores:
        assert [r.id for r in stores.rollouts.of_app("demo")] == ["ro_aaaa", "ro_zzzz"]
        assert [r.id for r in stores.rollouts.newest("demo", 1)] == ["ro_aaaa"]
        assert [r.id for r in stores.rollouts.live()] == ["ro_aaaa", "ro_mmmm", "ro_zzzz"]


def test_only_active_and_paused_rollouts_are_live(database: Database) -> None:
    with database.transaction() as stores:
        for state in RolloutState:
            stores.rollouts.add(a_rollout(f"ro_{state}", state=state))

    with database.reading() as stores:
        assert {r.state for r in stores.rollouts.live()} == {"active", "paused"}


def test_a_replaced_rollout_is_the_new_one(database: Database) -> None:
    new = replace(FULL, id=a_rollout().id)

    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
        stores.rollouts.replace(a_rollout(), new)

    with database.reading() as stores:
        assert stores.rollouts.get("demo", new.id) == new


def test_a_rollout_changed_by_somebody_else_is_not_replaced(database: Database) -> None:
    mine, theirs = a_rollout(revision=2, reason="mine"), a_rollout(revision=2, reason="theirs")
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
        stores.rollouts.replace(a_rollout(), theirs)

    with database.transaction() as stores, pytest.raises(ChangedError) as caught:
        stores.rollouts.replace(a_rollout(), mine)

    assert (caught.value.kind, caught.value.key) == ("rollout", theirs.id)
    with database.reading() as stores:
        assert stores.rollouts.get("demo", theirs.id) == theirs


def test_a_rollout_that_is_not_there_is_not_replaced(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.rollouts.replace(a_rollout(), a_rollout(revision=2))


def test_holds_come_back_as_they_went_oldest_first(database: Database) -> None:
    everything = Audience(
        groups=("staff",),
        platform=("linux-x86_64",),
        os_version=(">=12", "<13"),
        locale=(),
        country=("DE",),
        custom={"edition": ("pro", "lite")},
        unknown=True,
    )
    wanted = [
        a_hold("h2", audience=everything, rollout=a_rollout().id),
        a_hold("h1", audience=Audience()),
    ]

    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())
        for hold in wanted:
            stores.rollouts.add_hold(hold)

    with database.reading() as stores:
        assert stores.rollouts.holds("demo") == wanted
        assert stores.rollouts.holds("other") == []


def test_a_hold_id_is_taken_once_in_an_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.rollouts.add_hold(a_hold())
        stores.rollouts.add_hold(a_hold(app="other"))

        with pytest.raises(ExistsError):
            stores.rollouts.add_hold(a_hold(channel="beta"))


def test_a_lifted_hold_stays_on_record(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add_hold(a_hold())

        first = stores.rollouts.lift_hold("demo", "h1", NOW)
        again = stores.rollouts.lift_hold("demo", "h1", NOW + HOUR)

    assert first == again == a_hold(lifted_at=NOW)
    with database.reading() as stores:
        assert stores.rollouts.holds("demo") == []
        assert stores.rollouts.holds("demo", lifted=True) == [first]


def test_a_lifted_hold_can_be_put_in_force_again(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add_hold(a_hold())
        stores.rollouts.lift_hold("demo", "h1", NOW)

        stores.rollouts.restore_hold("demo", "h1")

        assert stores.rollouts.holds("demo") == [a_hold()]


def test_an_unknown_hold_is_neither_lifted_nor_restored(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(NotFoundError):
            stores.rollouts.lift_hold("demo", "h1", NOW)
        with pytest.raises(NotFoundError):
            stores.rollouts.restore_hold("demo", "h1")


def test_rollouts_of_an_app_are_listed_in_parts(database: Database) -> None:
    with database.transaction() as stores:
        for number in range(5):
            stores.rollouts.add(a_rollout(f"ro_{number}"))

    with database.reading() as stores:
        some = stores.rollouts.of_app("demo", start=1, limit=2)
        assert [rollout.id for rollout in some] == ["ro_3", "ro_2"]
        assert [r.id for r in stores.rollouts.of_app("demo", start=4, limit=2)] == ["ro_0"]
        assert stores.rollouts.of_app("demo", start=5, limit=2) == []


def test_rollouts_are_found_by_their_versions(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.rollouts.add(a_rollout("ro_1", version=Version("1.0")))
        stores.rollouts.add(a_rollout("ro_2", version=Version("2.0"), channel="beta"))
        stores.rollouts.add(a_rollout("ro_3", version=Version("3.0")))
        stores.rollouts.add(a_rollout("ro_4", version=Version("1.0"), app="other"))

    with database.reading() as stores:
        found = stores.rollouts.of_versions("demo", {Version("1.0"), Version("2.0")})
        assert [rollout.id for rollout in found] == ["ro_2", "ro_1"]
        assert stores.rollouts.of_versions("demo", []) == []


def test_the_revisions_of_many_rollouts_are_told_at_once(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout("ro_1"))
        stores.rollouts.add(a_rollout("ro_2", revision=4))

    wanted = [RolloutId("ro_1"), RolloutId("ro_2"), RolloutId("ro_3")]
    with database.reading() as stores:
        assert stores.rollouts.revisions(wanted) == {"ro_1": 1, "ro_2": 4}
