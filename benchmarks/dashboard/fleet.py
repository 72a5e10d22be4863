"""A store of very many installs, written as SQL: to tell it record by record would take hours.

The rows are written into the tables as they were before there were counts, and then the database is
brought up to date: so the counts are those that a migration makes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from packaging.version import Version

from rollout.documents import render_release
from rollout.model import Rollout, RolloutId, RolloutState
from tests.builders import LADDER
from tests.builders import a_release as a_document
from tests.store.values import a_release, a_rollout, an_app
from update_server.service.ports import StoredRelease
from update_server.store import SqlDatabase
from update_server.store.engine import make_engine
from update_server.store.migration import SCRIPTS, migrate

APP: Final = "demo"
NOW: Final = datetime(2026, 11, 22, 3, 7, tzinfo=UTC)
LIVE: Final = 20
"""Rollouts that are live; the newest has every install, the others a thousandth of them."""
CHANNELS: Final = ("stable", *(f"beta{number}" for number in range(1, LIVE)))
PLATFORMS: Final = ("linux-x86_64", "windows-x86_64")

_BEFORE_COUNTS: Final = "0013"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is of what."""

    installs: int = 10_000_000
    crash_reports: int = 200_000
    releases: int = 1_000


@contextmanager
def a_fleet(folder: Path, size: Size) -> Iterator[SqlDatabase]:
    """Give a database in *folder* that holds a fleet of this size."""
    path = folder / "serinus.db"
    url = f"sqlite:///{path}"
    _upgrade(url, _BEFORE_COUNTS)
    database = SqlDatabase(url)
    with database.transaction() as stores:
        stores.apps.add(an_app(APP, channels=CHANNELS, platforms=PLATFORMS))
        for number in range(size.releases):
            rollout = rollout_of(number, size)
            stores.rollouts.add(rollout)
            for platform in PLATFORMS:
                stores.releases.add(_release(rollout, platform))
    database.close()
    _fill(path, size)
    migrate(url)
    database = SqlDatabase(url)
    yield database
    database.close()


def rollouts(size: Size) -> list[RolloutId]:
    """Return the live rollouts, the newest first."""
    return [_id(number) for number in range(size.releases - 1, size.releases - 1 - LIVE, -1)]


def pulled(size: Size) -> RolloutId:
    """Return the rollout that was pulled."""
    return _id(size.releases - 1 - LIVE)


def version_of(number: int) -> Version:
    """Return the version of a release, by its place."""
    return Version(f"1.{number}.0")


def rollout_of(number: int, size: Size) -> Rollout:
    """Return the rollout of a release, by its place. Of those that are live each has a channel."""
    age = size.releases - 1 - number
    state = RolloutState.COMPLETED
    if age < LIVE:
        state = RolloutState.ACTIVE
    elif age == LIVE:
        state = RolloutState.PULLED
    return a_rollout(
        _id(number),
        app=APP,
        channel=CHANNELS[age] if age < LIVE else CHANNELS[0],
        version=version_of(number),
        state=state,
        ladder=LADDER,
        position=1 if age <= LIVE else len(LADDER) - 1,
        started_at=NOW - timedelta(days=2),
        position_reached_at=NOW - timedelta(days=2),
        replacement=version_of(number - 1) if state is RolloutState.PULLED else None,
        changed_at=NOW - timedelta(days=2),
    )


def _release(rollout: Rollout, platform: str) -> StoredRelease:
    document = a_document(version=rollout.version, channel=rollout.channel, platform=platform)
    return a_release(
        app=APP,
        channel=rollout.channel,
        platform=platform,
        version=rollout.version,
        document=render_release(document),
    )


def _id(number: int) -> RolloutId:
    return RolloutId(f"ro_{number:04d}")


def _upgrade(url: str, revision: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


_NUMBERS: Final = (
    "WITH RECURSIVE numbers (n) AS"
    " (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :most) "
)
# One in eight was not heard of for two days; the others within the last 20 hours.
_CONTACTS: Final = """
INSERT INTO contacts (app, install_key, at, channel, platform, version, action, reason, offered,
    self_selected, telemetry, timestamp_version, snapshot_sha256)
SELECT 'demo', CAST(printf('%032d', n) AS BLOB),
    :now - CASE WHEN n % 8 = 0 THEN 48 ELSE n % 20 END * 3600000000, 'stable',
    CASE n % 2 WHEN 0 THEN 'linux-x86_64' ELSE 'windows-x86_64' END,
    '1.' || (:releases - 1 - (n / 7) % :releases) || '.0', 'stay', 'outside_ring', NULL, 0,
    CASE WHEN n % 50 = 0 THEN 'off' ELSE 'crash' END, 1,
    '0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
FROM numbers
"""
_PROGRESS: Final = """
INSERT INTO progress (rollout, install_key, app, ring, arm, steps, last_at)
SELECT :rollout, CAST(printf('%032d', n) AS BLOB), 'demo',
    CASE n % 3 WHEN 0 THEN '1%' WHEN 1 THEN '10%' ELSE 'all' END,
    CASE n % 4 WHEN 0 THEN 'control' ELSE 'candidate' END,
    CASE n % 4 WHEN 0 THEN 1 ELSE 255 >> (n % 5) END, :now - n % 72 * 3600000000
FROM numbers
"""
_CRASH_REPORTS: Final = """
INSERT INTO crash_reports (app, version, signature, handled, report_key, rollout, arm, ring,
    channel, platform, os, first_at, last_at, reports)
SELECT 'demo', '1.' || (:releases - 1 - n % (1 + n % :releases)) || '.0',
    printf('%016x', n % 20 + n % 7 * 100), n % 16 = 0, CAST(printf('%032d', n) AS BLOB),
    printf('ro_%04d', :releases - 1 - n % (1 + n % :releases)),
    CASE n % 4 WHEN 0 THEN 'control' ELSE 'candidate' END, '10%', 'stable',
    CASE n % 2 WHEN 0 THEN 'linux-x86_64' ELSE 'windows-x86_64' END, 'system ' || n % 5,
    :now - n % 2000 * 3600000000, :now - n % 500 * 3600000000, 1 + n % 3
FROM numbers
"""


def _fill(path: Path, size: Size) -> None:
    now = (NOW - _EPOCH) // timedelta(microseconds=1)
    told = {"now": now, "releases": size.releases}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute(_NUMBERS + _CONTACTS, {**told, "most": size.installs})
        few = max(1, size.installs // 1_000)
        for number, rollout in enumerate([*rollouts(size), pulled(size)]):
            most = few if number else size.installs
            connection.execute(_NUMBERS + _PROGRESS, {**told, "most": most, "rollout": rollout})
        connection.execute(_NUMBERS + _CRASH_REPORTS, {**told, "most": size.crash_reports})
        connection.commit()
        connection.execute("PRAGMA journal_mode = WAL")
