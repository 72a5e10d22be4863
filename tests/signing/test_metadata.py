"""Raw bytes from outside: read strictly, signatures counted by distinct keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from securesystemslib.signer import Key, Signature, Signer, SSlibKey
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Targets
from tuf.api.serialization import DeserializationError

from signing.errors import KeyUnavailableError, TrustError
from signing.metadata import (
    max_bytes_of,
    parse_root,
    parse_snapshot,
    parse_targets,
    parse_timestamp,
    signed_by,
    verify_signatures,
    version_of,
)
from tests.signing.world import NOW, World, a_world, edited, forged, key

WORLD = a_world()
METADATA = WORLD.state.metadata
ROOT, TARGETS, POLICY = METADATA["root"], METADATA["targets"], METADATA["policy"]


def test_good_metadata_parses() -> None:
    assert parse_root(ROOT).signed.version == 1
    assert parse_targets("targets", TARGETS).signed.delegations is not None
    assert parse_snapshot(METADATA["snapshot"]).signed.meta
    assert parse_timestamp(METADATA["timestamp"]).signed.snapshot_meta.version == 1
    assert version_of(TARGETS) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"signed":{},"signatures":[]}',
        POLICY[:-1],
        POLICY + b"x",
        POLICY.replace(b'"version":1', b'"version":1,"version":2'),
        POLICY.replace(b'"version":1', b'"version":1.0'),
        POLICY.replace(b'"version":1', b'"version":1e0'),
        POLICY.replace(b'"version":1', b'"version":NaN'),
        POLICY.replace(b'"version":1', b'"version":-1'),
        POLICY.replace(b'"version":1', b'"version":0'),
        POLICY.replace(b'"version":1', b'"version":true'),
        POLICY.replace(b'"version":1', b'"version":"1"'),
        POLICY.replace(b'"version":1', b'"version":9007199254740992'),
        POLICY.replace(b'"_type":"targets"', b'"_type":"snapshot"'),
        POLICY.replace(b'"_type":"targets"', b'"_type":"\\ud800"'),
        POLICY.replace(b"demo", b"demo\xff", 1),
        POLICY.replace(b"demo", b"demo\x00", 1),
        POLICY.replace(b"demo", b"d" * 20_000, 1),
        POLICY.replace(b'"custom":{', b'"custom":{"a":' + b"[" * 20 + b"]" * 20 + b",", 1),
        b" " * 5_000_001,
    ],
)
def test_ambiguous_or_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TrustError) as caught:
        parse_targets("policy", data)

    assert caught.value.code == "bad_document"


OUTSIDE: list[Callable[[dict[str, Any]], object]] = [
    lambda fields: fields.update(extra=1),
    lambda fields: fields.update(signatures={}),
    lambda fields: fields.update(signatures=["a"]),
    lambda fields: fields["signatures"][0].update(extra=1),
    lambda fields: fields.update(signatures=[{"keyid": f"k{n}", "sig": ""} for n in range(33)]),
]


@pytest.mark.parametrize("edit", OUTSIDE)
def test_nothing_may_stand_where_no_signature_covers_it(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(TrustError) as caught:
        parse_targets("policy", edited(POLICY, edit))

    assert caught.value.code == "bad_document"


def test_each_role_has_its_cap() -> None:
    caps = [max_bytes_of(role) for role in ("root", "timestamp", "snapshot", "policy")]

    assert caps == [512_000, 16_384, 2_000_000, 5_000_000]


def test_a_root_in_place_of_targets_is_refused() -> None:
    with pytest.raises(TrustError):
        parse_targets("targets", ROOT)


@pytest.mark.parametrize("data", [b"{}", b'{"signed":[]}', b'{"signed":{"version":true}}', b"x"])
def test_metadata_without_a_version_has_none(data: bytes) -> None:
    with pytest.raises(TrustError):
        version_of(data)


ROOT_EDITS: list[Callable[[dict[str, Any]], object]] = [
    lambda signed: signed.update(consistent_snapshot=False),
    lambda signed: signed.pop("consistent_snapshot"),
    lambda signed: signed["roles"]["root"].update(threshold=3),
    lambda signed: signed["roles"]["root"].update(threshold=True),
    lambda signed: signed["roles"]["root"].update(threshold="1"),
    lambda signed: signed["roles"]["root"].update(keyids="abc"),
    lambda signed: signed["roles"]["root"].update(keyids=[1]),
    lambda signed: signed["roles"]["root"]["keyids"].append("unknown"),
    lambda signed: signed["roles"].pop("timestamp"),
    lambda signed: signed["keys"].update(again=next(iter(signed["keys"].values()))),
    lambda signed: next(iter(signed["keys"].values()))["keyval"].update(public="ab"),
]


@pytest.mark.parametrize("edit", ROOT_EDITS)
def test_a_root_that_leaves_room_for_doubt_is_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    with pytest.raises(TrustError) as caught:
        parse_root(forged(ROOT, edit, key("root")))

    assert caught.value.code == "bad_document"


def hash_bins(signed: dict[str, Any]) -> None:
    del signed["delegations"]["roles"]
    bins = {"keyids": [], "threshold": 1, "bit_length": 8, "name_prefix": "bin"}
    signed["delegations"]["succinct_roles"] = bins


TARGETS_EDITS: list[Callable[[dict[str, Any]], object]] = [
    hash_bins,
    lambda signed: signed["delegations"]["roles"][0].update(threshold=2),
    lambda signed: signed["delegations"]["roles"][0].update(threshold=1.0),
    lambda signed: signed["delegations"]["roles"].append(signed["delegations"]["roles"][0]),
    lambda signed: signed["delegations"]["roles"][0]["keyids"].append("unknown"),
    lambda signed: signed["delegations"]["keys"].update(
        again=next(iter(signed["delegations"]["keys"].values()))
    ),
]


@pytest.mark.parametrize("edit", TARGETS_EDITS)
def test_delegations_that_leave_room_for_doubt_are_refused(
    edit: Callable[[dict[str, Any]], object],
) -> None:
    fields = json.loads(TARGETS)
    edit(fields["signed"])
    data = json.dumps(fields).encode()

    with pytest.raises(TrustError) as caught:
        parse_targets("targets", data)

    assert caught.value.code == "bad_document"


@pytest.mark.parametrize("version", [0, True, 2**53 - 1 + 1, "1", None])
def test_a_listed_version_is_a_whole_number(version: object) -> None:
    def in_snapshot(signed: dict[str, Any]) -> None:
        signed["meta"]["policy.json"]["version"] = version

    def in_timestamp(signed: dict[str, Any]) -> None:
        signed["meta"]["snapshot.json"]["version"] = version

    with pytest.raises(TrustError):
        parse_snapshot(forged(METADATA["snapshot"], in_snapshot, key("snapshot")))
    with pytest.raises(TrustError):
        parse_timestamp(forged(METADATA["timestamp"], in_timestamp, key("timestamp")))


# --- counting ----------------------------------------------------------------------------


def two_of_two(*keys: Key) -> Targets:
    """Return targets that want two signatures under role ``policy``."""
    role = DelegatedRole("policy", [k.keyid for k in keys], 2, terminating=True, paths=[])
    delegations = Delegations({k.keyid: k for k in keys}, {"policy": role})
    return Targets(expires=NOW + timedelta(days=1), delegations=delegations)


def test_two_distinct_keys_meet_a_threshold_of_two() -> None:
    targets = two_of_two(key("publisher").public_key, key("second").public_key)
    policy = parse_targets("policy", forged(POLICY, str, key("publisher"), key("second")))

    verify_signatures(targets, "policy", policy)


def test_one_signature_does_not_meet_a_threshold_of_two() -> None:
    targets = two_of_two(key("publisher").public_key, key("second").public_key)
    policy = parse_targets("policy", forged(POLICY, str, key("publisher")))

    with pytest.raises(TrustError) as caught:
        verify_signatures(targets, "policy", policy)

    assert caught.value.code == "unsigned"


def test_one_key_that_signs_twice_counts_once() -> None:
    """Attack 6 (GHSA-r7vq-6425-j94w), first form: the same signature twice."""
    twice = forged(POLICY, str, key("publisher"), key("publisher"))

    # python-tuf refuses a key ID that signed twice, so it never gets to counting.
    with pytest.raises(DeserializationError):
        Metadata.from_bytes(twice)
    with pytest.raises(TrustError) as caught:
        parse_targets("policy", twice)

    assert caught.value.code == "bad_document"


def aliased(public_key: SSlibKey) -> SSlibKey:
    return SSlibKey("ab" * 32, public_key.keytype, public_key.scheme, dict(public_key.keyval))


def test_one_key_under_two_names_counts_once() -> None:
    """Attack 6, second form: python-tuf alone would count two here (the control)."""
    publisher = key("publisher").public_key
    targets = two_of_two(publisher, aliased(publisher))
    policy = parse_targets("policy", forged(POLICY, str, key("publisher")))
    signature = policy.signatures[publisher.keyid].signature
    policy.signatures["ab" * 32] = Signature("ab" * 32, signature)

    targets.verify_delegate("policy", policy.signed_bytes, policy.signatures)
    with pytest.raises(TrustError) as caught:
        verify_signatures(targets, "policy", policy)

    assert caught.value.code == "unsigned"


def test_a_signature_over_other_bytes_does_not_count() -> None:
    targets = parse_targets("targets", TARGETS).signed
    policy = parse_targets("policy", POLICY.replace(b'"version":1', b'"version":2'))

    with pytest.raises(TrustError):
        verify_signatures(targets, "policy", policy)


def test_a_role_that_is_not_delegated_has_no_signatures() -> None:
    targets = parse_targets("targets", TARGETS).signed

    with pytest.raises(TrustError):
        verify_signatures(targets, "releases.beta.linux-x86_64", parse_targets("policy", POLICY))


def test_a_key_of_an_unknown_kind_does_not_count() -> None:
    publisher = key("publisher").public_key
    targets = two_of_two(publisher, key("second").public_key)
    policy = parse_targets("policy", forged(POLICY, str, key("publisher"), key("second")))

    class AnyKey(Key):
        @classmethod
        def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> AnyKey:
            raise NotImplementedError

        def to_dict(self) -> dict[str, Any]:
            raise NotImplementedError

        def verify_signature(self, signature: Signature, data: bytes) -> None:
            """Believe everything."""

    assert targets.delegations is not None
    targets.delegations.keys[publisher.keyid] = AnyKey(publisher.keyid, "any", "any", {})
    with pytest.raises(TrustError):
        verify_signatures(targets, "policy", policy)


class BrokenSigner(Signer):
    """Hardware that is not plugged in."""

    public_key = key("publisher").public_key

    @classmethod
    def from_priv_key_uri(cls, *_: object) -> BrokenSigner:
        raise NotImplementedError

    def sign(self, payload: bytes) -> Signature:
        raise OSError(len(payload))


def test_a_signer_that_fails_is_told_as_such() -> None:
    with pytest.raises(KeyUnavailableError) as caught:
        signed_by([BrokenSigner()], Targets(expires=NOW))

    assert caught.value.where == key("publisher").public_key.keyid


def test_worlds_do_not_share_state() -> None:
    assert World().state.metadata == {}
