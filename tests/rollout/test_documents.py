"""What stands beside whole documents: paths, ladders, audiences, holds, and the policy's lists."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import pytest
from packaging.version import Version

from rollout.documents import (
    check_against_policy,
    check_hold,
    digest_of,
    parse_audience,
    parse_ladder,
    parse_policy,
    path_of_policy,
    path_of_release,
    path_of_rollout,
    release_folder,
    render_audience,
    render_ladder,
    render_policy,
)
from rollout.errors import DocumentError
from rollout.model import Audience, Hold, RolloutDocument, RolloutId, RolloutState
from tests.builders import (
    LADDER,
    a_hold,
    a_policy,
    a_ring,
    a_rollout_document,
    an_entry,
)


def test_each_document_has_its_path() -> None:
    where = ("demo", "stable", "linux-x86_64", Version("2.3.0"))

    assert path_of_policy("demo", "stable") == "demo/policy/stable.json"
    assert path_of_rollout("demo", "stable") == "demo/rollout/stable.json"
    assert release_folder(*where) == "demo/releases/stable/linux-x86_64/2.3.0"
    assert path_of_release(*where) == "demo/releases/stable/linux-x86_64/2.3.0/release.json"


def test_a_ladder_is_read_as_it_was_written() -> None:
    assert parse_ladder(render_ladder(LADDER)) == LADDER


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], "ladder"),
        ({}, "ladder"),
        ([{"ring": "1%"}], "ladder[0].soak_seconds"),
        ([{"ring": "1%", "soak_seconds": 0, "exposure_bp": 10_001}], "ladder[0].exposure_bp"),
    ],
)
def test_a_bad_ladder_is_refused_where_it_is_bad(value: Any, where: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_ladder(value)

    assert caught.value.where == where


def test_an_audience_is_read_as_it_was_written() -> None:
    audience = Audience(
        groups=("staff",), os_version=(">=12",), custom=MappingProxyType({"edition": ("pro",)})
    )

    assert parse_audience(render_audience(audience)) == audience


def test_an_audience_that_is_no_object_is_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_audience(["staff"])

    assert caught.value.where == "audience"


def test_a_selector_that_is_not_known_stays_unknown_when_written() -> None:
    audience = parse_audience({"moon": ["full"], "country": ["AT"]})

    assert audience.unknown
    assert parse_audience(render_audience(audience)) == audience


def test_a_good_hold_is_returned() -> None:
    assert check_hold(a_hold()) == a_hold()


@pytest.mark.parametrize(
    "hold",
    [
        replace(a_hold(), id="H 1"),
        replace(a_hold(), title=""),
        replace(a_hold(), link="http://status.example.org/"),
        a_hold(audience=Audience(country=())),
        a_hold(audience=Audience(unknown=True)),
    ],
)
def test_an_operator_cannot_place_a_bad_hold(hold: Hold) -> None:
    with pytest.raises(DocumentError):
        check_hold(hold)


def test_a_document_that_keeps_to_the_policy_is_returned() -> None:
    document = a_rollout_document(an_entry(holds=(a_hold(),)))

    assert check_against_policy(document, a_policy()) is document


BY_EDITION = Audience(custom=MappingProxyType({"edition": ("pro",)}))


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (a_rollout_document(channel="beta"), "channel"),
        (a_rollout_document(app="other"), "channel"),
        (
            a_rollout_document(an_entry(holds=(replace(a_hold(), link="https://x.example/"),))),
            "entries[0].holds[0].link",
        ),
        (
            a_rollout_document(
                an_entry(holds=(replace(a_hold(), link="https://status.example.org.x.example/"),))
            ),
            "entries[0].holds[0].link",
        ),
        (
            a_rollout_document(an_entry(holds=(a_hold(audience=BY_EDITION),))),
            "entries[0].holds[0].audience.custom",
        ),
        (
            a_rollout_document(an_entry(rings=(a_ring(audience=BY_EDITION),))),
            "entries[0].rings[0].audience.custom",
        ),
    ],
)
def test_a_document_that_uses_what_the_policy_does_not_list_is_refused(
    document: RolloutDocument, where: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        check_against_policy(document, a_policy())

    assert caught.value.where == where


def test_an_instant_is_written_in_whole_seconds_of_utc() -> None:
    east = timezone(timedelta(hours=2))
    policy = a_policy(issued=datetime(2026, 1, 1, 1, 59, 59, 999_999, tzinfo=east))

    issued = parse_policy(render_policy(policy)).issued

    assert issued == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_the_digest_of_an_entry_differs_with_every_thing_that_it_says() -> None:
    entry = an_entry()
    said = [
        entry,
        replace(entry, version=Version("9.0")),
        replace(entry, rollout=RolloutId("ro_other")),
        replace(entry, state=RolloutState.PAUSED),
        replace(entry, exposure_bp=1),
        replace(entry, holdback_bp=1),
        replace(entry, rings=(a_ring(exposure_bp=7),)),
        replace(entry, holds=(a_hold(),)),
    ]

    assert len({digest_of(each) for each in said}) == len(said)
    assert digest_of(entry) == digest_of(an_entry())
