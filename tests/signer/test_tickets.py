"""The second person: what a ticket approves, and what it cannot be made to approve.

Each attack stands beside the same request without the attack, which is signed: so each test
would fail if tickets approved nothing at all, or everything.
"""

from __future__ import annotations

import base64
import hmac
import json
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from rollout.model import (
    Approvals,
    Audience,
    Automatic,
    Entry,
    Hold,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from tests.signer.signer_world import ROLLOUT, SignerWorld, a_document, a_world, an_entry
from tests.signing.world import APP
from update_server.service.ports import Role, SignerRefusedError
from update_server.service.ports.pending import LIFE
from update_server.signer import tickets
from update_server.signer.approvals import MAX_SHOWN
from update_server.signer.memory import recall
from update_server.signer.tickets import Ticket

AT_10, EVERYBODY = an_entry(1), an_entry(2)
OTHER = RolloutId("ro_second")
SECOND = timedelta(seconds=1)


@pytest.fixture
def world(tmp_path: Path) -> SignerWorld:
    """A rollout at 10 %, which two have to open to everybody, and the operators ann and ben."""
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2, resume_after_auto_pause=2))
    ann = world.token("ann")
    world.token("ben")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(AT_10), ann)
    return world


def refusal(world: SignerWorld, *args: object, **options: object) -> SignerRefusedError:
    with pytest.raises(SignerRefusedError) as refused:
        world.ask(*args, **options)  # type: ignore[arg-type]
    return refused.value


def no_ticket(world: SignerWorld, *args: object, **options: object) -> SignerRefusedError:
    with pytest.raises(SignerRefusedError) as refused:
        world.ticket(*args, **options)  # type: ignore[arg-type]
    return refused.value


def missing(world: SignerWorld, document: RolloutDocument, *shown: str) -> bool:
    """Whether *document* is refused for want of one more person."""
    refused = refusal(world, document, *shown)
    return (refused.code, refused.data["needed"]) == ("approvals_missing", 2)


def is_signed(world: SignerWorld, document: RolloutDocument, *shown: str) -> bool:
    return world.ask(document, *shown).entries == document.entries


# --- what it is for ----------------------------------------------------------------------


def test_a_ticket_stands_for_the_one_who_was_here_before(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    signed = world.ask(a_document(EVERYBODY), "srn_ben", ticket)

    assert signed.entries == (EVERYBODY,)


def test_asking_for_a_ticket_signs_nothing(world: SignerWorld) -> None:
    before = world.signer.status(APP)

    world.ticket(a_document(EVERYBODY), "srn_ann")

    assert world.signer.status(APP) == before


def test_a_ticket_outlives_the_signer_and_changes_of_other_rollouts(world: SignerWorld) -> None:
    world.publish("3.0")
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    other = an_entry(version=Version("3.0"), rollout=OTHER)
    world.ask(a_document(other, AT_10), "srn_ann")
    world.signer.refresh(APP)

    signed = world.restarted().ask(a_document(other, EVERYBODY), "srn_ben", ticket)

    assert signed.entries == (other, EVERYBODY)


def test_a_start_may_need_two(tmp_path: Path) -> None:
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2))
    ann, ben = world.token("ann"), world.token("ben")
    ticket = world.ticket(a_document(AT_10), ann)

    assert missing(world, a_document(AT_10), ben)
    assert is_signed(world, a_document(AT_10), ben, ticket)


# --- who ---------------------------------------------------------------------------------


def test_one_person_stays_one_with_a_ticket(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    assert missing(world, a_document(EVERYBODY), "srn_ann", ticket)
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", ticket)


@pytest.mark.parametrize("name", ["ann", " Ann", "ANN", "ann "])
def test_one_person_stays_one_with_two_tokens(world: SignerWorld, name: str) -> None:
    second = world.token(name, token_id="tok_laptop")
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    assert missing(world, a_document(EVERYBODY), second, ticket)
    assert missing(world, a_document(EVERYBODY), second, "srn_ann")
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", ticket)


def test_tickets_alone_approve_nothing(world: SignerWorld) -> None:
    shown = [world.ticket(a_document(EVERYBODY), f"srn_{name}") for name in ("ann", "ben")]

    assert missing(world, a_document(EVERYBODY), *shown)
    assert refusal(world, a_document(EVERYBODY), *shown, automatic=True).code == "not_automatic"
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", *shown)


def test_a_ticket_dies_with_its_token(world: SignerWorld) -> None:
    ticket, another = (
        world.ticket(a_document(EVERYBODY), token) for token in ("srn_ann", world.token("cy"))
    )

    world.revoke("ann")

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", ticket, another)


def test_a_ticket_dies_when_its_token_expires(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    with world.database.transaction() as stores:
        tokens = stores.access._state.tokens
        tokens["tok_ann"] = replace(tokens["tok_ann"], expires_at=world.clock.now() + SECOND)

    world.clock.advance(SECOND)

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)


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
def test_only_living_operators_get_tickets(world: SignerWorld, settings: dict[str, object]) -> None:
    token = world.token("cy", **settings)  # type: ignore[arg-type]

    assert no_ticket(world, a_document(EVERYBODY), token).code == "approvals_missing"
    assert no_ticket(world, a_document(EVERYBODY), "srn_guessed").code == "approvals_missing"


def test_a_ticket_buys_no_ticket(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    assert no_ticket(world, a_document(EVERYBODY), ticket).code == "approvals_missing"


# --- what --------------------------------------------------------------------------------


def a_hold() -> Hold:
    return Hold(id="h_1", title="x", link="https://status.example.org/x", audience=Audience())


WIDER: dict[str, Callable[[], Entry]] = {
    "without its holdback": lambda: EVERYBODY,
    "another step": lambda: replace(
        EVERYBODY,
        exposure_bp=5_000,
        rings=(*EVERYBODY.rings[:2], replace(EVERYBODY.rings[2], exposure_bp=5_000)),
    ),
    "at once completed": lambda: replace(EVERYBODY, state=RolloutState.COMPLETED),
    "another version": lambda: replace(EVERYBODY, version=Version("1.0")),
    "with other holds": lambda: replace(an_entry(2, holdback_bp=200), holds=(a_hold(),)),
}


@pytest.mark.parametrize("wider", WIDER.values(), ids=WIDER.keys())
def test_a_ticket_approves_what_it_was_given_for_to_the_letter(
    tmp_path: Path, wider: Callable[[], Entry]
) -> None:
    world = a_world(
        tmp_path,
        approvals=Approvals(outside_ramp=2),
        link_hosts=("status.example.org",),
    )
    ann, ben = world.token("ann"), world.token("ben")
    world.ask(a_document(an_entry()), ann)
    narrow = a_document(an_entry(2, holdback_bp=200))
    ticket = world.ticket(narrow, ann)

    assert missing(world, a_document(wider()), ben, ticket)
    assert world.ask(narrow, ben, ticket).entries[0].holdback_bp == 200


def test_a_ticket_for_one_rollout_approves_no_other(world: SignerWorld) -> None:
    world.publish("3.0")
    other = an_entry(version=Version("3.0"), rollout=OTHER)
    other_at_once = replace(an_entry(2, version=Version("3.0")), rollout=OTHER)
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    assert missing(world, a_document(other_at_once, AT_10), "srn_ben", ticket)
    # Not in the shadow of what it does approve, either.
    assert missing(world, a_document(other_at_once, EVERYBODY), "srn_ben", ticket)
    both = a_document(other_at_once, EVERYBODY)
    second = world.ticket(both, "srn_ann", OTHER)
    assert world.ask(both, "srn_ben", ticket, second).entries == both.entries
    assert other not in both.entries


def test_a_ticket_lifts_no_hold_of_another_rollout(tmp_path: Path) -> None:
    world = a_world(
        tmp_path, approvals=Approvals(outside_ramp=2), link_hosts=("status.example.org",)
    )
    world.publish("3.0")
    ann, ben = world.token("ann"), world.token("ben")
    held = an_entry(version=Version("3.0"), rollout=OTHER, holds=(a_hold(),))
    world.ask(a_document(held, an_entry()), ann)
    ticket = world.ticket(a_document(held, an_entry(2)), ann)

    assert missing(world, a_document(replace(held, holds=()), an_entry(2)), ben, ticket)
    assert is_signed(world, a_document(held, an_entry(2)), ben, ticket)


def test_no_ticket_makes_what_is_never_signed(tmp_path: Path) -> None:
    world = a_world(tmp_path, ceiling=((0, 100), (3_600, 10_000)))
    ann, ben = world.token("ann"), world.token("ben")
    world.ask(a_document(an_entry()), ann)

    assert no_ticket(world, a_document(EVERYBODY), ann).code == "never"
    world.clock.advance(timedelta(hours=1))
    world.ask(a_document(AT_10), ann)
    ticket = world.ticket(a_document(EVERYBODY), ann)
    world.ask(a_document(replace(AT_10, state=RolloutState.PULLED)))
    assert refusal(world, a_document(EVERYBODY), ben, ticket).code == "never"


@pytest.mark.parametrize(
    ("entry", "rollout"),
    [
        (replace(AT_10, state=RolloutState.PAUSED), ROLLOUT),  # anybody may pause
        (EVERYBODY, OTHER),
    ],
    ids=["narrower", "another"],
)
def test_there_is_no_ticket_for_what_needs_nobody(
    world: SignerWorld, entry: Entry, rollout: RolloutId
) -> None:
    assert no_ticket(world, a_document(entry), "srn_ann", rollout).code == "no_ticket"


# --- when --------------------------------------------------------------------------------


def test_a_ticket_lives_for_an_hour(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    world.clock.advance(LIFE - SECOND)
    soon = world.ticket(a_document(EVERYBODY), "srn_ann")
    world.clock.advance(SECOND)

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", soon)


def test_a_clock_that_is_put_back_makes_no_ticket_live_longer(world: SignerWorld) -> None:
    world.clock.advance(timedelta(hours=2))
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    world.clock.advance(-timedelta(hours=1))

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)


def test_what_ended_one_automatic_pause_does_not_end_the_next(world: SignerWorld) -> None:
    paused = a_document(replace(AT_10, state=RolloutState.PAUSED))
    world.ask(paused, automatic=True)
    ticket, spare = (world.ticket(a_document(AT_10), "srn_ann") for _ in range(2))
    world.ask(a_document(AT_10), "srn_ben", ticket)

    world.ask(paused, automatic=True)  # says the very same as the first pause

    assert missing(world, a_document(AT_10), "srn_ben", ticket)
    assert missing(world.restarted(), a_document(AT_10), "srn_ben", spare)
    assert is_signed(
        world, a_document(AT_10), "srn_ben", world.ticket(a_document(AT_10), "srn_ann")
    )


def test_what_started_a_rollout_does_not_bring_it_back_when_it_was_given_up(
    tmp_path: Path,
) -> None:
    world = a_world(tmp_path, approvals=Approvals(outside_ramp=2))
    world.publish("3.0")
    ann, ben = world.token("ann"), world.token("ben")
    ticket = world.ticket(a_document(AT_10), ann)
    world.ask(a_document(AT_10), ben, ticket)
    newer = an_entry(version=Version("3.0"), rollout=OTHER)
    world.ask(a_document(newer), ann)

    world.clock.advance(LIFE - SECOND)
    world.ask(a_document(an_entry(1, version=Version("3.0"), rollout=OTHER)), ann)

    assert missing(world, a_document(AT_10), ben, ticket)
    assert ROLLOUT in recall(world.folder / APP, APP).marks["stable"]


def test_rollouts_that_left_are_forgotten_when_no_ticket_from_before_can_live(
    world: SignerWorld,
) -> None:
    world.ask(a_document())
    world.clock.advance(LIFE + SECOND)

    world.ask(a_document(an_entry(rollout=OTHER)), "srn_ann")

    assert set(recall(world.folder / APP, APP).marks["stable"]) == {OTHER}


def test_a_ticket_is_for_the_newest_state_only(world: SignerWorld) -> None:
    newest = world.signer.status(APP).timestamp_version

    refused = no_ticket(world, a_document(EVERYBODY), "srn_ann", based_on=newest - 1)

    assert (refused.code, refused.data) == ("stale_base", {"current": newest})


def test_what_was_withdrawn_counts_no_more(world: SignerWorld) -> None:
    ticket, another = (world.ticket(a_document(EVERYBODY), "srn_ann") for _ in range(2))

    world.signer.withdraw(APP, ticket)
    again = world.restarted()
    again.signer.withdraw(APP, ticket)

    assert missing(again, a_document(EVERYBODY), "srn_ben", ticket)
    assert is_signed(again, a_document(EVERYBODY), "srn_ben", another)


def test_only_tickets_that_live_are_remembered_as_withdrawn(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    for text in (ticket, "srt_made-up.x", "srn_ann"):
        world.signer.withdraw(APP, text)
    assert len(recall(world.folder / APP, APP).withdrawn) == 1

    world.clock.advance(LIFE)
    world.signer.withdraw(APP, ticket)
    world.signer.withdraw(APP, world.ticket(a_document(EVERYBODY), "srn_ann"))

    assert len(recall(world.folder / APP, APP).withdrawn) == 1


# --- made up -----------------------------------------------------------------------------


def _forged(world: SignerWorld, key: bytes, **changes: object) -> str:
    """Return a ticket for *EVERYBODY* by ann, with *changes*, under *key*."""
    real = tickets.read(
        tickets.key_in(world.folder / APP), world.ticket(a_document(EVERYBODY), "srn_ann")
    )
    assert real is not None
    return tickets.issue(key, replace(real, **changes))  # type: ignore[arg-type]


def test_a_ticket_under_another_key_is_none(world: SignerWorld) -> None:
    key = tickets.key_in(world.folder / APP)

    assert missing(world, a_document(EVERYBODY), "srn_ben", _forged(world, b"k" * 32))
    assert missing(world, a_document(EVERYBODY), "srn_ben", _forged(world, b""))
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", _forged(world, key))


@pytest.mark.parametrize(
    "changes",
    [
        {"app": "other"},
        {"channel": "beta"},
        {"rollout": OTHER},
        {"entry": "0" * 64},
        {"mark": 0},
        {"token_id": "tok_nobody"},
        {"token_id": "tok_ben"},
    ],
    ids=lambda changes: "-".join(map(str, changes.items())),
)
def test_everything_that_a_ticket_says_is_looked_at(
    world: SignerWorld, changes: dict[str, object]
) -> None:
    ticket = _forged(world, tickets.key_in(world.folder / APP), **changes)

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)


def test_a_ticket_for_another_app_of_the_same_server_is_none(
    world: SignerWorld, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    ticket = _forged(world, tickets.key_in(other), app="other")

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)


def _edited(text: str, edit: Callable[[dict[str, object]], object]) -> str:
    body, _, mac = text.removeprefix(tickets.PREFIX).partition(".")
    value = json.loads(base64.urlsafe_b64decode(body + "=="))
    edit(value)
    changed = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return f"{tickets.PREFIX}{changed}.{mac}"


BROKEN: dict[str, Callable[[str], str]] = {
    "empty": lambda _: tickets.PREFIX,
    "no MAC": lambda text: text.partition(".")[0],
    "an empty MAC": lambda text: text.partition(".")[0] + ".",
    "half a MAC": lambda text: text[:-20],
    "a flipped bit": lambda text: text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1],
    "two MACs": lambda text: f"{text}.{text.partition('.')[2]}",
    "padded": lambda text: f"{text}=",
    "white space": lambda text: f"{text}\n",
    "of another alphabet": lambda text: text + "\u00e9",
    "too long": lambda text: text + "A" * 3_000,
    "lives longer": lambda text: _edited(text, lambda v: v.update(expires="2099-01-01T00:00:00Z")),
    "another's": lambda text: _edited(text, lambda v: v.update(token="tok_cy")),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_ticket_that_was_touched_is_none(
    world: SignerWorld, broken: Callable[[str], str]
) -> None:
    world.token("cy")
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")

    assert missing(world, a_document(EVERYBODY), "srn_ben", broken(ticket))
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", ticket)


def test_a_ticket_of_another_format_is_none_though_it_bears_our_mac() -> None:
    key = b"k" * 32
    ticket = Ticket(
        id="x",
        app=APP,
        channel="stable",
        rollout=ROLLOUT,
        entry="0" * 64,
        mark=1,
        token_id="tok_ann",
        expires_at=a_document().issued,
    )
    payload = json.loads(tickets._payload(ticket))

    def signed(value: dict[str, object]) -> str:
        data = json.dumps(value).encode()
        mac = hmac.new(key, data, "sha256").digest()
        return f"{tickets.PREFIX}{tickets._text(data)}.{tickets._text(mac)}"

    assert tickets.read(key, signed(payload)) == ticket
    assert tickets.read(key, signed({**payload, "format": "serinus-ticket-2"})) is None
    assert tickets.read(key, signed({**payload, "more": 1})) is None
    assert tickets.read(key, signed({**payload, "mark": "1"})) is None
    assert tickets.read(key, signed({})) is None


def test_a_ticket_that_is_too_long_is_not_looked_at(world: SignerWorld) -> None:
    key = tickets.key_in(world.folder / APP)

    assert missing(world, a_document(EVERYBODY), "srn_ben", _forged(world, key, id="x" * 1_500))
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", _forged(world, key, id="x" * 500))


def test_more_approvals_than_any_policy_asks_for_are_not_looked_at(world: SignerWorld) -> None:
    many = ["srn_ben"] * (MAX_SHOWN + 1)

    assert refusal(world, a_document(EVERYBODY), *many).code == "too_many"


# --- the key -----------------------------------------------------------------------------


def test_the_key_is_its_owners_alone_and_made_once(tmp_path: Path) -> None:
    key = tickets.key_in(tmp_path)

    assert tickets.key_in(tmp_path) == key
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / "tickets.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["tickets.key"]


def test_a_key_that_is_lost_voids_what_waits_and_no_more(world: SignerWorld) -> None:
    ticket = world.ticket(a_document(EVERYBODY), "srn_ann")
    (world.folder / APP / "tickets.key").unlink()

    assert missing(world, a_document(EVERYBODY), "srn_ben", ticket)
    again = world.ticket(a_document(EVERYBODY), "srn_ann")
    assert is_signed(world, a_document(EVERYBODY), "srn_ben", again)


def test_half_a_key_is_told_and_not_used(world: SignerWorld) -> None:
    (world.folder / APP / "tickets.key").write_bytes(b"short")

    refused = no_ticket(world, a_document(EVERYBODY), "srn_ann")

    assert refused.code == "no_key"
    assert "remove it" in refused.detail
    assert is_signed(world, a_document(EVERYBODY), "srn_ann", "srn_ben")


def test_a_memory_from_before_there_were_tickets_is_read(world: SignerWorld) -> None:
    path = world.folder / APP / "memory.json"
    stored = json.loads(path.read_bytes())
    del stored["marks"], stored["withdrawn"]
    path.write_text(json.dumps(stored))
    again = world.restarted()

    ticket = again.ticket(a_document(EVERYBODY), "srn_ann")

    assert is_signed(again, a_document(EVERYBODY), "srn_ben", ticket)


def test_an_automatic_change_is_not_approved_by_tickets(tmp_path: Path) -> None:
    world = a_world(tmp_path, automatic=Automatic(max_rollbacks_per_day=0))
    ann = world.token("ann")
    world.ask(a_document(an_entry()), ann)
    world.ask(a_document(AT_10), ann)
    rollback = Entry(
        version=Version("1.0"),
        state=RolloutState.ACTIVE,
        exposure_bp=10_000,
        rollback=True,
        from_versions=frozenset({Version("2.0")}),
    )
    ticket = world.ticket(a_document(EVERYBODY), ann)
    document = a_document(rollback, replace(AT_10, state=RolloutState.PULLED))

    assert refusal(world, document, ticket).code == "not_automatic"
    assert world.ask(document, ann).entries[0].rollback
