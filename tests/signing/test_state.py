from __future__ import annotations

import json

import pytest

from signing.errors import BadStateError
from signing.state import RepositoryState, dump_state, load_state
from tests.signing.world import APP, a_world

STATE = a_world().state.having_seen({"snapshot": 57})


def test_a_state_survives_being_kept() -> None:
    assert load_state(dump_state(STATE)) == STATE


def test_the_next_version_is_above_every_number_ever_seen() -> None:
    assert STATE.next_version("snapshot") == 58
    assert STATE.next_version("policy") == 2
    assert STATE.next_version("rollout.beta") == 1


def test_a_role_without_metadata_goes_on_above_its_burned_numbers() -> None:
    state = RepositoryState(app=APP, highest={"policy": 7})

    assert state.next_version("policy") == 8
    assert state.versions == {"policy": 7}


def test_roots_have_no_gaps() -> None:
    assert STATE.having_seen({"root": 9}).next_version("root") == 2


def test_what_was_seen_is_never_forgotten() -> None:
    state = STATE.having_seen({"snapshot": 3, "timestamp": 60})

    assert (state.highest["snapshot"], state.highest["timestamp"]) == (57, 60)


def test_versions_are_the_highest_known() -> None:
    assert STATE.versions["snapshot"] == 57
    assert STATE.versions["policy"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        dump_state(STATE).replace(b'"schema":1', b'"schema":2'),
        dump_state(STATE).replace(b'"app":"demo"', b'"app":"../x"'),
        dump_state(STATE).replace(b'"policy":1', b'"policy":"x"'),
        dump_state(STATE).replace(b'"policy":1', b'"no role":1'),
        dump_state(STATE).replace(b'"policy":1', b'"policy":true'),
        dump_state(STATE).replace(b'"policy":1', b'"policy":1.5'),
        json.dumps({**json.loads(dump_state(STATE)), "metadata": {"policy": 1}}).encode(),
    ],
)
def test_a_broken_state_is_not_taken_for_an_empty_one(data: bytes) -> None:
    with pytest.raises(BadStateError) as caught:
        load_state(data)

    assert caught.value.code == "bad_state"


def test_a_state_whose_metadata_has_no_version_is_broken() -> None:
    state = RepositoryState(app=APP, metadata={"policy": b"{}"})

    with pytest.raises(BadStateError):
        load_state(dump_state(state))
