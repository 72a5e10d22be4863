"""Proof that the tests of tickets could fail: with one check taken out, each attack is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout import documents
from rollout.model import Approvals, RolloutDocument, RolloutId, RolloutState
from tests.signer.signer_world import SignerWorld, a_document, a_world, an_entry
from tests.signing.world import APP
from update_server.service.ports import ApiToken, SignerRefusedError
from update_server.service.ports.pending import LIFE
from update_server.signer import approvals, online, tickets
from update_server.signer.memory import Memory, recall
from update_server.signer.tickets import Ticket

pytestmark = pytest.mark.no_cover  # the lines of test_tickets.py, with one check left out

AT_10, EVERYBODY = an_entry(1), an_entry(2)
OTHER = RolloutId("ro_second")

Attack = Callable[[SignerWorld], tuple[RolloutDocument, tuple[str, ...]]]
"""Prepare an attack; return the document that is to be signed, and what is shown for it."""

Weakness = Callable[[pytest.MonkeyPatch, SignerWorld], None]
"""Take one check out of the signer."""


def _forged(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    real = tickets.read(
        tickets.key_in(world.folder / APP), world.ticket(a_document(EVERYBODY), "srn_ann")
    )
    assert real is not None
    return a_document(EVERYBODY), ("srn_ben", tickets.issue(b"k" * 32, real))


def _edited(world: SignerWorld, **changes: object) -> tuple[RolloutDocument, tuple[str, ...]]:
    key = tickets.key_in(world.folder / APP)
    real = tickets.read(key, world.ticket(a_document(EVERYBODY), "srn_ann"))
    assert real is not None
    ticket = tickets.issue(key, replace(real, **changes))  # type: ignore[arg-type]
    return a_document(EVERYBODY), ("srn_ben", ticket)


def _for_another_rollout(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    world.publish("3.0")
    other = replace(an_entry(2, version=Version("3.0")), rollout=OTHER)
    return a_document(other, AT_10), ("srn_ben", world.ticket(a_document(EVERYBODY), "srn_ann"))


def _wider(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    narrow = a_document(an_entry(2, holdback_bp=200))
    return a_document(EVERYBODY), ("srn_ben", world.ticket(narrow, "srn_ann"))


def _expired(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    world.clock.advance(LIFE)
    return a_document(EVERYBODY), ("srn_ben", ticket)


def _put_back(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    world.clock.advance(-timedelta(seconds=1))
    return a_document(EVERYBODY), ("srn_ben", ticket)


def _revoked(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    world.revoke("ann")
    return a_document(EVERYBODY), ("srn_ben", ticket)


def _one_person(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    second = world.token("Ann", token_id="tok_laptop")
    return a_document(EVERYBODY), (second, world.ticket(a_document(EVERYBODY), "srn_ann"))


def _withdrawn(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    world.signer.withdraw(APP, ticket)
    return a_document(EVERYBODY), ("srn_ben", ticket)


def _again(world: SignerWorld) -> tuple[RolloutDocument, tuple[str, ...]]:
    paused = a_document(replace(AT_10, state=RolloutState.PAUSED))
    world.ask(paused, automatic=True)
    ticket = world.ticket(a_document(AT_10), "srn_ann")
    world.ask(a_document(AT_10), "srn_ben", ticket)
    world.ask(paused, automatic=True)
    return a_document(AT_10), ("srn_ben", ticket)


def _reading(change: Callable[[Ticket], Ticket]) -> Weakness:
    """Return the weakness of reading tickets as *change* returns them."""

    def weaken(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
        read = tickets.read

        def changed(key: bytes, text: str) -> Ticket | None:
            ticket = read(key, text)
            return None if ticket is None else change(ticket)

        del world
        patch.setattr(approvals, "read", changed)

    return weaken


def _without_mac(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    del world
    patch.setattr(tickets.hmac, "compare_digest", lambda *_: True)  # type: ignore[attr-defined]


def _without_expiry(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    soon = world.clock.now() + timedelta(seconds=1)
    _reading(lambda ticket: replace(ticket, expires_at=soon))(patch, world)


def _with_dead_tokens(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    del world
    patch.setattr(ApiToken, "may_approve", lambda *_: True)


def _by_token(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    del world
    patch.setattr(ApiToken, "person", property(lambda token: token.id))


def _without_entries(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    _reading(lambda ticket: replace(ticket, entry="0" * 64))(patch, world)
    digests = documents.digests_of
    patch.setattr(approvals, "digests_of", lambda said: dict.fromkeys(digests(said), "0" * 64))


def _without_marks(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    _reading(lambda ticket: replace(ticket, mark=0))(patch, world)
    patch.setattr(approvals, "mark_of", lambda *_: 0)


def _without_rollouts(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    _without_entries(patch, world)
    _reading(lambda ticket: replace(ticket, entry="0" * 64, rollout=OTHER, mark=0))(patch, world)


def _without_withdrawals(patch: pytest.MonkeyPatch, world: SignerWorld) -> None:
    del world

    def forgetful(folder: Path, app: str) -> Memory:
        return replace(recall(folder, app), withdrawn={})

    patch.setattr(online, "recall", forgetful)


ATTACKS: dict[str, tuple[Attack, Weakness]] = {
    "under another key": (_forged, _without_mac),
    "for another app": (
        lambda world: _edited(world, app="other"),
        _reading(lambda ticket: replace(ticket, app=APP)),
    ),
    "for another channel": (
        lambda world: _edited(world, channel="beta"),
        _reading(lambda ticket: replace(ticket, channel="stable")),
    ),
    "for another rollout": (_for_another_rollout, _without_rollouts),
    "for less exposure": (_wider, _without_entries),
    "expired": (_expired, _without_expiry),
    "for longer than an hour": (_put_back, _without_expiry),
    "of a revoked token": (_revoked, _with_dead_tokens),
    "of the same person": (_one_person, _by_token),
    "withdrawn": (_withdrawn, _without_withdrawals),
    "used before": (_again, _without_marks),
}


@pytest.mark.parametrize(("attack", "weakness"), ATTACKS.values(), ids=ATTACKS.keys())
def test_what_is_refused_would_be_signed_without_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack, weakness: Weakness
) -> None:
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2, resume_after_auto_pause=2))
    ann = world.token("ann")
    world.token("ben")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(AT_10), ann)
    document, shown = attack(world)

    with pytest.raises(SignerRefusedError) as refused:
        world.ask(document, *shown)
    assert refused.value.code == "approvals_missing"
    weakness(monkeypatch, world)

    assert world.ask(document, *shown).entries == document.entries
