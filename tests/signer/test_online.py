"""What the signer signs, and what it refuses whoever asks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.documents import render_release, render_rollout
from rollout.model import Automatic, Entry, RolloutState
from signing.ceremony import sign_releases
from signing.drafts import Draft
from signing.journal import load_journal
from tests.signer.signer_world import SignerWorld, a_document, a_world, an_entry
from tests.signing.world import APP, PUBLISHER, a_release, files_of, key
from update_server.service.ports import Role, SignerRefusedError


@pytest.fixture
def world(tmp_path: Path) -> SignerWorld:
    return a_world(tmp_path)


def refusal(world: SignerWorld, *args: object, automatic: bool = False) -> SignerRefusedError:
    with pytest.raises(SignerRefusedError) as refused:
        world.ask(*args, automatic=automatic)  # type: ignore[arg-type]
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
    world.ask(a_document(an_entry()), world.token("ann"))
    document = a_document(a_rollback(), an_entry(state=RolloutState.PULLED))

    refused = refusal(world, document, automatic=True)
    by_a_person = world.ask(document)

    assert refused.code == "not_automatic"
    assert by_a_person.entries[0].rollback


def test_the_server_counts_its_rollbacks_across_restarts(world: SignerWorld) -> None:
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    first = (a_rollback(), an_entry(state=RolloutState.PULLED))
    world.ask(a_document(*first), automatic=True)
    world.publish("3.0", rollback_to=("1.0",))
    third = an_entry(version=Version("3.0"), rollout="ro_third")
    world.ask(a_document(third, *first), ann)
    second = a_rollback(from_versions=frozenset({Version("3.0")}))
    pulled = replace(third, state=RolloutState.PULLED)

    refused = refusal(world.restarted(), a_document(second, pulled, *first), automatic=True)
    world.clock.advance(timedelta(days=1))
    next_day = world.ask(a_document(second, pulled, *first), automatic=True)

    assert refused.code == "not_automatic"
    assert next_day.entries[0].rollback


def test_documents_of_another_app_or_channel_are_refused(world: SignerWorld) -> None:
    ann = world.token("ann")
    foreign = replace(a_document(), app="other")
    with pytest.raises(SignerRefusedError) as wrong_app:
        world.ask(foreign, ann)
    with pytest.raises(SignerRefusedError) as broken:
        world.signer.sign_rollout(APP, "stable", b'{"schema": 1}', [ann], automatic=False)

    assert wrong_app.value.code == broken.value.code == "bad_document"


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


def test_the_rollout_key_of_one_app_signs_for_no_other(world: SignerWorld) -> None:
    other = world.signer.new_app("paint")

    assert other["rollout"]["keyid"] != world.signer.new_app(APP)["rollout"]["keyid"]
    assert key("publisher").public_key.keyid not in {str(k["keyid"]) for k in other.values()}
    assert render_rollout(a_document())
