from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.version import Version

from client_agent.config import Telemetry
from client_agent.contact.attributes import system_attributes
from client_agent.contact.bans import FOR_EVER, as_of, failures_for
from client_agent.contact.check_in import Standing, parse_answer, render_check_in
from client_agent.contact.identity import Enrolment, Identity
from client_agent.errors import Code, NetworkError
from client_agent.values import Ban, State, VersionFailure
from rollout.model import (
    Action,
    Entry,
    InstallId,
    MustReach,
    Policy,
    Reason,
    RolloutDocument,
    RolloutId,
    RolloutState,
)
from tests.agent.agent_fakes import START
from tests.agent.signed_world import SignedWorld

V = Version("2.1.0")
DIGEST = "ab" * 32
DAY = timedelta(hours=24)


def an_answer(**changes: Any) -> bytes:
    given = {
        "action": "update",
        "version": "2.1.0",
        "reason": "in_ring",
        **changes.pop("assignment", {}),
    }
    answer = {"assignment": given, "token": "TOKEN", "next_check_in_seconds": 14_400, **changes}
    return json.dumps(answer).encode()


def test_an_answer_becomes_a_hint_a_token_and_a_time() -> None:
    answered = parse_answer(an_answer(), START)

    assert answered.hint.action is Action.UPDATE
    assert answered.hint.version == V
    assert answered.hint.is_recent(START + timedelta(seconds=14_399))
    assert answered.token == "TOKEN"
    assert answered.next_check_in_seconds == 14_400


@pytest.mark.parametrize(
    ("said", "project"), [(7, 7), (None, None), (0, None), (True, None), ("7", None), (-1, None)]
)
def test_the_apps_number_is_a_number_or_none(said: object, project: int | None) -> None:
    assert parse_answer(an_answer(project=said), START).project == project


def test_a_reason_that_is_not_known_still_holds_back() -> None:
    given = {"action": "stay", "version": None, "reason": "moon_phase"}

    hint = parse_answer(an_answer(assignment=given), START).hint

    assert (hint.action, hint.reason) == (Action.STAY, Reason.STALE_SERVER)


@pytest.mark.parametrize("seconds", [1, 10**12])
def test_a_hints_life_is_clamped_whatever_the_server_says(seconds: int) -> None:
    hint = parse_answer(an_answer(next_check_in_seconds=seconds), START).hint

    assert 300 <= hint.good_for_seconds <= 86_400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        an_answer(assignment={"action": "explode"}),
        an_answer(assignment={"version": "one"}),
        an_answer(assignment={"version": 7}),
        an_answer(assignment={"version": "1!2.0"}),
        an_answer(next_check_in_seconds="soon"),
        an_answer(next_check_in_seconds=float("inf")),
        an_answer(token=""),
        an_answer(token="two\nlines"),
        an_answer(token="T" * 129),
        an_answer(token=None),
        json.dumps({"assignment": None, "token": "T", "next_check_in_seconds": 1}).encode(),
    ],
)
def test_what_is_no_answer_is_a_matter_of_the_network(body: bytes) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_answer(body, START)

    assert caught.value.code is Code.UNEXPECTED_ANSWER


def test_a_check_in_names_the_install_and_nothing_of_the_machine() -> None:
    identity = Identity(
        install_id=InstallId("2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11"),
        machine="secret-digest",
        created="2026",
        enrolments=(Enrolment(group="staff", credential="c"),),
    )
    standing = Standing(version=None, phase="idle", failed=[V], staged=V)

    body = render_check_in(
        SignedWorld().settings("http://x"), identity, standing, {"os_version": "12"}, Telemetry.OFF
    )

    assert body["version"] is None
    assert body["enrolments"] == ["c"]
    assert body["telemetry"] == "off"
    assert body["state"]["failed_versions"] == ["2.1.0"]
    assert body["state"]["staged_version"] == "2.1.0"
    assert "secret-digest" not in json.dumps(body)


def test_the_system_tells_its_version_and_language() -> None:
    assert set(system_attributes()) <= {"os_version", "locale"}


# --- bans --------------------------------------------------------------------------------


def a_policy(*must_reach: Version) -> Policy:
    rules = tuple(MustReach(version=version, after=START) for version in must_reach)
    return Policy(app="demo", channel="stable", issued=START, must_reach=rules)


def a_rollout(rollout: str) -> RolloutDocument:
    entry = Entry(
        version=V,
        state=RolloutState.ACTIVE,
        exposure_bp=10_000,
        rollout=RolloutId(rollout),
    )
    return RolloutDocument(
        app="demo", channel="stable", issued=START, next_check_in_seconds=300, entries=(entry,)
    )


def a_ban(*, count: int = 1, rollout: str = "ro_first") -> Ban:
    return Ban(
        version=V,
        manifest_sha256=DIGEST,
        rollout=rollout,
        reason="tries_used_up",
        at=START,
        count=count,
    )


def retry_of(
    *bans: Ban, policy: Policy | None = None, rollout: RolloutDocument | None = None
) -> datetime:
    (failure,) = failures_for(bans, (), policy or a_policy(), rollout)
    assert failure.version == V
    return failure.retry_at


def test_a_banned_version_stays_banned_in_its_own_rollout() -> None:
    assert retry_of(a_ban(), rollout=a_rollout("ro_first")) == FOR_EVER
    assert retry_of(a_ban()) == FOR_EVER


def test_a_ban_lifts_when_another_rollout_issues_the_version() -> None:
    assert retry_of(a_ban(), rollout=a_rollout("ro_again")) == START


def test_a_ban_holds_for_first_installs_of_the_same_rollout_too() -> None:
    assert retry_of(a_ban(rollout="ro_7k2mfirst"), rollout=a_rollout("ro_7k2m")) == FOR_EVER
    assert retry_of(a_ban(rollout="ro_7k2m"), rollout=a_rollout("ro_7k2mfirst")) == FOR_EVER
    assert retry_of(a_ban(rollout="ro_7k2m"), rollout=a_rollout("ro_8k2mfirst")) == START


def test_the_fourth_ban_of_the_same_bytes_is_for_good() -> None:
    third = [a_ban(rollout=f"ro_{n}xxx") for n in range(3)]

    assert retry_of(*third, rollout=a_rollout("ro_again")) == START
    assert retry_of(*third, a_ban(), rollout=a_rollout("ro_again")) == FOR_EVER
    assert retry_of(a_ban(count=4), rollout=a_rollout("ro_again")) == FOR_EVER


def test_what_must_be_reached_is_tried_again_once_a_day() -> None:
    assert retry_of(a_ban(), policy=a_policy(V)) == START + timedelta(hours=24)


def test_what_a_clock_that_was_ahead_has_dated_counts_from_now_on() -> None:
    noted = VersionFailure(
        version=V, manifest_sha256=DIGEST, code="io", count=1, retry_at=START + 400 * DAY
    )
    ban = replace(a_ban(), at=START + 399 * DAY)

    state = as_of(State(bans=(ban,), failures=(noted,)), START)

    assert state.bans == (a_ban(),)
    assert state.failures == (replace(noted, retry_at=START + DAY),)
    assert as_of(state, START + DAY) == state


def test_a_failed_download_is_tried_again_when_its_pause_is_over() -> None:
    noted = VersionFailure(version=V, manifest_sha256=DIGEST, code="io", count=1, retry_at=START)

    (failure,) = failures_for((), (noted,), a_policy(), None)

    assert failure.retry_at == START
    assert datetime.max.replace(tzinfo=UTC) == FOR_EVER
