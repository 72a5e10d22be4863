"""Admitted releases, the files that they name, and the newest signed documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from packaging.version import Version
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.engine import Row

from update_server.service.ports import (
    ChangedError,
    ExistsError,
    StoredDocument,
    StoredRelease,
    StoredTarget,
)
from update_server.store.rows import insert_new, one, require_app, upsert
from update_server.store.tables import documents, releases, targets


class SqlReleases:
    """Releases over one connection. Never commits: the use-case owns the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, release: StoredRelease) -> StoredRelease:
        """Store *release* and return it with its number.

        Raises:
            ExistsError: The version was released for this channel and platform already.
        """
        require_app(self._connection, release.app)
        row = insert_new(
            self._connection,
            releases,
            app=release.app,
            channel=release.channel,
            platform=release.platform,
            version=str(release.version),
            document=release.document,
            admitted_at=release.admitted_at,
            submitted_by=release.submitted_by,
        )
        if row is None:
            key = f"{release.channel}/{release.platform}/{release.version}"
            raise ExistsError("release", f"{release.app}/{key}")
        return _release(row)

    def get(self, app: str, channel: str, version: Version) -> Sequence[StoredRelease]:
        """Return the release of *version* for each platform that has it, by platform."""
        return self._found(
            select(releases)
            .where(
                releases.c.app == app,
                releases.c.channel == channel,
                releases.c.version == str(version),
            )
            .order_by(releases.c.platform)
        )

    def all(self, app: str) -> Sequence[StoredRelease]:
        """Return all releases of *app*, oldest first."""
        return self._found(
            select(releases).where(releases.c.app == app).order_by(releases.c.number)
        )

    def of_versions(self, app: str, versions: Collection[Version]) -> Sequence[StoredRelease]:
        """Return the releases of *versions* on all channels, oldest first."""
        named = releases.c.version.in_({str(version) for version in versions})
        return self._found(
            select(releases).where(releases.c.app == app, named).order_by(releases.c.number)
        )

    def _found(self, statement: Select[Any]) -> list[StoredRelease]:
        return [_release(row) for row in self._connection.execute(statement)]

    def versions(self, app: str) -> Sequence[tuple[str, Version]]:
        """Return the versions on each channel, without their documents."""
        found = select(releases.c.channel, releases.c.version).where(releases.c.app == app)
        rows = self._connection.execute(found.distinct())
        return sorted((row.channel, Version(row.version)) for row in rows)

    def published(self, app: str) -> Sequence[tuple[str, Version, datetime]]:
        """Return the versions on each channel, and when each was first admitted there."""
        c = releases.c
        first = func.min(c.admitted_at, type_=c.admitted_at.type).label("at")
        asked = select(c.channel, c.version, first).where(c.app == app)
        rows = self._connection.execute(asked.group_by(c.channel, c.version))
        return sorted((row.channel, Version(row.version), row.at) for row in rows)

    def add_targets(self, wanted: Iterable[StoredTarget]) -> None:
        """Store targets; those that are there already must be the same.

        Raises:
            ExistsError: A path is taken by another file.
        """
        for target in wanted:
            require_app(self._connection, target.app)
            channel, platform, version = target.release or (None, None, None)
            row = insert_new(
                self._connection,
                targets,
                app=target.app,
                path=target.path,
                sha256=target.sha256,
                length_bytes=target.length_bytes,
                channel=channel,
                platform=platform,
                version=version,
            )
            if row is None and self.target(target.app, target.path) != target:
                raise ExistsError("target", target.path)

    def target(self, app: str, path: str) -> StoredTarget:
        """Return the target at *path*, or raise NotFoundError."""
        found = select(targets).where(targets.c.app == app, targets.c.path == path)
        return _target(one(self._connection, found, "target", path))

    def targets(
        self, app: str, versions: Collection[Version] | None = None
    ) -> Sequence[StoredTarget]:
        """Return the targets of *app*, of releases of *versions* if these are told, by path."""
        found = select(targets).where(targets.c.app == app).order_by(targets.c.path)
        if versions is not None:
            found = found.where(targets.c.version.in_({str(version) for version in versions}))
        return [_target(row) for row in self._connection.execute(found)]

    def put_document(self, document: StoredDocument) -> None:
        """Store *document* in place of the one before it. The same one again changes nothing.

        Raises:
            ChangedError: A newer version is stored, or another document of this version.
        """
        require_app(self._connection, document.app)
        statement = upsert(self._connection, documents).values(
            app=document.app,
            channel=document.channel,
            kind=document.kind,
            version=document.version,
            expires_at=document.expires_at,
            document=document.document,
        )
        newer = {name: statement.excluded[name] for name in ("version", "expires_at", "document")}
        row = self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[documents.c.app, documents.c.channel, documents.c.kind],
                set_=newer,
                where=documents.c.version < statement.excluded.version,
            ).returning(documents.c.version)
        ).one_or_none()
        if row is None and document not in self.documents(document.app):
            raise ChangedError("document", f"{document.app}/{document.kind}/{document.channel}")

    def documents(self, app: str) -> Sequence[StoredDocument]:
        """Return the newest document of each kind and channel of *app*."""
        found = (
            select(documents)
            .where(documents.c.app == app)
            .order_by(documents.c.kind, documents.c.channel)
        )
        return [_document(row) for row in self._connection.execute(found)]


def _release(row: Row[Any]) -> StoredRelease:
    return StoredRelease(
        app=row.app,
        channel=row.channel,
        platform=row.platform,
        version=Version(row.version),
        number=row.number,
        document=row.document,
        admitted_at=row.admitted_at,
        submitted_by=row.submitted_by,
    )


def _target(row: Row[Any]) -> StoredTarget:
    return StoredTarget(
        app=row.app,
        path=row.path,
        sha256=row.sha256,
        length_bytes=row.length_bytes,
        release=None if row.version is None else (row.channel, row.platform, row.version),
    )


def _document(row: Row[Any]) -> StoredDocument:
    return StoredDocument(
        app=row.app,
        channel=row.channel,
        kind=row.kind,
        version=row.version,
        expires_at=row.expires_at,
        document=row.document,
    )
