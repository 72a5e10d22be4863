"""Bringing back a lost database from what is signed and published.

Releases, files and documents come back whole; rollouts and holds as the newest rollout
documents show them. Not signed anywhere, and so gone: tokens, groups, counts, studies and
what is known of installs, the audit log, and the history of rollouts that have left the documents.

What is there already is left alone, so this may be repeated, and run on a database that
lost only a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from packaging.version import Version

from rollout.audience import is_general
from rollout.compose import shape_at
from rollout.documents import parse_policy, parse_rollout
from rollout.first import is_first, rollout_behind
from rollout.model import (
    Actor,
    Entry,
    Policy,
    Rollout,
    RolloutDocument,
    RolloutId,
    RolloutState,
    Step,
)
from rollout.widening import shape_of
from signing.errors import TrustError
from signing.journal import TIMESTAMP_PATH, Journal, Write, dump_journal
from signing.metadata import parse_timestamp, version_of
from signing.roles import TIMESTAMP
from update_server.service.access.caller import AUTOMATIC
from update_server.service.ports import (
    App,
    Blobs,
    Clock,
    Database,
    NotFoundError,
    StoredHold,
    Stores,
)
from update_server.service.repository.contents import POLICY, ROLLOUT, SignedContents, read_contents
from update_server.service.repository.states import record, writes_of
from update_server.service.repository.storage import newest_metadata, stored_apps, verified
from update_server.service.studies.memory import begin_again

_REASON = "rebuilt from signed metadata"


def rebuild(database: Database, blobs: Blobs, clock: Clock) -> tuple[str, ...]:
    """Record every app that has a published repository; return their names.

    Raises:
        TrustError: A repository does not verify; what came before it was recorded.
    """
    apps = stored_apps(blobs)
    for app in apps:
        _rebuild(database, blobs, app, clock.now())
    return tuple(apps)


def _rebuild(database: Database, blobs: Blobs, app: str, now: datetime) -> None:
    metadata = newest_metadata(app, blobs)
    timestamp = metadata[TIMESTAMP]
    # It may have expired while there was no database, and is renewed as soon as there is one.
    unexpired = parse_timestamp(timestamp).signed.expires - timedelta(seconds=1)
    report = verified(app, blobs, unexpired)
    for found in report.findings:
        raise TrustError(found.code, found.subject, found.detail)
    contents = read_contents(app, metadata)
    last = Write(path=TIMESTAMP_PATH, data=timestamp, swap=True)
    journal = Journal(
        app=app,
        timestamp_version=version_of(timestamp),
        writes=(*writes_of(app, metadata), last),
    )
    with database.transaction() as stores:
        _ensure_app(stores, app, now)
        record(stores, app, contents, roles=metadata, now=now, submitted_by=AUTOMATIC.name)
        _ensure_journal(stores, journal, now)
        known = {rollout.id for rollout in stores.rollouts.of_app(app)}
        for policy, document in _channels(contents):
            # Oldest first: the order of adding is the order of age.
            for entry in reversed(document.entries):
                if entry.rollout is None or is_first(entry):
                    continue
                if entry.rollout not in known:
                    rollout = rollout_from(entry, document, policy)
                    stores.rollouts.add(rollout)
                    begin_again(stores, rollout)
            _ensure_holds(stores, document, now)
        stores.apps.bump(app)
        stores.audit.append(
            at=now, actor=AUTOMATIC.name, action="app.rebuild", app=app, subject=app, reason=_REASON
        )


def rollout_from(entry: Entry, document: RolloutDocument, policy: Policy) -> Rollout:
    """Return the rollout that *entry* shows.

    Its ladder is the policy's ramp where the entry is a step of it; else what is open now,
    and then the steps of the ramp that go further.
    """
    ladder, position = _ladder(entry, policy)
    return Rollout(
        id=entry.rollout or RolloutId(""),
        app=document.app,
        channel=document.channel,
        version=entry.version,
        state=entry.state,
        ladder=ladder,
        position=position,
        started_at=document.issued,
        position_reached_at=document.issued,
        changed_at=document.issued,
        # Who paused it is not in the document; a person is asked to resume it either way.
        paused_by=Actor.PERSON if entry.state is RolloutState.PAUSED else None,
        reason=_REASON,
        replacement=_replacement(entry, document),
        first_for=_first_for(entry, document),
    )


def _ladder(entry: Entry, policy: Policy) -> tuple[tuple[Step, ...], int]:
    shape = shape_of(entry)
    for position in range(len(policy.ramp)):
        if shape_at(policy.ramp, position, policy.internal_groups) == shape:
            return policy.ramp, position
    opened = [
        Step(
            ring=ring.name,
            exposure_bp=ring.exposure_bp if is_general(ring) else None,
            holdback_bp=entry.holdback_bp,
        )
        for ring in entry.rings
    ]
    further = [step for step in policy.ramp if (step.exposure_bp or 0) > entry.exposure_bp]
    if not opened:  # nothing is open, as in a ring of internal groups where there are none
        opened = [Step(ring="internal", holdback_bp=entry.holdback_bp)]
    return (*opened, *further), len(opened) - 1


def _replacement(entry: Entry, document: RolloutDocument) -> Version | None:
    if entry.state is not RolloutState.PULLED:
        return None
    for other in document.entries:
        if other.rollback and entry.version in other.from_versions:
            return other.version
    return None


def _first_for(entry: Entry, document: RolloutDocument) -> Version | None:
    for other in document.entries:
        if is_first(other) and rollout_behind(other.rollout) == entry.rollout:
            return min(other.from_versions)
    return None


def _channels(contents: SignedContents) -> Iterator[tuple[Policy, RolloutDocument]]:
    for stored in contents.documents:
        rollout = contents.document(stored.channel, ROLLOUT)
        if stored.kind == POLICY and rollout is not None:
            yield parse_policy(stored.document), parse_rollout(rollout.document)


def _ensure_app(stores: Stores, app: str, now: datetime) -> None:
    try:
        stores.apps.get(app)
    except NotFoundError:
        stores.apps.add(App(name=app, number=0, created_at=now, channels=(), platforms=()))


def _ensure_journal(stores: Stores, journal: Journal, now: datetime) -> None:
    try:
        known = stores.journal.newest(journal.app).timestamp_version
    except NotFoundError:
        known = 0
    if known < journal.timestamp_version:
        row = stores.journal.add(journal.app, journal.timestamp_version, dump_journal(journal), now)
        stores.journal.mark_published(row.id, now)


def _ensure_holds(stores: Stores, document: RolloutDocument, now: datetime) -> None:
    """Place the holds of a document again: on one rollout, or on all where all have it."""
    known = {held.hold.id for held in stores.rollouts.holds(document.app, lifted=True)}
    entries = [e for e in document.entries if e.rollout is not None and _takes_holds(e)]
    for entry in entries:
        for hold in entry.holds:
            if hold.id in known:
                continue
            known.add(hold.id)
            everywhere = all(hold in other.holds for other in entries)
            stores.rollouts.add_hold(
                StoredHold(
                    app=document.app,
                    channel=document.channel,
                    hold=hold,
                    created_at=now,
                    created_by=AUTOMATIC.name,
                    reason=_REASON,
                    rollout=None if everywhere else entry.rollout,
                )
            )


def _takes_holds(entry: Entry) -> bool:
    is_own = not entry.rollback and not is_first(entry)
    return is_own and entry.state is not RolloutState.PULLED
