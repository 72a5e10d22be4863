"""Signed states of a repository: taken into the database, then written to storage.

A state is signed by the signer, recorded with all its bytes in one transaction, and only
then published. Whatever stops the server in between, ``catch_up`` ends the way: it replays
what was recorded and not published, and records what was signed and not recorded.

Every function here is for the holder of the app's lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from signing.errors import OvertakenError, PublishError, SigningError
from signing.journal import Journal, Write, dump_journal, load_journal
from signing.metadata import version_of
from signing.publish import publish
from signing.roles import TIMESTAMP, RoleKind, parse_role
from update_server.service.access.caller import AUTOMATIC
from update_server.service.agents.placement import Placement, has, public_key
from update_server.service.errors import BrokenStateError
from update_server.service.ports import (
    App,
    Blobs,
    Clock,
    Database,
    JournalRow,
    NotFoundError,
    SignedState,
    Signer,
    StoredRelease,
    Stores,
)
from update_server.service.repository.contents import SignedContents, document_writes, read_contents
from update_server.service.repository.leases import Lease

Also = Callable[[Stores], None]
"""What else to write in the transaction that records a state."""


class SignedStates:
    """Records and publishes what the signer signs."""

    def __init__(self, database: Database, blobs: Blobs, signer: Signer, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._signer = signer
        self._clock = clock
        self._placement = Placement(blobs)

    def catch_up(self, lease: Lease) -> SignedState:
        """Publish and record what a crash left behind; return the newest signed state.

        Recorded states come first: they need no signer, and are older than what it may have
        signed since.

        Raises:
            UnavailableError: Storage, the database or the signer does not answer.
            BrokenStateError: Storage holds other bytes than were signed.
        """
        self.publish_recorded(lease)
        state = self._signer.status(lease.app)
        if state.timestamp_version > self._newest_version(lease.app):
            self.take_in(lease, state, submitted_by=AUTOMATIC.name)
        return state

    def take_in(
        self, lease: Lease, state: SignedState, *, submitted_by: str, also: Also | None = None
    ) -> None:
        """Record *state* and what it says, then publish it.

        Raises:
            LeaseLostError: Somebody else writes the repository now; nothing was recorded.
            BrokenStateError: The state is not what it should be.
        """
        app = lease.app
        newest = self._newest_version(app)
        journal = load_journal(state.journal)
        if state.timestamp_version != newest + 1:
            # Another holder had a state signed that was never recorded: what it brought is
            # part of this state, so it is written with this one.
            journal = completed(journal, state.metadata, self._blobs)
        contents = _read(app, state.metadata, journal)
        now = self._clock.now()
        with self._database.transaction() as stores:
            lease.check(stores)
            stores.journal.add(app, state.timestamp_version, dump_journal(journal), now)
            record(stores, app, contents, roles=state.metadata, now=now, submitted_by=submitted_by)
            if also is not None:
                also(stores)
            stores.apps.bump(app)
        self.publish_recorded(lease)

    def publish_recorded(self, lease: Lease) -> None:
        """Write every recorded state that is not published, oldest first.

        Files that a newly signed document offers to all are made public first.
        """
        with self._database.reading() as stores:
            rows = [row for row in stores.journal.unpublished() if row.app == lease.app]
            if not rows:
                return
            move = self._placement.move_for(stores, lease.app)
        self._placement.carry_out(move)
        for row in rows:
            self._publish(row)
            with self._database.transaction() as stores:
                stores.journal.mark_published(row.id, self._clock.now())

    def _publish(self, row: JournalRow) -> None:
        try:
            publish(load_journal(row.body), _Published(self._blobs), public_key(row.app, ""))
        except OvertakenError as error:
            # All files of this state are in place. If the newer timestamp is one of ours, it
            # names them already; if not, nobody will ever see them.
            if error.found > self._newest_version(row.app):
                raise BrokenStateError(row.app, str(error)) from error
        except PublishError as error:
            raise BrokenStateError(row.app, str(error)) from error

    def _newest_version(self, app: str) -> int:
        with self._database.reading() as stores:
            return newest_version(stores, app)


def newest_version(stores: Stores, app: str) -> int:
    """Return the timestamp version of the newest recorded state; 0 if there is none."""
    try:
        return stores.journal.newest(app).timestamp_version
    except NotFoundError:
        return 0


class _Published:
    """Blobs, as publishing wants them: nothing there is an answer, and no error."""

    def __init__(self, blobs: Blobs) -> None:
        self.create = blobs.create
        self.swap = blobs.swap
        self._blobs = blobs

    def read(self, key: str) -> bytes | None:
        try:
            return self._blobs.read(key)
        except NotFoundError:
            return None


def record(
    stores: Stores,
    app: str,
    contents: SignedContents,
    *,
    roles: Mapping[str, bytes],
    now: datetime,
    submitted_by: str,
) -> None:
    """Store what signed metadata says. What is stored already stays as it is."""
    for signed in contents.releases:
        release = signed.release
        stored = stores.releases.get(app, release.channel, release.version)
        if release.platform not in {each.platform for each in stored}:
            stores.releases.add(
                StoredRelease(
                    app=app,
                    channel=release.channel,
                    platform=release.platform,
                    version=release.version,
                    number=0,  # the store assigns it
                    document=signed.document,
                    admitted_at=now,
                    submitted_by=submitted_by,
                )
            )
    stores.releases.add_targets(contents.targets)
    for document in contents.documents:
        stores.releases.put_document(document)
    known = stores.apps.get(app)
    wider = _widened(known, roles)
    if wider != known:
        stores.apps.update(wider)


def completed(journal: Journal, metadata: Mapping[str, bytes], blobs: Blobs) -> Journal:
    """Return *journal* with every file of the state that neither it nor storage has."""
    listed = {write.path for write in journal.writes}
    missing = [
        write
        for write in writes_of(journal.app, metadata)
        if write.path not in listed
        and not has(blobs, public_key(journal.app, write.path), len(write.data))
    ]
    return replace(journal, writes=(*missing, *journal.writes))


def writes_of(app: str, metadata: Mapping[str, bytes]) -> Iterator[Write]:
    """Yield every file of a signed state in the order of writing, but for the timestamp."""
    yield from document_writes(app, metadata)
    ranks = list(RoleKind)
    kinds = {name: role.kind for name in metadata if (role := parse_role(name)) is not None}
    for name in sorted(kinds, key=lambda name: (ranks.index(kinds[name]), name)):
        if name != TIMESTAMP:
            data = metadata[name]
            yield Write(path=f"tuf/{version_of(data)}.{name}.json", data=data)


def _read(app: str, metadata: Mapping[str, bytes], journal: Journal) -> SignedContents:
    """Return what the roles say whose metadata the journal writes."""
    written = {write.path for write in journal.writes}
    try:
        changed = [
            name
            for name, data in metadata.items()
            if f"tuf/{version_of(data)}.{name}.json" in written
        ]
        return read_contents(app, metadata, changed)
    except SigningError as error:
        raise BrokenStateError(app, str(error)) from error


def _widened(app: App, roles: Mapping[str, bytes]) -> App:
    """Return *app* with the channels and platforms that its repository has."""
    named = [role for role in map(parse_role, sorted(roles)) if role is not None]
    channels = (role.channel for role in named if role.kind is RoleKind.ROLLOUT)
    platforms = (role.platform for role in named if role.platform)
    return replace(
        app,
        channels=tuple(dict.fromkeys((*app.channels, *channels))),
        platforms=tuple(dict.fromkeys((*app.platforms, *platforms))),
        registered=True,
    )
