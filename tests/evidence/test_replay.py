from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from update_server.evidence.ratio import GRID
from update_server.evidence.replay import ReplayError, replay

EXAMPLE = json.loads((Path(__file__).parents[1] / "vectors" / "evidence.json").read_text())[
    "worked_example"
]


def a_document(*events: tuple[str, int, int], **changes: Any) -> dict[str, Any]:
    return {
        "metric": "crash",
        "alpha": 0.01,
        "weight": 0.3,
        "margin": 2.0,
        "n_candidate": 100,
        "n_control": 900,
        "events": [list(event) for event in events],
        **changes,
    }


WORKED = a_document(
    ("candidate", 100, 900),
    ("control", 99, 900),
    ("candidate", 99, 899),
    ("candidate", 98, 899),
    ("control", 97, 899),
)


def test_the_worked_example_is_replayed() -> None:
    answer = replay(WORKED)

    ll = dict(map(tuple, answer["ll"]))
    assert ll[1.0] == pytest.approx(-34.528761361489, abs=1e-9)
    assert ll[2.0] == pytest.approx(-32.920395129878, abs=1e-9)
    assert ll[4.0] == pytest.approx(-31.667781909579, abs=1e-9)
    assert answer["log_e_harm"] == pytest.approx(2.661847457757, abs=1e-9)
    assert answer["ratio_estimate"] == 13.454342644059
    assert answer["interval"] == [0.545253866333, 663.981851981317]
    assert answer["verdict"] == "continue"


def test_its_first_event_is_that_of_the_page() -> None:
    answer = replay(a_document(("candidate", 100, 900)))

    ll = dict(map(tuple, answer["ll"]))
    assert ll[1.0] == pytest.approx(-6.907755278982, abs=1e-9)
    assert ll[2.0] == pytest.approx(-6.309918278227, abs=1e-9)
    assert ll[4.0] == pytest.approx(-5.783825182330, abs=1e-9)
    assert answer["log_e_harm"] == pytest.approx(1.529268920415, abs=1e-9)


def test_every_point_of_the_grid_is_answered() -> None:
    assert [rho for rho, _ in replay(WORKED)["ll"]] == list(GRID)


def test_the_answer_is_json_without_infinities() -> None:
    answer = replay(a_document(*[("candidate", 50 - i, 450) for i in range(6)]))

    assert answer["log_e_harm"] == pytest.approx(12.335306210343049, abs=1e-9)
    assert answer["log_e_ni"] == pytest.approx(-4.081811849520776, abs=1e-9)
    assert answer["interval"] == [4.362030930661, None]
    assert answer["verdict"] == "pause"
    json.dumps(answer, allow_nan=False)


def test_a_smaller_weight_asks_for_more() -> None:
    events = [("candidate", 50 - i, 450) for i in range(6)]

    assert replay(a_document(*events, weight=1e-6))["verdict"] == "continue"


@pytest.mark.parametrize("events", [(), (("candidate", 5, 0),), (("control", 0, 5),)])
def test_where_no_event_says_anything_there_is_no_verdict(
    events: tuple[tuple[str, int, int], ...],
) -> None:
    answer = replay(a_document(*events))

    assert answer["verdict"] is None
    assert answer["log_e_harm"] == pytest.approx(0.0, abs=1e-12)
    assert answer["interval"] == [0.0, None]


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert replay({**WORKED, "comment": "as on paper"}) == replay(WORKED)


@pytest.mark.parametrize("field", sorted(WORKED))
def test_a_missing_field_names_itself(field: str) -> None:
    document = {name: value for name, value in WORKED.items() if name != field}

    with pytest.raises(ReplayError) as caught:
        replay(document)

    assert caught.value.field == field
    assert caught.value.reason == "is missing"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metric", 3),
        ("metric", ""),
        ("alpha", 0),
        ("alpha", 1),
        ("alpha", 2.0),
        ("alpha", "0.01"),
        ("alpha", True),
        ("alpha", float("nan")),
        ("weight", 0),
        ("weight", 1.5),
        ("weight", None),
        ("margin", 1),
        ("margin", 0.5),
        ("margin", 2.1),
        ("margin", float("inf")),
        ("n_candidate", -1),
        ("n_control", 1.5),
        ("n_control", False),
        ("events", "candidate"),
        ("events", {}),
    ],
)
def test_a_wrong_field_names_itself(field: str, value: object) -> None:
    with pytest.raises(ReplayError) as caught:
        replay({**WORKED, field: value})

    assert caught.value.field == field
    assert str(caught.value).startswith(field)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ("candidate", "events[1]"),
        ([], "events[1]"),
        (["candidate", 5], "events[1]"),
        (["candidate", 5, 5, 5], "events[1]"),
        (["treatment", 5, 5], "events[1][0]"),
        ([["candidate"], 5, 5], "events[1][0]"),
        (["candidate", "5", 5], "events[1][1]"),
        (["candidate", 5, -1], "events[1][2]"),
        (["candidate", 0, 5], "events[1][1]"),
        (["control", 5, 0], "events[1][2]"),
    ],
)
def test_a_wrong_event_names_its_place(event: object, field: str) -> None:
    with pytest.raises(ReplayError) as caught:
        replay({**WORKED, "events": [["candidate", 5, 5], event]})

    assert caught.value.field == field


def test_the_example_is_the_published_one() -> None:
    assert EXAMPLE["n_candidate"] == WORKED["n_candidate"]
    assert EXAMPLE["n_control"] == WORKED["n_control"]
