from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import InstallId
from tests.public_world import (
    APP,
    CHANNEL,
    ELSEWHERE,
    HIGH_BUCKET,
    LOW_BUCKET,
    NOW,
    PLATFORM,
    World,
    a_world,
    empty_world,
)
from update_server.service.agents.pseudonyms import install_key
from update_server.service.errors import (
    BadTokenError,
    ExpiredTokenError,
    NotReadyError,
    UnknownAppError,
)
from update_server.service.ports import Phase, UnavailableError
from update_server.service.telemetry.ingest import (
    Batch,
    Receipt,
    RejectCode,
    Rejected,
    Report,
    happened_at,
)


@pytest.fixture
def world() -> World:
    return a_world()


def a_report(index: int = 0, **fields: Any) -> Report:
    known: dict[str, Any] = {
        "index": index,
        "id": f"00000000-0000-4000-8000-{index:012}",
        "at": NOW,
        "kind": "update",
        "version": "2.1.0",
        "phase": Phase.APPLIED,
    }
    return Report(**{**known, **fields})


def a_batch(world: World, *reports: Report, **fields: Any) -> Batch:
    known: dict[str, Any] = {
        "install_id": LOW_BUCKET,
        "token": world.check_in().token,
        "reports": reports,
    }
    return Batch(**{**known, **fields})


def test_an_accepted_event_is_in_the_spool_before_it_is_acknowledged(world: World) -> None:
    receipt = world.services.ingest.accept(APP, a_batch(world, a_report(), a_report(1)))

    assert receipt == Receipt(accepted=2)
    assert [event.phase for event in world.taken] == [Phase.APPLIED, Phase.APPLIED]


def test_an_event_bears_the_pseudonym_and_what_the_token_says_of_its_install(world: World) -> None:
    world.services.ingest.accept(APP, a_batch(world, a_report(body={"delta": True})))

    event = world.taken[0]
    pepper = world.tables.secrets.pepper
    assert event.install_key == install_key(pepper, APP, LOW_BUCKET)
    assert (event.channel, event.platform, event.version) == (CHANNEL, PLATFORM, "2.1.0")
    assert event.body == {"delta": True}
    assert event.received_at == NOW


def test_an_install_that_runs_no_release_of_ours_has_no_channel(world: World) -> None:
    world.put_rollout()
    world.refresh()

    world.services.ingest.accept(
        APP, a_batch(world, a_report(), token=world.check_in(version=None).token)
    )

    assert world.taken[0].channel is None


def test_a_full_disk_acknowledges_nothing(world: World) -> None:
    batch = a_batch(world, a_report())
    world.spool.full = True

    with pytest.raises(UnavailableError):
        world.services.ingest.accept(APP, batch)


def test_another_installs_token_takes_nothing_in(world: World) -> None:
    token = world.check_in(HIGH_BUCKET).token

    with pytest.raises(BadTokenError):
        world.services.ingest.accept(APP, a_batch(world, a_report(), token=token))
    assert world.taken == []


def test_an_expired_token_takes_nothing_in(world: World) -> None:
    batch = a_batch(world, a_report())
    world.advance(timedelta(days=121).total_seconds())

    with pytest.raises(ExpiredTokenError):
        world.services.ingest.accept(APP, batch)
    assert world.taken == []


def test_an_unknown_app_is_named(world: World) -> None:
    with pytest.raises(UnknownAppError) as caught:
        world.services.ingest.accept("nope", a_batch(world, a_report()))
    assert caught.value.app == "nope"


def test_a_process_that_has_read_nothing_takes_nothing_in() -> None:
    world = empty_world()

    with pytest.raises(NotReadyError):
        world.services.ingest.accept(APP, Batch(install_id=LOW_BUCKET, token="x", reports=()))


def test_events_are_taken_in_after_the_lease_and_without_a_database(world: World) -> None:
    batch = a_batch(world, a_report())
    world.database.is_down = True
    world.advance(3_600)

    assert world.services.ingest.accept(APP, batch).accepted == 1


def test_an_old_event_is_refused_by_index_and_the_others_are_taken(world: World) -> None:
    old = a_report(0, at=NOW - timedelta(days=31))
    earlier = Rejected(index=1, code=RejectCode.BAD_FIELD, field="at")

    receipt = world.services.ingest.accept(
        APP, a_batch(world, old, a_report(2), rejected=(earlier,))
    )

    assert receipt.accepted == 1
    assert [(one.index, one.code) for one in receipt.rejected] == [
        (0, RejectCode.TOO_OLD),
        (1, RejectCode.BAD_FIELD),
    ]


def test_a_batch_without_one_good_event_is_no_work_for_the_spool(world: World) -> None:
    batch = a_batch(world, a_report(at=NOW - timedelta(days=31)))
    world.spool.full = True

    assert world.services.ingest.accept(APP, batch).accepted == 0


def test_a_wrong_clock_is_corrected_by_when_it_sent(world: World) -> None:
    behind = timedelta(days=400)
    report = a_report(at=NOW - behind - timedelta(hours=1))

    world.services.ingest.accept(APP, a_batch(world, report, sent_at=NOW - behind))

    assert world.taken[0].at == NOW - timedelta(hours=1)


class TestWhenAnEventHappened:
    def test_thirty_days_are_the_limit(self) -> None:
        limit = NOW - timedelta(days=30)

        assert happened_at(limit, received_at=NOW, sent_at=None) == limit
        assert happened_at(limit - timedelta(seconds=1), received_at=NOW, sent_at=None) is None

    def test_five_minutes_ahead_are_believed_and_more_becomes_the_receipt(self) -> None:
        ahead = NOW + timedelta(minutes=5)

        assert happened_at(ahead, received_at=NOW, sent_at=None) == ahead
        assert happened_at(ahead + timedelta(seconds=1), received_at=NOW, sent_at=None) == NOW

    @pytest.mark.parametrize(
        ("at", "sent_at"),
        [
            (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
            (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)),
            (datetime.max.replace(tzinfo=UTC), None),
            (datetime.min.replace(tzinfo=UTC), None),
        ],
    )
    def test_the_ends_of_the_calendar_are_times_like_others(
        self, at: datetime, sent_at: datetime | None
    ) -> None:
        assert happened_at(at, received_at=NOW, sent_at=sent_at) in {None, NOW}


# --- set aside ------------------------------------------------------------------------------


def a_session(index: int = 0, **fields: Any) -> Report:
    body = fields.pop("body", {"sid": f"s{index}", "status": "exited"})
    known = {"kind": "session", "phase": None, "version": "2.0.0", "body": body}
    return a_report(index, **{**known, **fields})


def asides(world: World) -> list[str]:
    return [event.quarantine for event in world.taken]


def test_what_an_install_runs_and_is_offered_is_not_set_aside(world: World) -> None:
    reports = [a_session(), a_session(1, version="2.1.0"), a_report(2)]

    world.services.ingest.accept(APP, a_batch(world, *reports))

    assert asides(world) == ["", "", ""]


def test_a_control_that_was_updated_by_hand_tells_of_it_before_it_checks_in(world: World) -> None:
    """A candidate may tell of that version, too: setting it aside would hit one arm."""
    token = world.check_in(HIGH_BUCKET).token
    reports = [a_session(version="2.1.0"), a_report(1, kind="crash", phase=None)]
    batch = a_batch(world, *reports, token=token, install_id=HIGH_BUCKET)

    world.services.ingest.accept(APP, batch)

    assert asides(world) == ["", ""]


@pytest.mark.parametrize("install", [LOW_BUCKET, HIGH_BUCKET])
def test_a_version_of_another_channel_is_accepted_and_set_aside_in_both_arms(
    world: World, install: InstallId
) -> None:
    world.put_release_elsewhere()
    token = world.check_in(install).token
    session = a_session(version=str(ELSEWHERE))
    batch = a_batch(world, session, token=token, install_id=install)

    receipt = world.services.ingest.accept(APP, batch)

    assert receipt == Receipt(accepted=1)
    assert asides(world) == ["version_not_in_token"]


def test_a_version_that_nobody_published_is_set_aside(world: World) -> None:
    reports = [a_session(version="7.7.7"), a_report(1, kind="crash", phase=None, version="7.7.7")]

    world.services.ingest.accept(APP, a_batch(world, *reports))

    assert asides(world) == ["unknown_version"] * 2


def test_steps_of_an_update_are_never_set_aside(world: World) -> None:
    """Only candidates take any: a mistake there would hit one arm."""
    token = world.check_in(HIGH_BUCKET).token
    batch = a_batch(world, a_report(), token=token, install_id=HIGH_BUCKET)

    world.services.ingest.accept(APP, batch)

    assert asides(world) == [""]


def test_an_install_that_runs_no_release_of_ours_may_tell_of_it(world: World) -> None:
    token = world.check_in(version=Version("1.9.9")).token

    world.services.ingest.accept(APP, a_batch(world, a_session(version="1.9.9"), token=token))

    assert asides(world) == [""]


def test_more_starts_in_an_hour_than_can_be_are_set_aside(world: World) -> None:
    reports = [a_session(index) for index in range(203)]

    world.services.ingest.accept(APP, a_batch(world, *reports))

    assert asides(world) == [""] * 200 + ["implausible"] * 3


@pytest.mark.parametrize("status", ["crashed", "abnormal"])
def test_a_release_that_crashes_on_and_on_has_no_starts_set_aside(
    world: World, status: str
) -> None:
    """Candidates alone would be hit, and the rollout suspended that is to be pulled."""
    loop = [a_session(index, body={"sid": f"s{index}", "status": status}) for index in range(300)]

    world.services.ingest.accept(APP, a_batch(world, *loop, a_session(300)))

    assert asides(world) == [""] * 301


def test_starts_are_counted_in_the_hour_in_which_they_were(world: World) -> None:
    """An install that was offline tells of a week at once; its clock may be wrong."""
    began = NOW - timedelta(days=3)
    bodies = [
        {"sid": f"s{index}", "started": (began - timedelta(minutes=index)).isoformat()}
        for index in range(300)
    ]
    reports = [
        a_session(index, at=NOW - timedelta(days=3), body=body) for index, body in enumerate(bodies)
    ]

    world.services.ingest.accept(APP, a_batch(world, *reports))

    assert set(asides(world)) == {""}


@pytest.mark.parametrize("started", ["soon", "2026-11-22T02:00:00", "0001-01-01T00:00:00Z", 7])
def test_a_start_that_says_nothing_of_its_time_is_one_of_now(world: World, started: Any) -> None:
    body = {"sid": "s", "started": started}

    world.services.ingest.accept(APP, a_batch(world, a_session(body=body)))

    assert asides(world) == [""]


# --- notes ----------------------------------------------------------------------------------


def notes(world: World) -> list[tuple[str, Any]]:
    return [(note.kind, note.body["counts"]) for note in world.noted]


def test_what_is_not_taken_is_noted_by_its_code(world: World) -> None:
    rejected = [
        Rejected(index=2, code=RejectCode.BAD_FIELD),
        Rejected(index=3, code=RejectCode.BAD_FIELD),
    ]
    old = a_report(1, at=NOW - timedelta(days=31))

    world.services.ingest.accept(APP, a_batch(world, a_report(), old, rejected=rejected))

    assert notes(world) == [("rejected", {"bad_field": 2, "too_old": 1})]


def test_what_is_taken_is_noted_by_nothing(world: World) -> None:
    world.services.ingest.accept(APP, a_batch(world, a_report()))

    assert notes(world) == []


def test_a_batch_that_is_refused_is_noted(world: World) -> None:
    token = world.check_in(HIGH_BUCKET).token
    with pytest.raises(BadTokenError):
        world.services.ingest.accept(APP, a_batch(world, a_report(), a_report(1), token=token))
    batch = a_batch(world, a_report())
    world.advance(timedelta(days=121).total_seconds())
    with pytest.raises(ExpiredTokenError):
        world.services.ingest.accept(APP, batch)

    assert notes(world) == [("rejected", {"bad_token": 2}), ("rejected", {"expired_token": 1})]


def test_clocks_are_noted_once_the_minute_is_over(world: World) -> None:
    for seconds in (0, 61, -3):
        sent_at = world.clock.now() - timedelta(seconds=seconds)
        world.services.ingest.accept(APP, a_batch(world, a_report(), sent_at=sent_at))
    before = notes(world)
    world.advance(60)
    world.services.ingest.accept(APP, a_batch(world, a_report(), sent_at=world.clock.now()))

    assert before == []
    assert notes(world) == [("clock", {"0": 1, "60": 1, "-2": 1})]
