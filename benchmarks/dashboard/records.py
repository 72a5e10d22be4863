"""What a server keeps beside installs: what the judge found, what arrived, and who did what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks.dashboard.fleet import (
    APP,
    CHANNELS,
    NOW,
    PLATFORMS,
    Size,
    pulled,
    rollout_of,
    rollouts,
    version_of,
)
from rollout.compose import document_for
from rollout.documents import render_policy, render_rollout
from rollout.model import RolloutId
from tests.admin_world import a_released_world
from tests.builders import LADDER, a_policy
from tests.service.clinic import PAUSES, Clinic, a_clinic, sicken
from tests.store.crash_values import a_group, a_sample
from tests.store.values import a_document, an_app
from update_server.service.ports import Stores
from update_server.service.ports.arrivals import Arrived
from update_server.service.ports.outbox import Alert, Level, Message
from update_server.service.ports.series import VersionDay
from update_server.store import SqlDatabase

POINTS: Final = 200
DECISIONS: Final = 100
AUDITED: Final = 1_000
DAYS: Final = 28
SIGNATURES: Final = 720
VERSIONS_A_DAY: Final = 40
SAMPLES: Final = 10
FRAMES: Final = 40
_ARRIVING: Final = ("check_in", "crash", "session", "update")


def furnish(database: SqlDatabase, size: Size, folder: Path) -> None:
    """Put all of it into *database*; real studies are made in *folder*."""
    judged = _judged(folder)
    with database.transaction() as stores:
        stores.apps.update(an_app(APP, channels=CHANNELS, platforms=PLATFORMS, registered=True))
        _sign(stores, size)
        for rollout in [*rollouts(size), pulled(size)]:
            _judge(stores, rollout, judged)
            _alarm(stores, rollout)
        _crash(stores, size)
        _arrive(stores)
        _count_days(stores, size)
        for number in range(AUDITED):
            stores.audit.append(
                at=NOW - timedelta(days=1),
                actor="ada",
                action="rollout.pause",
                app=APP,
                subject=rollouts(size)[number % 20],
                reason="more crashes than there should be",
            )


def _judged(folder: Path) -> Clinic:
    """Return a release that a judge paused, in memory."""
    clinic = a_clinic(a_released_world(folder / "judged"), terms=PAUSES)
    sicken(clinic)
    clinic.round()
    clinic.world.advance(700)
    clinic.round()
    return clinic


def _sign(stores: Stores, size: Size) -> None:
    for age, channel in enumerate(CHANNELS):
        policy = a_policy(channel=channel, ramp=LADDER)
        known = [rollout_of(size.releases - 1 - age, size)]
        if age == 0:
            older = range(max(0, size.releases - 60), size.releases - len(CHANNELS))
            known = [*(rollout_of(number, size) for number in older), *known]
        signed = document_for(policy, known, (), now=NOW, next_check_in_seconds=14_400)
        texts = {"policy": render_policy(policy), "rollout": render_rollout(signed)}
        for kind, text in texts.items():
            stores.releases.put_document(
                a_document(app=APP, channel=channel, kind=kind, document=text)
            )


def _judge(stores: Stores, rollout: RolloutId, judged: Clinic) -> None:
    of = judged.rollout.id
    with judged.world.database.reading() as played:
        stores.studies.add(replace(played.studies.get(of), rollout=rollout, app=APP))
        stores.studies.add_log(rollout, played.studies.whole_log(of))
        points = played.series.points(of)
    for number in range(POINTS):
        point = points[number % len(points)]
        at = NOW - timedelta(hours=48) * (POINTS - number) / POINTS
        stores.series.add_point(rollout, replace(point, number=number + 1, at=at))
    found = judged.decisions
    for number in range(DECISIONS):
        decision = found[number % len(found)]
        at = NOW - timedelta(hours=48) * (DECISIONS - number) / DECISIONS
        name = f"de_{rollout}_{number}"
        stores.decisions.add(replace(decision, id=name, rollout=rollout, app=APP, at=at))


def _alarm(stores: Stores, rollout: RolloutId) -> None:
    message = Message(
        id=f"msg_{rollout}",
        at=NOW,
        type="serinus.rollout.paused",
        level=Level.PAGES,
        subject="PAUSED",
        text="Paused.",
        sentence="Paused.",
        app=APP,
        rollout=rollout,
    )
    stores.outbox.add(message)
    stores.alerts.open(
        Alert(
            id=f"al_{rollout}",
            app=APP,
            rollout=rollout,
            ring=LADDER[1].ring,
            reason="paused",
            message=message.id,
            opened_at=NOW,
        )
    )


def _crash(stores: Stores, size: Size) -> None:
    names = stores.crashes.worst(APP, limit=SIGNATURES)
    stores.crashes.note_groups([a_group(name, app=APP) for name in names])
    frames = [
        {"module": "notes.editing", "function": f"function_{number}", "line": number}
        for number in range(FRAMES)
    ]
    newest = str(version_of(size.releases - 1))
    [worst] = stores.crashes.worst(APP, version=newest, limit=1)
    stores.crashes.add_samples(
        [
            a_sample(
                f"e{number}",
                app=APP,
                version=newest,
                signature=worst,
                report_key=str(number).encode(),
                body={"exception": {"type": "ValueError"}, "frames": frames},
            )
            for number in range(SAMPLES)
        ]
    )


def _arrive(stores: Stores) -> None:
    stores.arrivals.add(
        [
            Arrived(app=APP, minute=NOW - timedelta(minutes=number), kind=kind, events=9)
            for number in range(2_880)
            for kind in _ARRIVING
        ]
    )


def _count_days(stores: Stores, size: Size) -> None:
    today = int(NOW.timestamp()) // 86_400
    for day in range(today - DAYS, today):
        stores.series.put_day(day, list(_days(day, size)))


def _days(day: int, size: Size) -> Iterator[VersionDay]:
    for age in range(min(size.releases, VERSIONS_A_DAY)):
        version = str(version_of(size.releases - 1 - age))
        installs = size.installs // VERSIONS_A_DAY
        yield VersionDay(app=APP, day=day, channel=CHANNELS[0], version=version, installs=installs)
