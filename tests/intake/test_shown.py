"""What real programs report is what people are shown of it: pages, the rollout, and /metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.intake.fleet import NEW, OLD, Fleet
from tests.intake.numbers import Numbers

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("intake"), pytest.mark.timeout(300)]

Cells = dict[tuple[str, ...], int]


def measured(fleet: Fleet, name: str, *more: str) -> Cells:
    """Return the values of a metric by arm, whether on the release, and *more* labels."""
    found: Cells = {}
    for family in text_string_to_metric_families(fleet.get("/metrics").decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels["version"] == NEW:
                place = tuple(sample.labels[label] for label in ("arm", "on", *more))
                found[place] = int(sample.value)
    return {place: value for place, value in found.items() if value}


def added(after: Cells, before: Cells) -> Cells:
    return {place: by for place, value in after.items() if (by := value - before.get(place, 0))}


def test_what_programs_report_is_what_people_are_shown(fleet: Fleet) -> None:
    candidate, control = fleet.candidate(), fleet.control()
    before, counted = fleet.shown(), fleet.numbers()
    sessions = measured(fleet, "serinus_sessions_total", "source", "status")
    crashed = measured(fleet, "serinus_crashed_installs")

    candidate.python("unhandled")
    candidate.python("handled")
    control.python("session")
    control.python("handled")

    expected = Numbers(
        sessions={
            (NEW, "candidate", "sdk", "crashed"): 1,
            (NEW, "candidate", "sdk", "errored"): 1,
            (OLD, "control", "sdk", "exited"): 1,
            (OLD, "control", "sdk", "errored"): 1,
        },
        crashes={(NEW, "candidate", "ValueError"): 1, (NEW, "candidate", "none"): 1},
        errors={(NEW, "candidate", "ValueError"): 1, (OLD, "control", "ValueError"): 1},
        crashed={(NEW, "candidate"): 1},
    )
    fleet.wait_until_counted(expected, since=counted)
    assert fleet.shown().since(before) == expected
    assert added(measured(fleet, "serinus_sessions_total", "source", "status"), sessions) == {
        ("candidate", "release", "sdk", "crashed"): 1,
        ("candidate", "release", "sdk", "errored"): 1,
        ("control", "other", "sdk", "exited"): 1,
        ("control", "other", "sdk", "errored"): 1,
    }
    assert added(measured(fleet, "serinus_crashed_installs"), crashed) == {
        ("candidate", "release"): 1
    }
