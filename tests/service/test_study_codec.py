"""What studies know comes back from its bytes exactly as it went."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.service.every_value import every
from update_server.evidence.facts import Fact, Seen, Session, StageOpened
from update_server.evidence.register import Member
from update_server.evidence.settings import STANDARD, Metric, Settings
from update_server.evidence.state import Arms, Label, Process, Scored, State
from update_server.service.ports.studies import LogKind, StoredLabel
from update_server.service.studies import codec as study_codec
from update_server.service.studies.codec import (
    UnreadableError,
    decode_entry,
    decode_fact,
    decode_member,
    decode_settings,
    decode_state,
    encode_entry,
    encode_fact,
    encode_member,
    encode_settings,
    encode_state,
)

A_SESSION = Session(at=1.0, install=b"i")


def map_without(body: bytes, *names: str) -> bytes:
    """Return *body* as a writer that did not know these fields would have written it."""
    known: dict[str, Any] = msgspec.msgpack.decode(body)
    return msgspec.msgpack.encode({k: v for k, v in known.items() if k not in names})


@pytest.mark.no_cover
@given(state=every(State))
def test_a_state_comes_back_as_it_went(state: State) -> None:
    body = encode_state(state)

    assert decode_state(body) == state
    assert encode_state(decode_state(body)) == body


@given(settings=every(Settings))
def test_settings_come_back_as_they_went(settings: Settings) -> None:
    body = encode_settings(settings)

    assert decode_settings(body) == settings
    assert encode_settings(decode_settings(body)) == body


@given(fact=st.one_of(*(every(kind) for kind in get_args(Fact))))
def test_a_fact_comes_back_as_it_went(fact: Fact) -> None:
    decoded = decode_fact(encode_fact(fact))

    assert decoded == fact
    assert type(decoded) is type(fact)


@given(member=every(Member))
def test_a_member_comes_back_as_it_went_with_what_it_is_looked_up_by(member: Member) -> None:
    stored = encode_member(member)

    assert decode_member(stored.body) == member
    assert stored == replace(
        stored,
        due_at=member.due_at,
        network=member.network,
        platform=member.platform,
        left=member.left,
    )


@given(entry=every(Label) | every(Scored))
def test_an_entry_of_a_log_comes_back_as_it_went(entry: Label | Scored) -> None:
    stored = encode_entry(entry)

    assert decode_entry(stored) == entry
    assert (stored.epoch, stored.metric) == (entry.epoch, entry.metric)
    assert stored.kind == ("label" if isinstance(entry, Label) else "scored")


def test_every_kind_of_fact_has_a_number_of_its_own() -> None:
    assert set(study_codec._FACTS.values()) == set(get_args(Fact))


def test_the_published_settings_come_back_with_their_words() -> None:
    settings = decode_settings(encode_settings(STANDARD))

    assert settings == STANDARD
    assert settings.weights[Metric.CRASH] == STANDARD.weights["crash"]
    assert list(settings.weights) == list(STANDARD.weights)
    assert isinstance(settings.weights, MappingProxyType)


def test_maps_keep_their_order() -> None:
    state = State()
    state.epoch.processes["silence"] = {"z": Process(vector=[0.1, -math.inf])}
    state.epoch.processes["crash"] = {"b": Process(vector=[]), "a": Process(vector=[-0.0])}
    state.stage.risk_sets = {9: Arms(candidate=1), 2: Arms(control=2)}

    decoded = decode_state(encode_state(state))

    assert repr(decoded) == repr(state)


def test_equal_sets_are_equal_bytes_in_every_process() -> None:
    program = (
        "from update_server.evidence.register import Member;"
        "from update_server.evidence.settings import STANDARD;"
        "from update_server.service.studies.codec import encode_member, encode_settings;"
        "member = Member(had={'crash', 'silence', 'signature:1', 'score:startup_ms:q50'});"
        "print(encode_member(member).body.hex(), encode_settings(STANDARD).hex())"
    )

    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(told) == 1


def test_fields_that_an_older_writer_did_not_know_have_their_defaults() -> None:
    state = State(now=5.0, decided="pause", contacts=3)
    fact = StageOpened(at=1.0, position=1, ring="1%", exposure_bp=100, approvals=2)
    member = Member(stage=2, scores={"startup_ms": 1.0})
    label = Label(
        epoch=1, metric="crash", platform="l", at=1.0, candidate=True, n_candidate=1, n_control=1
    )

    older_state = map_without(encode_state(state), "decided", "stage", "epochs")
    older_settings = map_without(encode_settings(STANDARD), "weights", "ceilings", "automatic")
    older_fact = encode_fact(fact)[:1] + map_without(encode_fact(fact)[1:], "approvals")
    older_member = map_without(encode_member(member).body, "scores", "had")
    entry = encode_entry(label)
    older_entry = replace(entry, body=map_without(entry.body, "network", "event"))

    assert decode_state(older_state) == State(now=5.0, contacts=3)
    assert decode_settings(older_settings) == STANDARD
    assert decode_fact(older_fact) == replace(fact, approvals=0)
    assert decode_member(older_member) == Member(stage=2)
    assert decode_entry(older_entry) == label


def test_fields_of_a_newer_writer_are_passed_over() -> None:
    body = msgspec.msgpack.encode({"now": 5.0, "not yet thought of": [1, {"a": None}]})

    assert decode_state(body) == State(now=5.0)


def test_whole_numbers_come_back_as_the_floats_that_they_stand_for() -> None:
    state = State()
    state.epoch.processes["crash"] = {"linux-x86_64": Process(vector=[0, 1])}

    vector = decode_state(encode_state(state)).epoch.processes["crash"]["linux-x86_64"].vector

    assert repr(vector) == "[0.0, 1.0]"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\xfe" + encode_fact(A_SESSION)[1:],
        encode_fact(A_SESSION)[:-1],
        encode_fact(A_SESSION)[:1]
        + encode_fact(Seen(at=1.0, install=b"i", bucket=1, platform=""))[1:4],
    ],
)
def test_bytes_that_are_no_fact_are_told(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode_fact(body)


def test_bytes_that_are_nothing_else_are_told() -> None:
    broken = b"\x81\xa3now\xa1x"
    label = StoredLabel(epoch=1, metric="m", kind=LogKind.LABEL, body=broken)

    for decode in (decode_state, decode_settings, decode_member):
        with pytest.raises(UnreadableError):
            decode(b"\xc1")
    with pytest.raises(UnreadableError):
        decode_state(broken)
    for entry in (label, replace(label, kind=LogKind.SCORED), replace(label, networks=b"\xc1")):
        with pytest.raises(UnreadableError):
            decode_entry(entry)


@given(entry=every(Label) | every(Scored))
def test_an_entry_whose_networks_were_forgotten_has_none(entry: Label | Scored) -> None:
    decoded = decode_entry(replace(encode_entry(entry), networks=b""))

    if isinstance(entry, Label):
        assert decoded == replace(entry, network=b"")
    else:
        assert decoded == replace(entry, networks=())


@given(label=every(Label))
def test_that_a_label_was_struck_can_be_noted_without_reading_it(label: Label) -> None:
    stored = encode_entry(label)

    assert stored.struck is label.struck
    assert decode_entry(replace(stored, struck=True)) == replace(label, struck=True)


@given(entry=every(Label) | every(Scored))
def test_no_network_is_in_the_body_of_an_entry(entry: Label | Scored) -> None:
    bare = replace(entry, network=b"") if isinstance(entry, Label) else replace(entry, networks=())

    assert encode_entry(entry).body == encode_entry(bare).body
