"""Decisions and their evidence from the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.model import Actor, RolloutId, RolloutState
from tests.cli.cli_world import Cli
from update_server import wiring
from update_server.evidence.state import Label
from update_server.service.ports.studies import StoredDecision
from update_server.service.studies.codec import decode_state, encode_state
from update_server.service.studies.register import StoredLog

SENTENCE = "Paused 1.1.0 at ring 10 % after 7 h: 2 of 3 installs offered it crashed."
DOCUMENT: dict[str, Any] = {
    "metric": "crash",
    "alpha": 0.01,
    "weight": 1.0,
    "margin": 2.0,
    "n_candidate": 50,
    "n_control": 450,
    "events": [["candidate", 50 - n, 450] for n in range(6)],
}


def decide(cli: Cli, **fields: Any) -> str:
    """Put a decision, and the two labels behind it, where the judge would have."""
    rollout = cli.json("rollout", "show", "1.1.0")["id"]
    with wiring.database(cli.config).transaction() as stores:
        study = stores.studies.get(rollout)
        known: dict[str, Any] = {
            "id": "de_1",
            "rollout": rollout,
            "app": "notes",
            "at": study.opened_at + timedelta(hours=7),
            "verdict": "pause",
            "record": {
                "verdict": "pause",
                "no_verdict": None,
                "sentence": SENTENCE,
                "log_e_by_metric": {},
            },
            "log_size": 2,
            "carried_out_at": study.opened_at + timedelta(hours=7),
            "outcome": "paused",
        }
        stores.decisions.add(StoredDecision(**{**known, **fields}))
        log = StoredLog(stores.studies, rollout)
        labels = [
            Label(
                epoch=1,
                metric="crash",
                platform="linux-x86_64",
                at=study.opened_at.timestamp() + n,
                candidate=n == 0,
                n_candidate=3 - n,
                n_control=20,
                event=bytes([n]) * 32,
                network=bytes([n]) * 16,
            )
            for n in range(2)
        ]
        log.add(labels)
        state = decode_state(study.state)
        stores.studies.replace(replace(study, state=encode_state(state)), study.version)
    return str(rollout)


def test_decisions_are_printed_as_sentences(released: Cli) -> None:
    assert released.run("rollout", "decisions", "1.1.0").err.endswith("nothing was decided yet\n")
    rollout = decide(released)

    done = released.run("rollout", "decisions", "1.1.0")
    document = released.json("rollout", "decisions", "1.1.0")

    assert f"{SENTENCE} (paused)" in done.out.replace("\n", " ")
    assert document["rollout"] == rollout
    assert [each["sentence"] for each in document["items"]] == [SENTENCE]


def test_a_rollout_is_shown_with_what_is_said_of_it(released: Cli) -> None:
    before = released.json("rollout", "show", "1.1.0")
    decide(released)

    shown = released.json("rollout", "show", "1.1.0")
    [listed, _] = released.json("rollout", "list")["items"]
    words = released.run("rollout", "show", "1.1.0").out.replace("\n", " ")

    assert (before["verdict"], before["no_verdict"], before["sentence"]) == (
        None,
        "not_judged",
        None,
    )
    for found in (shown, listed):
        assert (found["verdict"], found["no_verdict"], found["sentence"]) == (
            "pause",
            None,
            SENTENCE,
        )
    assert SENTENCE in words


def test_labels_can_be_written_down_and_replayed(released: Cli) -> None:
    decide(released)
    file = released.folder / "labels.json"

    told = released.run("rollout", "decisions", "1.1.0", "--labels", str(file))
    replayed = released.json("rollout", "replay", str(file))

    assert "wrote 2 labels of crash" in told.err
    assert json.loads(file.read_text())["events"] == [["candidate", 3, 20], ["control", 2, 20]]
    assert replayed["verdict"] == "continue"


def test_a_metric_without_first_events_has_no_labels(released: Cli) -> None:
    decide(released)
    file = str(released.folder / "labels.json")

    refused = released.refused(
        "rollout", "decisions", "1.1.0", "--labels", file, "--metric", "silence"
    )

    assert refused == "no_labels"


def test_a_document_of_ones_own_can_be_replayed_without_a_server(outsider: Cli) -> None:
    (outsider.folder / "a.json").write_text(json.dumps(DOCUMENT))

    document = outsider.json("rollout", "replay", "a.json")
    words = outsider.run("rollout", "replay", "a.json").out.replace("\n", " ")

    assert document["log_e_harm"] == pytest.approx(12.335306210343049, rel=1e-12)
    assert document["interval"] == [pytest.approx(4.362030930661), None]
    assert document["verdict"] == "pause"
    assert words.startswith("crash: pause; log e-value 12.3353; ratio ")
    assert "4.362 to infinity" in words


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("{", ": "),
        ("[]", "is no JSON object"),
        ("[" * 100_000, ": "),
        ("{}", "metric is missing"),
        ("\udcff", ": "),
    ],
)
def test_what_cannot_be_replayed_is_refused(outsider: Cli, text: str, detail: str) -> None:
    (outsider.folder / "a.json").write_bytes(text.encode(errors="surrogateescape"))

    done = outsider.run("rollout", "replay", "a.json", "--json", code=2)

    assert done.error == "bad_replay"
    assert detail in done.document["detail"]


def test_a_wrong_event_is_refused_by_its_place(outsider: Cli) -> None:
    events = [["candidate", 1, 1], ["treatment", 1, 1]]
    (outsider.folder / "a.json").write_text(json.dumps({**DOCUMENT, "events": events}))

    done = outsider.run("rollout", "replay", "a.json", "--json", code=2)

    assert done.document["field"] == "events[1][0]"


def a_record(log_e: float, events: int) -> dict[str, Any]:
    crash = {
        "test": "events",
        "higher_is_worse": True,
        "log_e": log_e,
        "needed": 0.01,
        "entries": {"crash": 2},
    }
    return {
        "verdict": "pause",
        "no_verdict": None,
        "sentence": SENTENCE,
        "epoch": 1,
        "held": [],
        "contested": False,
        "cause_metric": "crash",
        "candidate": {"events": events},
        "log_e_by_metric": {"crash": crash},
    }


def test_reports_are_withdrawn_with_a_reason(released: Cli) -> None:
    rollout = RolloutId(decide(released, record=a_record(1.0, 1)))
    with wiring.database(released.config).transaction() as stores:
        before = stores.rollouts.get("notes", rollout)
        paused = replace(before, state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC)
        stores.rollouts.replace(before, paused)
    strike = ("rollout", "strike", "1.1.0", "--reason", "a test lab's", "--network")

    nobody = released.run(*strike, "203.0.113.7").out
    stands = released.run(*strike, "01" * 16).out
    falls = released.json(*strike, "00" * 16)

    assert nobody == "withdrew 0 reports of installs offered it and 0 of installs held back\n"
    withdrawn, told = stands.splitlines()
    assert withdrawn == "withdrew 0 reports of installs offered it and 1 of installs held back"
    assert told.startswith("The pause stands without them: log e-value ")
    assert (falls["candidate"], falls["contested"]) == (1, True)
    newest, _ = released.json("rollout", "decisions", "1.1.0")["items"]
    assert newest["sentence"] == falls["sentence"]
    assert "1 of its 1 reports were withdrawn" in falls["sentence"]


def test_a_contested_pause_is_told(released: Cli) -> None:
    rollout = RolloutId(decide(released, record=a_record(1.0, 1)))
    with wiring.database(released.config).transaction() as stores:
        before = stores.rollouts.get("notes", rollout)
        paused = replace(before, state=RolloutState.PAUSED, paused_by=Actor.AUTOMATIC)
        stores.rollouts.replace(before, paused)

    told = released.run("rollout", "strike", "--network", "00" * 16, "--reason", "forged").out

    assert "It stays paused until someone resumes it." in told.replace("\n", " ")
