from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from packaging.version import Version

from rollout.first import FIRST_RING, first_name
from rollout.model import (
    Action,
    Arm,
    Audience,
    Entry,
    Hold,
    InstallId,
    MustReach,
    OpenRing,
    Reason,
    RolloutState,
)
from tests.public_world import (
    APP,
    HIGH_BUCKET,
    LEASE_SECONDS,
    LOW_BUCKET,
    NOW,
    ROLLOUT,
    V1,
    V2,
    World,
    a_check_in,
    a_completed_entry,
    a_world,
    add_app,
    an_entry,
    empty_world,
)
from update_server.service.agents.pseudonyms import install_key
from update_server.service.agents.tokens import check, rollout_number
from update_server.service.errors import (
    NotReadyError,
    UnknownAppError,
    UnknownChannelError,
    UnknownPlatformError,
)


@pytest.fixture
def world() -> World:
    return a_world()


def test_an_install_in_an_open_ring_is_offered_the_release(world: World) -> None:
    assignment = world.check_in(LOW_BUCKET).assignment

    assert (assignment.action, assignment.reason) == (Action.UPDATE, Reason.IN_RING)
    assert (assignment.version, assignment.ring) == (V2, "1%")


def test_an_install_outside_the_ring_stays(world: World) -> None:
    assignment = world.check_in(HIGH_BUCKET).assignment

    assert (assignment.action, assignment.reason) == (Action.STAY, Reason.OUTSIDE_RING)
    assert assignment.version is None


def test_an_install_with_nothing_on_it_is_given_what_is_fully_released(world: World) -> None:
    assignment = world.check_in(HIGH_BUCKET, version=None).assignment

    assert (assignment.action, assignment.version) == (Action.UPDATE, V1)


def test_a_check_in_reaches_no_database(world: World) -> None:
    before = world.database.transactions

    for number in range(100):
        world.check_in(InstallId(str(UUID(int=number))), enrolments=("enr_x",))

    assert world.database.transactions == before


def test_the_period_is_that_of_the_signed_document(world: World) -> None:
    assert world.check_in().next_check_in_seconds == 3_600


class TestWhatIsRefused:
    def test_nothing_was_read_yet(self) -> None:
        with pytest.raises(NotReadyError):
            empty_world().check_in()

    def test_an_unknown_app(self, world: World) -> None:
        with pytest.raises(UnknownAppError):
            world.services.check_ins.answer("nope", a_check_in())

    def test_an_unknown_channel(self, world: World) -> None:
        with pytest.raises(UnknownChannelError) as caught:
            world.check_in(channel="beta")
        assert caught.value.channel == "beta"

    def test_an_unknown_platform(self, world: World) -> None:
        with pytest.raises(UnknownPlatformError) as caught:
            world.check_in(platform="macos-arm64")
        assert caught.value.platform == "macos-arm64"

    def test_nobody_is_noted_who_was_refused(self, world: World) -> None:
        with pytest.raises(UnknownChannelError):
            world.check_in(channel="beta")
        assert world.contacts == []


class TestTheLease:
    def test_a_table_that_was_not_confirmed_within_the_lease_offers_nothing(
        self, world: World
    ) -> None:
        world.advance(LEASE_SECONDS)

        assignment = world.check_in().assignment

        assert (assignment.action, assignment.reason) == (Action.STAY, Reason.STALE_SERVER)
        assert assignment.version is None

    def test_within_the_lease_the_table_offers(self, world: World) -> None:
        world.advance(LEASE_SECONDS - 0.01)

        assert world.check_in().assignment.action is Action.UPDATE

    def test_not_even_a_release_that_must_be_reached_is_offered_past_the_lease(
        self, world: World
    ) -> None:
        world.put_policy(must_reach=(MustReach(version=V2, after=NOW),))
        world.refresh()
        assert world.check_in(HIGH_BUCKET).assignment.reason is Reason.MUST_REACH

        world.advance(LEASE_SECONDS)

        assert world.check_in(HIGH_BUCKET).assignment.action is Action.STAY

    def test_answers_go_on_while_the_database_is_down(self, world: World) -> None:
        world.database.is_down = True
        world.advance(86_400)

        answer = world.check_in()

        assert answer.assignment.reason is Reason.STALE_SERVER
        assert len(answer.token) == 58
        assert len(world.contacts) == 1

    def test_a_new_confirmation_lets_it_offer_again(self, world: World) -> None:
        world.advance(LEASE_SECONDS)
        world.refresh()

        assert world.check_in().assignment.action is Action.UPDATE

    def test_a_stale_contact_counts_in_no_arm(self, world: World) -> None:
        world.advance(LEASE_SECONDS)
        world.check_in()

        contact = world.contacts[0]
        assert (contact.rollout, contact.arm) == (None, None)


class TestDocuments:
    def test_an_expired_rollout_document_offers_nothing(self, world: World) -> None:
        world.put_rollout(an_entry(), expires_at=NOW)
        world.refresh()

        assert world.check_in().assignment.reason is Reason.STALE_SERVER

    def test_an_expired_policy_offers_nothing(self, world: World) -> None:
        world.put_policy(expires_at=NOW, must_reach=(MustReach(version=V2, after=NOW),))
        world.refresh()

        assert world.check_in().assignment.reason is Reason.STALE_SERVER

    def test_what_must_be_reached_beats_an_expired_rollout_document(self, world: World) -> None:
        world.put_policy(must_reach=(MustReach(version=V2, after=NOW),))
        world.put_rollout(an_entry(), expires_at=NOW)
        world.refresh()

        assert world.check_in(HIGH_BUCKET).assignment.reason is Reason.MUST_REACH

    def test_a_channel_without_documents_has_no_release(self) -> None:
        world = empty_world()
        add_app(world)
        world.refresh()

        answer = world.check_in()

        assert answer.assignment.reason is Reason.NO_RELEASE
        assert answer.next_check_in_seconds == 14_400

    def test_a_channel_with_only_a_policy_has_no_release(self) -> None:
        world = empty_world()
        add_app(world)
        world.put_policy()
        world.refresh()

        assert world.check_in().assignment.reason is Reason.NO_RELEASE

    def test_a_pulled_release_is_offered_to_nobody(self, world: World) -> None:
        world.put_rollout(an_entry(state=RolloutState.PULLED), a_completed_entry())
        world.refresh()

        assert world.check_in().assignment.reason is Reason.PULLED

    def test_a_version_that_failed_there_is_throttled(self, world: World) -> None:
        assert world.check_in(failed_versions=(V2,)).assignment.reason is Reason.THROTTLED

    def test_no_downgrade_is_offered_to_an_install_that_is_further(self, world: World) -> None:
        assignment = world.check_in(version=Version("9.9.9")).assignment

        assert (assignment.action, assignment.version) == (Action.STAY, None)

    def test_the_newest_signed_state_is_named(self, world: World) -> None:
        with world.database.transaction() as stores:
            stores.journal.add(APP, 41, b"{}", NOW)
            stores.apps.bump(APP)
        world.refresh()

        assert world.check_in().timestamp_version == 41


class TestGroups:
    def test_a_members_credential_opens_the_internal_ring(self, world: World) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()

        assignment = world.check_in(HIGH_BUCKET, enrolments=(credential,)).assignment

        assert (assignment.reason, assignment.ring) == (Reason.IN_RING, "internal")

    def test_another_installs_credential_opens_nothing(self, world: World) -> None:
        credential = world.enrol(LOW_BUCKET)
        world.refresh()

        assignment = world.check_in(HIGH_BUCKET, enrolments=(credential,)).assignment

        assert assignment.reason is Reason.OUTSIDE_RING

    def test_an_invented_credential_opens_nothing(self, world: World) -> None:
        assignment = world.check_in(HIGH_BUCKET, enrolments=("enr_guess",)).assignment

        assert assignment.reason is Reason.OUTSIDE_RING

    def test_a_revoked_credential_opens_nothing(self, world: World) -> None:
        credential = world.enrol(HIGH_BUCKET)
        with world.database.transaction() as stores:
            stores.access.remove_group(APP, "staff", NOW)
            stores.apps.bump(APP)
        world.refresh()

        assignment = world.check_in(HIGH_BUCKET, enrolments=(credential,)).assignment

        assert assignment.reason is Reason.OUTSIDE_RING


class TestContacts:
    def test_a_contact_knows_the_install_by_its_pseudonym_only(self, world: World) -> None:
        world.check_in()

        contact = world.contacts[0]
        assert contact.install_key == install_key(world.tables.secrets.pepper, APP, LOW_BUCKET)
        assert LOW_BUCKET not in repr(contact)

    def test_what_was_answered_is_noted(self, world: World) -> None:
        world.check_in(self_selected=True, telemetry="off", timestamp_version=41)

        contact = world.contacts[0]
        assert (contact.action, contact.reason, contact.offered) == ("update", "in_ring", "2.1.0")
        assert (contact.version, contact.at) == ("2.0.0", NOW)
        assert (contact.self_selected, contact.telemetry, contact.timestamp_version) == (
            True,
            "off",
            41,
        )

    def test_an_install_with_nothing_on_it_has_an_empty_version(self, world: World) -> None:
        world.check_in(version=None)

        assert world.contacts[0].version == ""

    @pytest.mark.parametrize(
        ("install_id", "arm"), [(LOW_BUCKET, Arm.CANDIDATE), (HIGH_BUCKET, Arm.CONTROL)]
    )
    def test_both_arms_are_noted(self, world: World, install_id: InstallId, arm: Arm) -> None:
        world.check_in(install_id)

        contact = world.contacts[0]
        assert (contact.rollout, contact.ring, contact.arm) == (ROLLOUT, "1%", arm)

    def test_a_candidate_that_took_the_release_still_is_one(self, world: World) -> None:
        world.check_in(LOW_BUCKET, version=V2)

        assert world.contacts[0].arm is Arm.CANDIDATE

    def test_a_member_counts_as_internal(self, world: World) -> None:
        credential = world.enrol(HIGH_BUCKET)
        world.refresh()
        world.check_in(HIGH_BUCKET, enrolments=(credential,))

        contact = world.contacts[0]
        assert (contact.ring, contact.arm) == ("internal", Arm.INTERNAL)

    def test_an_install_beyond_the_release_is_not_concerned(self, world: World) -> None:
        world.check_in(version=Version("2.2.0"))

        assert world.contacts[0].arm is None

    def test_a_held_install_is_in_neither_arm(self, world: World) -> None:
        hold = Hold(
            id="h1",
            title="Crashes",
            link="https://status.example.org/h1",
            audience=Audience(platform=("linux-x86_64",)),
        )
        world.put_rollout(an_entry(holds=(hold,)))
        world.refresh()

        assert world.check_in().assignment.hold == hold
        assert world.contacts[0].arm is None

    def test_a_release_that_may_not_run_there_has_no_arms(self, world: World) -> None:
        world.put_policy(revoked=frozenset({V2}))
        world.refresh()
        world.check_in()

        assert world.contacts[0].arm is None

    def test_nobody_enters_an_arm_while_the_rollout_is_paused(self, world: World) -> None:
        world.put_rollout(an_entry(state=RolloutState.PAUSED), a_completed_entry())
        world.refresh()
        world.check_in()

        assert world.contacts[0].arm is None

    def test_a_way_back_has_no_arms(self, world: World) -> None:
        back = an_entry(version=V1, rollback=True, from_versions=frozenset({V2}), rings=())
        world.put_rollout(replace(back, exposure_bp=10_000, rollout=None))
        world.refresh()
        world.check_in()

        assert world.contacts[0].arm is None

    def test_a_rollout_of_a_release_for_other_platforms_is_passed_over(self, world: World) -> None:
        unreleased = an_entry(
            version=Version("3.0.0"), rings=(OpenRing(name="1%", exposure_bp=100),)
        )
        world.put_rollout(unreleased, an_entry())
        world.refresh()
        world.check_in()

        assert world.contacts[0].rollout == ROLLOUT


class TestTokens:
    def test_a_token_binds_the_running_and_the_assigned_release(self, world: World) -> None:
        token = world.check_in().token

        secrets = world.tables.secrets
        said = check(
            secrets.tokens,
            token,
            app=APP,
            install_key=install_key(secrets.pepper, APP, LOW_BUCKET),
            now=NOW,
        )
        by_number = world.tables.of(APP).table.by_number
        assert (by_number[said.running].version, by_number[said.assigned].version) == (V1, V2)
        assert said.rollout == rollout_number(ROLLOUT)

    def test_the_same_install_gets_the_same_token(self, world: World) -> None:
        first = world.check_in().token
        world.advance(1)

        assert world.check_in().token == first

    def test_a_control_has_a_token_too(self, world: World) -> None:
        assert world.check_in(HIGH_BUCKET).token != world.check_in(LOW_BUCKET).token

    def test_an_unknown_running_version_is_number_zero(self, world: World) -> None:
        secrets = world.tables.secrets
        token = world.check_in(version=Version("1.2.3")).token

        said = check(
            secrets.tokens,
            token,
            app=APP,
            install_key=install_key(secrets.pepper, APP, LOW_BUCKET),
            now=NOW + timedelta(days=1),
        )
        assert said.running == 0


def test_a_contact_says_the_bucket_that_put_the_install_into_its_arm(world: World) -> None:
    world.check_in(LOW_BUCKET)
    world.check_in(HIGH_BUCKET)

    assert [contact.bucket for contact in world.contacts] == [0, 9_999]


def test_a_contact_says_that_a_hold_keeps_the_install(world: World) -> None:
    hold = Hold(
        id="h1",
        title="driver",
        link="https://status.example.org/h1",
        audience=Audience(platform=("linux-x86_64",)),
    )
    world.put_rollout(an_entry(holds=(hold,)), a_completed_entry())
    world.refresh()

    world.check_in(LOW_BUCKET)

    [contact] = world.contacts
    assert (contact.held, contact.rollout, contact.bucket) == (True, None, None)


class TestInstallsThatAreTakenFirst:
    """2.1.0 mends 2.0.5: whoever runs that is offered it, and compared with nobody."""

    BAD = Version("2.0.5")

    @pytest.fixture
    def world(self) -> World:
        world = a_world()
        world.put_release(self.BAD, data=b"bad")
        world.put_rollout(*self.entries())
        world.refresh()
        return world

    def entries(self, **fields: object) -> tuple[Entry, ...]:
        entry = replace(an_entry(), **fields)  # type: ignore[arg-type]
        first = replace(
            entry,
            rollout=first_name(ROLLOUT),
            exposure_bp=10_000,
            rings=(OpenRing(name=FIRST_RING, exposure_bp=10_000),),
            from_versions=frozenset({self.BAD}),
        )
        return first, entry, a_completed_entry()

    def test_they_are_offered_it_whatever_their_bucket(self, world: World) -> None:
        told = world.check_in(HIGH_BUCKET, version=self.BAD).assignment

        assert (told.action, told.reason) == (Action.UPDATE, Reason.IN_RING)
        assert (told.version, told.ring, told.rollout) == (V2, FIRST_RING, ROLLOUT)

    def test_they_are_in_neither_arm(self, world: World) -> None:
        for install in (HIGH_BUCKET, LOW_BUCKET):
            world.check_in(install, version=self.BAD)

        for contact in world.contacts:
            assert (contact.rollout, contact.ring) == (ROLLOUT, FIRST_RING)
            assert (contact.arm, contact.bucket, contact.held) == (None, None, False)

    def test_the_token_names_the_rollout(self, world: World) -> None:
        token = world.check_in(HIGH_BUCKET, version=self.BAD).token

        secrets = world.tables.secrets
        key = install_key(secrets.pepper, APP, HIGH_BUCKET)
        read = check(secrets.tokens, token, app=APP, install_key=key, now=NOW)
        assert read.rollout == rollout_number(ROLLOUT)

    def test_others_are_in_the_arms_as_ever(self, world: World) -> None:
        for install in (LOW_BUCKET, HIGH_BUCKET):
            world.check_in(install)

        assert [contact.arm for contact in world.contacts] == [Arm.CANDIDATE, Arm.CONTROL]
        assert {contact.rollout for contact in world.contacts} == {ROLLOUT}

    def test_a_hold_keeps_them(self, world: World) -> None:
        hold = Hold(id="h1", title="t", link="https://status.example.org/h1", audience=Audience())
        world.put_rollout(*self.entries(holds=(hold,)))
        world.refresh()

        assert world.check_in(HIGH_BUCKET, version=self.BAD).assignment.reason is Reason.HELD
        assert world.contacts[-1].held
