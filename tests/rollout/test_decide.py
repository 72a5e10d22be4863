"""What the vectors of the decision do not show."""

from __future__ import annotations

import pytest
from packaging.version import Version

from rollout.decide import arm_of, decide, narrow
from rollout.model import Action, Arm, Assignment, Audience, Install, Reason, RolloutState
from tests.builders import (
    NEW,
    NOW,
    OLD,
    a_hold,
    a_release,
    a_ring,
    an_entry,
    an_install,
    an_install_id,
    documents,
    salt_of,
)

OFFER = Assignment(action=Action.UPDATE, reason=Reason.IN_RING, version=NEW, ring="1%")
MUST = Assignment(action=Action.UPDATE, reason=Reason.MUST_REACH, version=NEW)
REST = Assignment(action=Action.STAY, reason=Reason.OUTSIDE_RING, bucket=7)

STAFF = a_ring(name="internal", audience=Audience(groups=("staff",)))
FIRST = a_ring(name="1%", exposure_bp=100)
SECOND = a_ring(name="10%", exposure_bp=1_000)


def test_a_rollback_without_from_asks_nothing_of_an_install_that_tells_no_version() -> None:
    entry = an_entry(version=OLD, rollback=True)

    assignment = decide(documents(entry), an_install(version=None), NOW)

    assert assignment.reason is Reason.UP_TO_DATE


@pytest.mark.parametrize("state", [RolloutState.ACTIVE, RolloutState.PAUSED, RolloutState.PULLED])
def test_an_empty_machine_on_a_platform_without_releases_hears_of_no_rollout(
    state: RolloutState,
) -> None:
    entry = an_entry(state=state)

    assignment = decide(documents(entry, releases=[]), an_install(version=None), NOW)

    assert assignment == Assignment(action=Action.STAY, reason=Reason.NO_RELEASE)


def test_the_running_version_counts_as_reached_though_no_high_water_is_told() -> None:
    entry = an_entry(version=OLD, rollback=True, from_versions=[NEW])
    no_edges = [a_release(version=OLD), a_release(version=NEW)]

    assignment = decide(documents(entry, releases=no_edges), an_install(version=NEW), NOW)

    assert assignment.action is Action.STAY


class TestNarrowing:
    def test_without_a_recent_answer_the_local_assignment_stands(self) -> None:
        hint = (Action.STAY, None, Reason.PAUSED)

        assert narrow(OFFER, *hint, answered_recently=False) is OFFER

    def test_a_hint_to_stay_holds_back_with_its_reason(self) -> None:
        narrowed = narrow(OFFER, Action.STAY, None, Reason.PAUSED, answered_recently=True)

        assert narrowed == Assignment(action=Action.STAY, reason=Reason.PAUSED)

    def test_a_hint_to_stay_for_the_same_reason_keeps_the_details(self) -> None:
        hint = (Action.STAY, None, Reason.OUTSIDE_RING)

        assert narrow(REST, *hint, answered_recently=True) is REST

    def test_a_hint_that_agrees_lets_the_install_go_on(self) -> None:
        hint = (Action.UPDATE, NEW, Reason.IN_RING)

        assert narrow(OFFER, *hint, answered_recently=True) is OFFER

    @pytest.mark.parametrize(
        ("action", "version"), [(Action.UPDATE, OLD), (Action.ROLLBACK, NEW), (Action.UPDATE, None)]
    )
    @pytest.mark.parametrize("local", [OFFER, REST])
    def test_a_hint_to_anything_else_is_not_followed(
        self, local: Assignment, action: Action, version: Version | None
    ) -> None:
        narrowed = narrow(local, action, version, Reason.IN_RING, answered_recently=True)

        assert narrowed == Assignment(action=Action.STAY, reason=Reason.STALE_SERVER)

    def test_what_must_be_reached_ignores_the_hint(self) -> None:
        assert narrow(MUST, Action.STAY, None, Reason.HELD, answered_recently=True) is MUST


class TestArms:
    """An install's arm is the bucket's alone; everything else is asked of both arms alike."""

    RELEASE = a_release(salt=salt_of("arms"))
    ENTRY = an_entry(rings=(STAFF, FIRST, SECOND))

    @pytest.mark.parametrize(
        ("bucket", "ring", "arm"),
        [
            (0, "1%", Arm.CANDIDATE),
            (99, "1%", Arm.CANDIDATE),
            (100, "10%", Arm.CANDIDATE),
            (999, "10%", Arm.CANDIDATE),
            (1_000, "10%", Arm.CONTROL),
            (9_999, "10%", Arm.CONTROL),
        ],
    )
    def test_candidates_are_below_the_exposure(self, bucket: int, ring: str, arm: Arm) -> None:
        install = an_install(id=an_install_id(in_bucket=bucket, salt=self.RELEASE.salt))

        assert arm_of(self.ENTRY, self.RELEASE, install) == (ring, arm)

    def test_the_holdback_is_control(self) -> None:
        entry = an_entry(rings=(a_ring(),), holdback_bp=200)
        install = an_install(id=an_install_id(in_bucket=9_800, salt=self.RELEASE.salt))

        assert arm_of(entry, self.RELEASE, install) == ("all", Arm.CONTROL)

    def test_members_of_a_group_are_compared_with_nobody(self) -> None:
        install = an_install(groups=["staff"])

        assert arm_of(self.ENTRY, self.RELEASE, install) == ("internal", Arm.INTERNAL)

    def test_nobody_else_is_in_an_arm_before_a_general_ring_opens(self) -> None:
        entry = an_entry(rings=(STAFF,))

        assert arm_of(entry, self.RELEASE, an_install()) == (None, None)

    def test_an_install_under_a_hold_is_in_no_arm(self) -> None:
        entry = an_entry(rings=(STAFF, FIRST), holds=(a_hold(),))

        assert arm_of(entry, self.RELEASE, an_install(groups=["staff"])) == (None, None)

    @pytest.mark.parametrize(
        "install",
        [
            an_install(platform="macos-arm64", attributes={"os_version": "12"}),
            an_install(channel="beta", attributes={"os_version": "12"}),
            an_install(version="1.9.0", attributes={"os_version": "12"}),
            an_install(version=None, attributes={"os_version": "12"}),
            an_install(attributes={"os_version": "11"}),
            an_install(),
        ],
    )
    def test_an_install_that_the_release_cannot_run_on_is_in_no_arm(self, install: Install) -> None:
        release = a_release(min_version=OLD, min_os="12")

        assert arm_of(self.ENTRY, release, install) == (None, None)

    def test_an_install_that_no_general_ring_is_for_is_in_no_arm(self) -> None:
        entry = an_entry(rings=(a_ring(audience=Audience(country=("AT",))),))

        assert arm_of(entry, self.RELEASE, an_install()) == (None, None)

    def test_an_install_that_took_the_release_stays_a_candidate(self) -> None:
        before, after = an_install(version=OLD), an_install(version=NEW)
        entry = an_entry(state=RolloutState.ACTIVE)

        assert arm_of(entry, self.RELEASE, before) == arm_of(entry, self.RELEASE, after)
        assert arm_of(entry, self.RELEASE, after) == ("all", Arm.CANDIDATE)
