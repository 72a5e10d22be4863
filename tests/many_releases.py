"""An app with many releases and twenty live rollouts, put straight into a database's tables.

Nobody signed it: it is for how often a database is asked, and how long answers take.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from packaging.version import Version

from rollout.compose import document_for
from rollout.documents import render_policy, render_release, render_rollout
from rollout.model import Arm, Rollout, RolloutId, RolloutState
from tests.builders import LADDER, a_policy
from tests.builders import a_release as a_release_document
from tests.store import crash_values, values
from update_server.service.agents.refresh import ensure_secrets
from update_server.service.ports import Database, Event, Phase, Stores
from update_server.service.ports.crashes import Cell
from update_server.service.ports.outbox import Alert, Level, Message
from update_server.store import SqlDatabase

APP: Final = "demo"
SIZES: Final = (10, 1_000)
LIVE: Final = 20
CHANNELS: Final = ("stable", *(f"beta{number}" for number in range(1, LIVE)))
PLATFORMS: Final = ("linux-x86_64", "windows-x86_64")
NEWEST: Final = RolloutId("ro_stable")
AT: Final = values.NOW.replace(microsecond=0)


@contextmanager
def databases(migrated: Path, folder: Path) -> Iterator[dict[int, SqlDatabase]]:
    """Make a database in *folder* for each of ``SIZES``, with so many releases."""
    found = {}
    for size in SIZES:
        path = folder / f"releases_{size}.db"
        shutil.copy(migrated, path)
        found[size] = SqlDatabase(f"sqlite:///{path}")
        with found[size].transaction() as stores:
            stores.apps.add(values.an_app(APP))
        fill(found[size], size)
        ensure_secrets(found[size], lambda: b"s" * 32)
    yield found
    for database in found.values():
        database.close()


def fill(database: Database, releases: int) -> None:
    """Make the app: *releases* on the first channel, and a live rollout on each."""
    with database.transaction() as stores:
        stores.apps.update(
            values.an_app(APP, channels=CHANNELS, platforms=PLATFORMS, registered=True)
        )
        for number in range(1, releases):
            _release(stores, "stable", Version(f"1.{number}.0"))
        for channel in CHANNELS:
            _release(stores, channel, Version("2.0.0"))
            rollouts = [live_on(channel)]
            if channel == "stable":
                rollouts = [*(_completed(number) for number in range(1, releases)), *rollouts]
            _channel(stores, channel, rollouts)
        for live in map(live_on, CHANNELS):
            _looked_at(stores, live)
        for number in range(releases):
            stores.audit.append(
                at=AT, actor="ada", action="rollout.pause", app=APP, subject=f"ro_past{number}"
            )
        stores.audit.append(at=AT, actor="ada", action="rollout.start", app=APP, subject=NEWEST)


def live_on(channel: str) -> Rollout:
    """Return the rollout that is live on *channel*."""
    return values.a_rollout(
        f"ro_{channel}",
        channel=channel,
        version=Version("2.0.0"),
        ladder=LADDER,
        position=1,
        started_at=AT,
        position_reached_at=AT,
        changed_at=AT,
    )


def _completed(number: int) -> Rollout:
    return replace(
        live_on("stable"),
        id=RolloutId(f"ro_past{number}"),
        version=Version(f"1.{number}.0"),
        state=RolloutState.COMPLETED,
        position=len(LADDER) - 1,
        started_at=AT - timedelta(days=1),
    )


def _release(stores: Stores, channel: str, version: Version) -> None:
    for platform in PLATFORMS:
        document = a_release_document(version=version, channel=channel, platform=platform)
        stores.releases.add(
            values.a_release(
                channel=channel,
                platform=platform,
                version=version,
                document=render_release(document),
                admitted_at=AT - timedelta(days=2),
            )
        )


def _channel(stores: Stores, channel: str, rollouts: Iterable[Rollout]) -> None:
    known = list(rollouts)
    for rollout in known:
        stores.rollouts.add(rollout)
    policy = a_policy(channel=channel, ramp=LADDER)
    signed = document_for(policy, known, (), now=AT, next_check_in_seconds=14_400)
    for kind, document in (("policy", render_policy(policy)), ("rollout", render_rollout(signed))):
        stores.releases.put_document(
            values.a_document(channel=channel, kind=kind, document=document)
        )


def _looked_at(stores: Stores, rollout: Rollout) -> None:
    """Let installs tell of *rollout*, the judge decide on it, and people be alarmed."""
    ring = rollout.ladder[rollout.position].ring
    cell = Cell(rollout=rollout.id, ring=ring, arm=Arm.CANDIDATE)
    stores.telemetry.absorb(
        [
            values.a_contact(
                f"{rollout.channel}{arm}",
                channel=rollout.channel,
                rollout=rollout.id,
                ring=ring,
                arm=arm,
                version="2.0.0",
            )
            for arm in (Arm.CANDIDATE, Arm.CONTROL)
        ],
        list(_steps(rollout)),
    )
    signature = f"sig{rollout.channel}"
    stores.crashes.note_groups([crash_values.a_group(signature)])
    stores.crashes.note(
        [
            crash_values.a_report(
                rollout.channel,
                version="2.0.0",
                signature=signature,
                channel=rollout.channel,
                cell=cell,
            )
        ]
    )
    for number in range(3):
        stores.decisions.add(
            values.a_decision(
                f"de_{rollout.channel}_{number}",
                rollout=rollout.id,
                verdict="continue",
                record={
                    "no_verdict": None,
                    "sentence": "Nothing speaks against it.",
                    "contested": False,
                    "log_e_by_metric": {"crash": {"log_e": 0.1, "needed": 5.8}},
                },
            )
        )
    message = Message(
        id=f"msg_{rollout.channel}",
        at=AT,
        type="serinus.rollout.paused",
        level=Level.PAGES,
        subject="PAUSED",
        text="Paused.",
        sentence="Paused.",
        app=APP,
        rollout=rollout.id,
    )
    stores.outbox.add(message)
    stores.alerts.open(
        Alert(
            id=f"al_{rollout.channel}",
            app=APP,
            rollout=rollout.id,
            ring=ring,
            reason="paused",
            message=message.id,
            opened_at=AT,
        )
    )


def _steps(rollout: Rollout) -> Iterator[Event]:
    for phase in (Phase.OFFERED, Phase.APPLIED):
        yield values.an_event(
            f"{rollout.channel}{Arm.CANDIDATE}",
            f"{rollout.channel}{phase}",
            kind="update",
            version="2.0.0",
            phase=phase,
            channel=rollout.channel,
        )
