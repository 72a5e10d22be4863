"""Keep the tables of this process fresh: read what changed, confirm what did not.

One ``refresh`` costs one short read. Only apps whose generation moved are built anew, off
the request path. Whatever fails is not confirmed, so its lease runs out and nothing of it
is offered: failing here is failing closed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import Version

from rollout.documents import parse_policy, parse_release, parse_rollout
from rollout.errors import RolloutError
from rollout.model import Documents, Reason, RolloutId, RolloutState
from update_server.service.agents.placement import is_document
from update_server.service.agents.table import (
    AppTable,
    ChannelTable,
    Held,
    KnownFile,
    KnownRelease,
    Membership,
    Secrets,
    Tables,
)
from update_server.service.agents.tokens import TokenKeys
from update_server.service.ports import (
    App,
    Clock,
    Database,
    NotFoundError,
    StoredDocument,
    StoredRelease,
    StoredTarget,
    Stores,
)
from update_server.service.studies.codec import decode_settings

_log = logging.getLogger(__name__)

PEPPER = "pepper"
TOKEN_KEY = "token-mac-1"  # noqa: S105 - the name of a secret

# Four looks fit into a lease, so that one slow read does not stop the offers.
_LOOKS_PER_LEASE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What one refresh did. *failed* apps keep their old table, unconfirmed."""

    rebuilt: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def ensure_secrets(database: Database, new_secret: Callable[[], bytes]) -> None:
    """Store the server's own keys if this is the first process that needs them."""
    with database.transaction() as stores:
        for name in (PEPPER, TOKEN_KEY):
            try:
                stores.access.secret(name)
            except NotFoundError:
                stores.access.add_secret(name, new_secret())


class Refresher:
    """Reads the database for ``Tables``, from one thread."""

    def __init__(self, database: Database, tables: Tables, clock: Clock) -> None:
        self._database = database
        self._tables = tables
        self._clock = clock

    def refresh(self) -> Refreshed:
        """Look once. Whatever the database raises goes through; then nothing was confirmed."""
        # Taken before the read: a change that the read did not see is younger than this.
        asked_at = self._clock.monotonic()
        known = self._tables.all()
        held: dict[str, Held] = {}
        rebuilt: list[str] = []
        failed: list[str] = []
        with self._database.reading() as stores:
            secrets = _read_secrets(stores)
            for name, generation in stores.apps.generations().items():
                old = known.get(name)
                if old is not None and old.table.generation == generation:
                    held[name] = Held(old.table, asked_at)
                    continue
                try:
                    table = build_table(stores, name, old.table if old else None)
                except RolloutError:
                    _log.exception("the table of an app cannot be built", extra={"app": name})
                    failed.append(name)
                    if old is not None:
                        held[name] = old
                    continue
                held[name] = Held(table, asked_at)
                rebuilt.append(name)
        self._tables.replace(held, secrets)
        return Refreshed(rebuilt=tuple(rebuilt), failed=tuple(failed))

    def run(self, stop: threading.Event) -> None:
        """Refresh until *stop* is set. A failure is logged when it begins and when it ends."""
        pause_seconds = self._tables.lease_seconds / _LOOKS_PER_LEASE
        failing = False
        while not stop.is_set():
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - the thread must outlive every outage
                # The lease is what fails closed.
                if not failing:
                    _log.exception("tables could not be confirmed")
                failing = True
            else:
                if failing:
                    _log.warning("tables are confirmed again")
                failing = False
            stop.wait(pause_seconds)


def build_table(stores: Stores, name: str, previous: AppTable | None = None) -> AppTable:
    """Read all that is needed to answer for the app *name*.

    Release documents never change, so those of *previous* are not parsed again.

    Raises:
        RolloutError: A stored document is not what was once admitted.
    """
    app = stores.apps.get(name)
    releases = known_releases(stores.releases.all(name), previous)
    documents = {(d.channel, d.kind): d for d in stores.releases.documents(name)}
    rates = _rates(stores, name)
    return AppTable(
        name=name,
        number=app.number,
        generation=app.generation,
        channels=app.channels,
        platforms=app.platforms,
        timestamp_version=_timestamp_version(stores, name),
        by_channel={
            channel: channel_table(app, documents, releases, channel, rates)
            for channel in app.channels
            if (channel, "policy") in documents
        },
        releases=releases,
        by_number={
            known.number: known.release for each in releases.values() for known in each.values()
        },
        files=_files(stores.releases.targets(name)),
        pulled=frozenset(
            (rollout.channel, rollout.version)
            for rollout in stores.rollouts.of_app(name)
            if rollout.state is RolloutState.PULLED
        ),
        members={
            enrolment.sha256: Membership(group=enrolment.group, install_key=enrolment.install_key)
            for enrolment in stores.access.enrolments(name)
        },
        settings=stores.settings.get(name),
    )


def _read_secrets(stores: Stores) -> Secrets:
    return Secrets(
        pepper=stores.access.secret(PEPPER),
        tokens=TokenKeys.of(stores.access.secret(TOKEN_KEY)),
    )


def known_releases(
    found: Iterable[StoredRelease], previous: AppTable | None = None
) -> Mapping[tuple[str, str], Mapping[Version, KnownRelease]]:
    """Return releases by channel and platform. See ``build_table`` for *previous*."""
    releases: dict[tuple[str, str], dict[Version, KnownRelease]] = {}
    for stored in found:
        key = (stored.channel, stored.platform)
        old = previous.releases.get(key, {}).get(stored.version) if previous else None
        if old is None or old.document != stored.document:
            old = KnownRelease(
                number=stored.number,
                document=stored.document,
                release=parse_release(stored.document),
            )
        releases.setdefault(key, {})[stored.version] = old
    return releases


def channel_table(
    app: App,
    documents: Mapping[tuple[str, str], StoredDocument],
    releases: Mapping[tuple[str, str], Mapping[Version, KnownRelease]],
    channel: str,
    rates: Mapping[RolloutId, int],
) -> ChannelTable:
    """Return the table of a channel that has a signed policy among *documents*."""
    stored_policy = documents[channel, "policy"]
    stored_rollout = documents.get((channel, "rollout"))
    policy = parse_policy(stored_policy.document)
    rollout = parse_rollout(stored_rollout.document) if stored_rollout else None
    return ChannelTable(
        policy=policy,
        policy_expires_at=stored_policy.expires_at,
        rollout=rollout,
        rollout_expires_at=stored_rollout.expires_at if stored_rollout else None,
        documents={
            platform: Documents(
                policy=policy,
                rollout=rollout,
                rollout_missing=Reason.NO_RELEASE,
                releases={
                    version: known.release
                    for version, known in releases.get((channel, platform), {}).items()
                },
            )
            for platform in app.platforms
        },
        offers_per_minute=rates,
    )


def _rates(stores: Stores, app: str) -> Mapping[RolloutId, int]:
    """Return how many offers a minute the live rollouts that bound them make."""
    rates = {
        head.rollout: decode_settings(head.settings).offers_per_minute
        for head in stores.studies.live()
        if head.app == app
    }
    return {rollout: rate for rollout, rate in rates.items() if rate}


def _files(targets: Sequence[StoredTarget]) -> Mapping[str, KnownFile]:
    files: dict[str, KnownFile] = {}
    for target in targets:
        channel, version = None, None
        # A pull takes back what may run. Documents say what was signed, and stay.
        if target.release is not None and not is_document(target):
            channel, version = target.release[0], Version(target.release[2])
        folder, _, name = target.path.rpartition("/")
        hashed = f"{folder}/{target.sha256}.{name}" if folder else f"{target.sha256}.{name}"
        files[target.path] = files[hashed] = KnownFile(
            path=hashed,
            sha256=target.sha256,
            length_bytes=target.length_bytes,
            channel=channel,
            version=version,
        )
    return files


def _timestamp_version(stores: Stores, app: str) -> int:
    try:
        return stores.journal.newest(app).timestamp_version
    except NotFoundError:
        return 0
