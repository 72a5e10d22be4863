"""What the signer signs, and what it refuses whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import render_release, render_rollout
from rollout.model import Actor, Approvals, Automatic, Entry, RolloutState, Step
from signing.admit import CLOCK_SKEW
from signing.ceremony import sign_releases
from signing.drafts import Draft
from signing.journal import load_journal
from tests.builders import a_rollout
from tests.fakes.passwords import QUICK_PASSWORDS
from tests.signer.signer_world import RAMP, ROLLOUT, SignerWorld, a_document, a_world, an_entry
from tests.signing.world import APP, PUBLISHER, a_release, files_of, key
from update_server.service.ports import Role, SignerRefusedError, UnavailableError
from update_server.signer.memory import recall
from update_server.signer.online import OnlineSigner


@pytest.fixture
def world(tmp_path: Path) -> SignerWorld:
    return a_world(tmp_path)


def refusal(world: SignerWorld, *args: object, **options: object) -> SignerRefusedError:
    with pytest.raises(SignerRefusedError) as refused:
        world.ask(*args, **options)  # type: ignore[arg-type]
    return refused.value


def refusal_of_bytes(world: SignerWorld, document: bytes) -> SignerRefusedError:
    newest = world.signer.status(APP).timestamp_version
    with pytest.raises(SignerRefusedError) as refused:
        world.signer.sign_rollout(
            APP, "stable", document, [world.token("eve")], based_on=newest, automatic=False
        )
    return refused.value


def _with_another_signature(data: bytes) -> bytes:
    metadata = json.loads(data)
    for signature in metadata["signatures"]:
        signature["sig"] = signature["sig"][::-1]
    return json.dumps(metadata).encode()


def a_rollback(**changes: object) -> Entry:
    values: dict[str, object] = {
        "version": Version("1.0"),
        "state": RolloutState.ACTIVE,
        "exposure_bp": 10_000,
        "rollback": True,
        "from_versions": frozenset({Version("2.0")}),
        **changes,
    }
    return Entry(**values)  # type: ignore[arg-type]


def test_an_operator_starts_a_rollout(world: SignerWorld) -> None:
    operator = world.token("ann")

    signed = world.ask(a_document(an_entry()), operator)

    assert signed.entries == (an_entry(),)


@pytest.mark.parametrize(
    "settings",
    [
        {"role": Role.VIEWER},
        {"role": Role.PUBLISHER},
        {"app": "other"},
        {"revoked": True},
        {"expired": True},
    ],
    ids=["viewer", "publisher", "other-app", "revoked", "expired"],
)
def test_a_start_needs_the_token_of_a_living_operator(
    world: SignerWorld, settings: dict[str, object]
) -> None:
    token = world.token("ann", **settings)  # type: ignore[arg-type]

    assert refusal(world, a_document(an_entry()), token).code == "approvals_missing"
    assert refusal(world, a_document(an_entry()), "srn_guessed").code == "approvals_missing"
    assert refusal(world, a_document(an_entry())).code == "approvals_missing"


def test_a_ring_that_needs_two_is_not_opened_by_one_person_with_two_tokens(
    world: SignerWorld,
) -> None:
    ann, ben = world.token("ann"), world.token("ben")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(1)), ann)

    refused = refusal(world, a_document(an_entry(2)), ann, ann)
    signed = world.ask(a_document(an_entry(2)), ann, ben)

    assert (refused.code, refused.data) == ("approvals_missing", {"needed": 2, "given": 1})
    assert signed.entries[0].exposure_bp == 10_000


def test_a_pause_needs_nobody_so_that_recovery_can_finish_it(world: SignerWorld) -> None:
    world.ask(a_document(an_entry()), world.token("ann"))

    signed = world.ask(a_document(an_entry(state=RolloutState.PAUSED)))

    assert signed.entries[0].state is RolloutState.PAUSED


def test_a_pulled_release_never_comes_back(world: SignerWorld) -> None:
    ann, ben = world.token("ann"), world.token("ben")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(state=RolloutState.PULLED)))

    again = refusal(world, a_document(an_entry()), ann, ben)
    renamed = refusal(world.restarted(), a_document(an_entry(rollout="ro_other")), ann, ben)

    assert again.code == renamed.code == "never"


def test_nothing_above_the_ceiling_is_signed(tmp_path: Path) -> None:
    world = a_world(tmp_path, ceiling=((0, 100), (3_600, 10_000)))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)

    early = refusal(world, a_document(an_entry(1)), ann)
    world.clock.advance(timedelta(hours=2))
    later = world.ask(a_document(an_entry(1)), ann)

    assert early.code == "never"
    assert later.entries[0].exposure_bp == 1_000


def test_a_version_that_nobody_signed_is_never_offered(world: SignerWorld) -> None:
    unknown = an_entry(version=Version("3.0"))

    assert refusal(world, a_document(unknown), world.token("ann")).code == "never"


def test_a_rollback_goes_only_along_a_signed_edge(world: SignerWorld) -> None:
    ann = world.token("ann")
    world.publish("2.1")  # names no way back
    pulled = an_entry(version=Version("2.1"), rollout="ro_second", state=RolloutState.PULLED)
    world.ask(a_document(replace(pulled, state=RolloutState.ACTIVE)), ann)

    unlisted = a_rollback(from_versions=frozenset({Version("2.1")}))
    refused = refusal(world, a_document(unlisted, pulled), ann)

    assert refused.code == "never"


def test_the_server_may_roll_back_by_itself_only_as_often_as_the_policy_says(
    tmp_path: Path,
) -> None:
    world = a_world(tmp_path, automatic=Automatic(max_rollbacks_per_day=0))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    document = a_document(a_rollback(), an_entry(state=RolloutState.PULLED))

    refused = refusal(world, document, automatic=True)
    by_a_person = world.ask(document, ann)

    assert refused.code == "not_automatic"
    assert by_a_person.entries[0].rollback


def test_a_rollback_that_nobody_was_seen_to_ask_for_is_signed_and_counted(tmp_path: Path) -> None:
    world = a_world(tmp_path, automatic=Automatic(rollback=False, max_rollbacks_per_day=1))
    world.ask(a_document(an_entry()), world.token("ann"))

    # Recovery after a crash asks like this, without the operator who wanted the pull.
    signed = world.ask(a_document(a_rollback(), an_entry(state=RolloutState.PULLED)))

    assert signed.entries[0].rollback
    assert recall(world.folder / APP, APP).rollbacks == (world.clock.now(),)


@pytest.mark.parametrize("admitted", [True, False])
@pytest.mark.parametrize("then", [True, False])
def test_the_server_counts_its_rollbacks_across_restarts(
    world: SignerWorld, *, admitted: bool, then: bool
) -> None:
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    first = (a_rollback(), an_entry(state=RolloutState.PULLED))
    world.ask(a_document(*first), automatic=admitted)
    world.publish("3.0", rollback_to=("1.0",))
    third = an_entry(version=Version("3.0"), rollout="ro_third")
    world.ask(a_document(third, *first), ann)
    second = a_rollback(from_versions=frozenset({Version("3.0")}))
    pulled = replace(third, state=RolloutState.PULLED)

    refused = refusal(world.restarted(), a_document(second, pulled, *first), automatic=then)
    stopped = world.ask(a_document(pulled, *first), automatic=then)
    world.clock.advance(timedelta(days=1))
    next_day = world.ask(a_document(second, pulled, *first), automatic=then)

    assert refused.code == "not_automatic"
    assert stopped.entries[0] == pulled
    assert next_day.entries[0].rollback


def test_an_operator_asks_for_as_many_rollbacks_as_it_takes(tmp_path: Path) -> None:
    world = a_world(tmp_path, automatic=Automatic(max_rollbacks_per_day=0))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)

    signed = world.ask(a_document(a_rollback(), an_entry(state=RolloutState.PULLED)), ann)

    assert signed.entries[0].rollback
    assert recall(world.folder / APP, APP).rollbacks == ()


def test_documents_of_another_app_or_channel_are_refused(world: SignerWorld) -> None:
    ann = world.token("ann")
    foreign = replace(a_document(), app="other")
    with pytest.raises(SignerRefusedError) as wrong_app:
        world.ask(foreign, ann)
    broken = refusal_of_bytes(world, b'{"schema": 1}')

    assert wrong_app.value.code == broken.code == "bad_document"


def _with_an_unknown_field(data: bytes) -> bytes:
    document = json.loads(data)
    document["entries"][0]["future_widening"] = {"everyone": True}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change", [_with_an_unknown_field, lambda data: data + b" "], ids=["unknown", "spelled"]
)
def test_nothing_is_signed_that_the_signer_would_not_write_itself(
    world: SignerWorld, change: Callable[[bytes], bytes]
) -> None:
    document = render_rollout(a_document(an_entry()))

    assert refusal_of_bytes(world, change(document)).code == "bad_document"


@pytest.mark.parametrize(
    ("ahead", "is_signed"), [(CLOCK_SKEW, True), (CLOCK_SKEW + timedelta(seconds=1), False)]
)
def test_nothing_is_signed_that_was_issued_far_ahead(
    world: SignerWorld, ahead: timedelta, *, is_signed: bool
) -> None:
    document = replace(a_document(an_entry()), issued=world.clock.now() + ahead)
    ann = world.token("ann")

    if is_signed:
        assert world.ask(document, ann) == document
    else:
        assert refusal(world, document, ann).code == "bad_document"


# --- what leaves and comes back ----------------------------------------------------------


def completed(world: SignerWorld, *tokens: str) -> Entry:
    """Walk release 2.0 through the ramp; return its last entry."""
    for position in range(3):
        world.ask(a_document(an_entry(position)), *tokens)
    done = an_entry(2, state=RolloutState.COMPLETED)
    world.ask(a_document(done))
    return done


def test_nobody_completes_a_release_below_everybody_to_bring_it_back_wider(
    world: SignerWorld,
) -> None:
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)

    early = refusal(world, a_document(an_entry(state=RolloutState.COMPLETED)))
    world.ask(a_document())
    back = refusal(world, a_document(an_entry(2, state=RolloutState.COMPLETED)))

    assert (early.code, back.code) == ("never", "approvals_missing")


def test_a_completed_release_comes_back_without_anybody_as_it_left(world: SignerWorld) -> None:
    done = completed(world, world.token("ann"), world.token("ben"))
    world.ask(a_document())

    assert world.restarted().ask(a_document(done)).entries == (done,)


@pytest.mark.parametrize("automatic", [True, False])
def test_a_completed_release_that_left_paused_comes_back_only_with_people(
    world: SignerWorld, *, automatic: bool
) -> None:
    ann, ben = world.token("ann"), world.token("ben")
    done = completed(world, ann, ben)
    world.ask(
        a_document(replace(done, state=RolloutState.PAUSED)),
        *([] if automatic else [ann]),
        automatic=automatic,
    )
    world.ask(a_document())

    refused = refusal(world.restarted(), a_document(done))

    assert (refused.code, refused.data["needed"]) == ("approvals_missing", 2 if automatic else 1)


@pytest.mark.parametrize("rollout", ["ro_first", "ro_second"])
def test_an_automatic_pause_does_not_end_by_leaving_the_document(
    world: SignerWorld, rollout: str
) -> None:
    ann, ben = world.token("ann"), world.token("ben")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(state=RolloutState.PAUSED)), automatic=True)
    world.ask(a_document())
    again = a_document(an_entry(rollout=rollout))

    refused = refusal(world.restarted(), again, ann)

    assert (refused.code, refused.data) == ("approvals_missing", {"needed": 2, "given": 1})
    assert world.ask(again, ann, ben) == again


@pytest.mark.parametrize("by", ["nobody", "a viewer", "an operator"])
def test_a_pause_without_an_operators_token_counts_as_automatic(
    world: SignerWorld, by: str
) -> None:
    ann = world.token("ann")
    tokens = {
        "nobody": [],
        "a viewer": [world.token("vic", Role.VIEWER)],
        "an operator": [ann],
    }
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(state=RolloutState.PAUSED)), *tokens[by])

    if by == "an operator":
        assert world.ask(a_document(an_entry()), ann).entries == (an_entry(),)
    else:
        assert refusal(world, a_document(an_entry()), ann).data == {"needed": 2, "given": 1}


@pytest.mark.parametrize(("stored", "needed"), [(Actor.PERSON, 1), (Actor.AUTOMATIC, 2)])
def test_the_database_says_who_paused_and_not_who_has_it_signed(
    world: SignerWorld, stored: Actor, needed: int
) -> None:
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    paused = a_rollout(id=ROLLOUT, version="2.0", state=RolloutState.PAUSED, paused_by=stored)
    with world.database.transaction() as stores:
        stores.rollouts.add(paused)

    world.ask(a_document(an_entry(state=RolloutState.PAUSED)), *([ann] if needed == 2 else []))

    assert refusal(world, a_document(an_entry())).data == {"needed": needed, "given": 0}


def test_a_pause_is_signed_though_the_database_is_away(world: SignerWorld) -> None:
    class Away:
        def reading(self) -> object:
            raise UnavailableError("it does not answer")

    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    signer = OnlineSigner(world.folder, Away(), world.clock, QUICK_PASSWORDS)  # type: ignore[arg-type]

    replace(world, signer=signer).ask(a_document(an_entry(state=RolloutState.PAUSED)))

    assert refusal(world, a_document(an_entry()), ann).data == {"needed": 2, "given": 1}


@pytest.mark.parametrize("position", [0, 2])
def test_no_policy_lets_a_rollout_start_without_an_operator(tmp_path: Path, position: int) -> None:
    nobody = Approvals(outside_ramp=0, resume_after_auto_pause=0)
    world = a_world(tmp_path, approvals=nobody)

    refused = refusal(world, a_document(an_entry(position)))

    assert (refused.code, refused.data) == ("approvals_missing", {"needed": 1, "given": 0})


def test_a_pause_is_no_soak(tmp_path: Path) -> None:
    ramp = (Step(ring="1%", exposure_bp=100, soak_seconds=3_600), *RAMP[1:])
    world = a_world(tmp_path, ramp=ramp)
    ann, wider = world.token("ann"), a_document(an_entry(1))
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(an_entry(state=RolloutState.PAUSED)), ann)
    world.clock.advance(timedelta(days=1))
    world.ask(a_document(an_entry()), ann)

    refused = refusal(world, wider)
    world.clock.advance(timedelta(hours=1))

    assert refused.code == "approvals_missing"
    assert world.ask(wider) == wider


def test_a_wish_from_before_the_newest_signature_is_refused_whatever_it_is(
    world: SignerWorld,
) -> None:
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    looked = world.signer.status(APP).timestamp_version
    world.ask(a_document(an_entry(state=RolloutState.PULLED)), ann)

    wider = refusal(world, a_document(an_entry(1)), ann, based_on=looked)
    paused = a_document(an_entry(state=RolloutState.PAUSED))
    narrower = refusal(world.restarted(), paused, based_on=looked)

    assert wider.code == narrower.code == "stale_base"
    assert wider.data == {"current": world.signer.status(APP).timestamp_version}


def test_a_submission_is_verified_again_by_the_signer_itself(world: SignerWorld) -> None:
    release = a_release("3.0")
    draft = Draft(document=render_release(release), files=files_of(release))
    honest = sign_releases(world.state(), [draft], PUBLISHER, world.clock.now())

    forged = {role: _with_another_signature(data) for role, data in honest.items()}

    with pytest.raises(SignerRefusedError) as unsigned:
        world.signer.admit(APP, forged, files_of(release))
    with pytest.raises(SignerRefusedError) as absent:
        world.signer.admit(APP, honest, {})

    assert unsigned.value.code == "unsigned"
    assert absent.value.code == "missing_file"


def test_the_same_submission_again_changes_nothing(world: SignerWorld) -> None:
    release = a_release("3.0")
    draft = Draft(document=render_release(release), files=files_of(release))
    submitted = sign_releases(world.state(), [draft], PUBLISHER, world.clock.now())

    first = world.signer.admit(APP, submitted, files_of(release))
    again = world.signer.admit(APP, submitted, files_of(release))

    assert again == first


def test_a_restarted_signer_goes_on_above_every_version_it_ever_used(world: SignerWorld) -> None:
    before = world.signer.refresh(APP)

    after = world.restarted().signer.refresh(APP)

    assert after.timestamp_version == before.timestamp_version + 1
    assert load_journal(after.journal).timestamp_version == after.timestamp_version


def test_a_damaged_memory_stops_the_signer_instead_of_emptying_it(world: SignerWorld) -> None:
    (world.folder / APP / "memory.json").write_bytes(b'{"state": "')

    with pytest.raises(SignerRefusedError) as refused:
        world.restarted().signer.refresh(APP)

    assert refused.value.code == "bad_memory"


def test_an_unknown_app_has_an_empty_state(world: SignerWorld) -> None:
    assert world.signer.status("unknown").timestamp_version == 0


def test_an_app_without_keys_cannot_be_signed_for(world: SignerWorld) -> None:
    (world.folder / APP / "timestamp.pem").unlink()

    with pytest.raises(SignerRefusedError) as refused:
        world.signer.refresh(APP)

    assert refused.value.code == "no_key"


def test_online_keys_are_made_once_and_only_their_owner_can_read_them(world: SignerWorld) -> None:
    first = world.signer.new_app("paint")
    again = world.restarted().signer.new_app("paint")

    assert first == again
    assert len({str(each["keyid"]) for each in first.values()}) == 4
    for path in (world.folder / "paint").glob("*.pem"):
        assert path.stat().st_mode & 0o077 == 0


def test_to_look_at_keys_makes_none(world: SignerWorld) -> None:
    known = world.signer.online_keys(APP)
    (world.folder / APP / "rollout.pem").unlink()

    for app in (APP, "paint"):
        with pytest.raises(SignerRefusedError) as refused:
            world.signer.online_keys(app)
        assert refused.value.code == "no_key"

    assert set(known) == {"rollout", "snapshot", "timestamp", "timestamp-standby"}
    assert not (world.folder / APP / "rollout.pem").exists()
    assert not (world.folder / "paint").exists()


def test_the_rollout_key_of_one_app_signs_for_no_other(world: SignerWorld) -> None:
    other = world.signer.new_app("paint")

    assert other["rollout"]["keyid"] != world.signer.new_app(APP)["rollout"]["keyid"]
    assert key("publisher").public_key.keyid not in {str(k["keyid"]) for k in other.values()}
    assert render_rollout(a_document())
