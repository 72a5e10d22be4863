"""The bytes by which stores keep what ``evidence`` knows: MessagePack, maps by field name.

So a reader takes the default for a field that an older writer did not have, and passes over
one that it does not know. Numbers, and the order of lists and maps, come back exactly as they
went: a tick that begins from bytes decides bit for bit what one in memory would. Equal values
are equal bytes.

Not here: which of these are stored where (``study_ports``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from update_server.evidence.facts import (
    Crash,
    Fact,
    Lag,
    Left,
    Outage,
    Past,
    Paused,
    PlatformHeld,
    PlatformReleased,
    Resumed,
    Score,
    Seen,
    Session,
    SetAside,
    StageOpened,
    Stepped,
    Struck,
    Unsuspended,
)
from update_server.evidence.register import Member
from update_server.evidence.settings import Settings
from update_server.evidence.state import Label, Scored, State
from update_server.service.ports.studies import LogKind, StoredLabel, StoredMember

_Value = TypeVar("_Value")

# The first byte of a fact. Stored: a kind keeps its number for good; 4 is not used any more.
_FACTS: Mapping[int, type[Fact]] = {
    1: Seen,
    2: Session,
    3: Crash,
    5: Stepped,
    6: Score,
    7: Left,
    8: StageOpened,
    9: Paused,
    10: Resumed,
    11: PlatformHeld,
    12: Unsuspended,
    13: Outage,
    14: PlatformReleased,
    15: Past,
    16: Struck,
    17: Lag,
    18: SetAside,
}


class UnreadableError(ValueError):
    """Bytes that this version of the program did not write, and cannot read."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a study cannot keep a {type(value).__name__}")


# It writes maps in their own order, which is that of sums of floats; sets are sorted before.
_encoder = msgspec.msgpack.Encoder()
_states = msgspec.msgpack.Decoder(State)
_settings = msgspec.msgpack.Decoder(Settings)
_members = msgspec.msgpack.Decoder(Member)
_labels = msgspec.msgpack.Decoder(Label)
_scored = msgspec.msgpack.Decoder(Scored)
_networks = msgspec.msgpack.Decoder(tuple[bytes, ...])
_fact_decoders = {kind: msgspec.msgpack.Decoder(fact) for kind, fact in _FACTS.items()}
_fact_kinds = {fact: bytes((kind,)) for kind, fact in _FACTS.items()}


def encode_state(state: State) -> bytes:
    """Return the bytes of *state*."""
    return _encoder.encode(state)


def decode_state(body: bytes) -> State:
    """Return the state that ``encode_state`` wrote, or raise UnreadableError."""
    return _decoded(_states, body)


def encode_settings(settings: Settings) -> bytes:
    """Return the bytes of *settings*."""
    plain = msgspec.to_builtins(settings, enc_hook=_plain)
    plain["automatic"].sort()
    for window in plain["windows"]:
        window["weekdays"].sort()
    return _encoder.encode(plain)


def decode_settings(body: bytes) -> Settings:
    """Return the settings that ``encode_settings`` wrote, or raise UnreadableError."""
    settings = _decoded(_settings, body)
    return replace(settings, weights=MappingProxyType(dict(settings.weights)))


def encode_fact(fact: Fact) -> bytes:
    """Return the bytes of *fact*, of any kind."""
    return _fact_kinds[type(fact)] + _encoder.encode(fact)


def decode_fact(body: bytes) -> Fact:
    """Return the fact that ``encode_fact`` wrote, or raise UnreadableError."""
    decoder = _fact_decoders.get(body[0]) if body else None
    if decoder is None:
        raise UnreadableError(f"no fact begins with {body[:1]!r}")
    return _decoded(decoder, memoryview(body)[1:])


def encode_member(member: Member) -> StoredMember:
    """Return *member* as a register keeps it."""
    plain = msgspec.to_builtins(member, builtin_types=(bytes,))
    plain["had"].sort()
    return StoredMember(
        body=_encoder.encode(plain),
        due_at=member.due_at,
        network=member.network,
        platform=member.platform,
        left=member.left,
    )


def decode_member(body: bytes) -> Member:
    """Return the member that ``encode_member`` wrote, or raise UnreadableError."""
    return _decoded(_members, body)


def encode_entry(entry: Label | Scored) -> StoredLabel:
    """Return *entry* as a log keeps it: networks, and that it was struck, beside the body."""
    networks: tuple[bytes, ...]
    struck = False
    if isinstance(entry, Label):
        kind, networks = LogKind.LABEL, (entry.network,) if entry.network else ()
        body, struck = _encoder.encode(replace(entry, network=b"", struck=False)), entry.struck
    else:
        kind, networks = LogKind.SCORED, entry.networks
        body = _encoder.encode(replace(entry, networks=()))
    return StoredLabel(
        epoch=entry.epoch,
        metric=entry.metric,
        kind=kind,
        body=body,
        networks=_encoder.encode(networks) if networks else b"",
        struck=struck,
    )


def decode_entry(stored: StoredLabel) -> Label | Scored:
    """Return the entry that ``encode_entry`` wrote, or raise UnreadableError.

    One whose networks were forgotten since has none.
    """
    networks = _decoded(_networks, stored.networks) if stored.networks else ()
    if stored.kind is LogKind.LABEL:
        network = networks[0] if networks else b""
        return replace(_decoded(_labels, stored.body), network=network, struck=stored.struck)
    return replace(_decoded(_scored, stored.body), networks=networks)


def _decoded(decoder: msgspec.msgpack.Decoder[_Value], body: bytes | memoryview) -> _Value:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableError(str(error)) from error
