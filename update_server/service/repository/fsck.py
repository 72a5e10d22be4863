"""Whether storage, journal, signed documents and database agree. Reads only.

It may run beside a server: an app that changes while it is looked at is looked at again.

Not here: repairing. What a crash left behind ``service.repository.reconcile`` ends by
itself; a lost database ``service.repository.rebuild`` brings back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from signing.errors import SigningError
from signing.journal import TIMESTAMP_PATH, Journal, load_journal
from update_server.service.agents.placement import (
    has,
    is_document,
    offered_to_all,
    private_key,
    public_key,
    stored_path,
)
from update_server.service.errors import InexpressibleError, NotRegisteredError
from update_server.service.ports import (
    App,
    Blobs,
    ChangedError,
    Clock,
    Database,
    JournalRow,
    NotFoundError,
    StoredTarget,
    Stores,
)
from update_server.service.repository.contents import SignedContents, read_contents
from update_server.service.repository.desired import desired_for
from update_server.service.repository.storage import newest_metadata, stored_apps, verified

_PAGE_ROWS: Final = 100
_CHUNK_BYTES: Final = 1 << 20
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that does not agree. ``app`` is empty when it is no app's."""

    app: str
    code: str
    detail: str


class Fsck:
    """Looks at everything."""

    def __init__(
        self, database: Database, blobs: Blobs, clock: Clock, *, next_check_in_seconds: int
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._next_check_in_seconds = next_check_in_seconds

    def check(self) -> tuple[Finding, ...]:
        """Return all that does not agree; nothing when all is well."""
        with self._database.reading() as stores:
            apps = [app.name for app in stores.apps.all()]
        findings = list(self._audit())
        for app in apps:
            findings += self._settled(app)
        for app in stored_apps(self._blobs):
            if app not in apps:
                detail = "it is in storage, and not in the database"
                findings.append(Finding(app=app, code="unknown_app", detail=detail))
        return tuple(findings)

    def _audit(self) -> Iterator[Finding]:
        try:
            with self._database.reading() as stores:
                stores.audit.verify()
        except ChangedError as error:
            yield Finding(app="", code="audit_broken", detail=f"record {error.key} was altered")

    def _settled(self, app: str) -> list[Finding]:
        """Look until all is well, or nothing moved meanwhile."""
        findings: list[Finding] = []
        for _ in range(_LOOKS):
            before = self._mark(app)
            findings = list(self._app(app))
            if not findings or self._mark(app) == before:
                break
        return findings

    def _mark(self, app: str) -> tuple[int, int]:
        with self._database.reading() as stores:
            waiting = sum(row.app == app for row in stores.journal.unpublished())
            return stores.apps.get(app).generation, waiting

    def _app(self, name: str) -> Iterator[Finding]:
        # 1. Every published state is in storage, byte for byte. 2. Agents can verify the
        # newest one. 3. The database knows what it says. 4. The files of releases are in
        # place. 5. What is wanted is what is signed.
        with self._database.reading() as stores:
            app = stores.apps.get(name)
            newest = _newest(stores, name)
        if not app.registered:
            return
        if newest is None:
            yield Finding(app=name, code="no_journal", detail="nothing was ever published")
            return
        yield from self._states(name, newest)  # 1
        try:
            # Whether it has expired meanwhile is not asked here: serinus doctor says that.
            report = verified(name, self._blobs, newest.created_at)  # 2
            contents = read_contents(name, newest_metadata(name, self._blobs))
        except SigningError as error:
            yield Finding(app=name, code="untrusted", detail=str(error))
            return
        for found in report.findings:
            yield Finding(app=name, code="untrusted", detail=f"{found.subject}: {found.detail}")
        with self._database.reading() as stores:
            yield from _known(stores, name, contents)  # 3
            yield from self._wanted(stores, app)  # 5
            targets = stores.releases.targets(name)
        offered = offered_to_all(contents.documents)
        for target in targets:
            yield from self._file(target, is_public=_is_public(target, offered))  # 4

    def _states(self, app: str, newest: JournalRow) -> Iterator[Finding]:
        after_id = 0
        while True:
            with self._database.reading() as stores:
                rows = stores.journal.page(app, after_id=after_id, limit=_PAGE_ROWS)
            for row in rows:
                yield from self._state(row, is_newest=row.id == newest.id)
            if len(rows) < _PAGE_ROWS:
                return
            after_id = rows[-1].id

    def _state(self, row: JournalRow, *, is_newest: bool) -> Iterator[Finding]:
        label = f"state {row.timestamp_version}"
        if row.published_at is None:
            yield Finding(app=row.app, code="unpublished", detail=f"{label} waits")
            return
        try:
            journal = load_journal(row.body)
        except SigningError as error:
            yield Finding(app=row.app, code="bad_journal", detail=f"{label}: {error}")
            return
        yield from self._writes(journal, is_newest=is_newest)

    def _writes(self, journal: Journal, *, is_newest: bool) -> Iterator[Finding]:
        for write in journal.writes:
            if write.path == TIMESTAMP_PATH and not is_newest:
                continue  # written over by the next state
            try:
                data = self._blobs.read(public_key(journal.app, write.path))
            except NotFoundError:
                yield Finding(app=journal.app, code="missing_file", detail=write.path)
                continue
            if data != write.data:
                yield Finding(app=journal.app, code="changed_file", detail=write.path)

    def _file(self, target: StoredTarget, *, is_public: bool) -> Iterator[Finding]:
        path = stored_path(target)
        keys = [public_key(target.app, path)]
        if not is_public:
            keys.append(private_key(target.app, path))
        key = next((key for key in keys if has(self._blobs, key, target.length_bytes)), None)
        if key is None:
            yield Finding(app=target.app, code="missing_file", detail=target.path)
        elif self._digest(key) != target.sha256:
            yield Finding(app=target.app, code="changed_file", detail=target.path)

    def _digest(self, key: str) -> str:
        digest = hashlib.sha256()
        with self._blobs.open(key) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def _wanted(self, stores: Stores, app: App) -> Iterator[Finding]:
        for channel in app.channels:
            try:
                wanted = desired_for(
                    stores, app.name, channel, self._clock.now(), self._next_check_in_seconds
                )
            except NotRegisteredError:
                continue  # a channel that was announced, and not signed yet
            except InexpressibleError as error:
                yield Finding(app=app.name, code="inexpressible", detail=str(error))
                continue
            if not wanted.in_force:
                detail = f"the rollout document of {channel!r} is not what is wanted"
                yield Finding(app=app.name, code="not_in_force", detail=detail)


def _newest(stores: Stores, app: str) -> JournalRow | None:
    try:
        return stores.journal.newest(app)
    except NotFoundError:
        return None


def _known(stores: Stores, app: str, contents: SignedContents) -> Iterator[Finding]:
    """Compare what is signed and published with what the database has of it."""
    stored = {(each.channel, each.kind): each for each in stores.releases.documents(app)}
    for document in contents.documents:
        if stored.get((document.channel, document.kind)) != document:
            detail = f"the database has another {document.kind} for {document.channel!r}"
            yield Finding(app=app, code="other_document", detail=detail)
    releases = {(r.channel, r.platform, r.version): r.document for r in stores.releases.all(app)}
    for signed in contents.releases:
        release = signed.release
        if releases.get((release.channel, release.platform, release.version)) != signed.document:
            detail = f"{release.channel}/{release.platform}/{release.version}"
            yield Finding(app=app, code="other_release", detail=detail)
    targets = {target.path: target for target in stores.releases.targets(app)}
    for target in contents.targets:
        if targets.get(target.path) != target:
            yield Finding(app=app, code="other_target", detail=target.path)


def _is_public(target: StoredTarget, offered: frozenset[tuple[str, Version]]) -> bool:
    if is_document(target) or target.release is None:
        return True
    channel, _, version = target.release
    return (channel, Version(version)) in offered
