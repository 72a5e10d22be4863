"""What one install would get now, and why, rule by rule in the order of ``decide``.

Each rule is put to ``decide`` itself, alone: this is no second implementation of it. The
install ID is used for this answer and not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from packaging.version import Version

from rollout.bucket import bucket_of
from rollout.decide import decide
from rollout.documents import parse_policy, parse_rollout
from rollout.eligibility import why_not_allowed
from rollout.first import rollout_behind
from rollout.model import (
    Action,
    Assignment,
    Documents,
    Entry,
    Install,
    InstallId,
    MustReach,
    Reason,
)
from rollout.versions import render_version
from update_server.service.agents.check_in import CheckIn, Exposure, assign, exposure_of, install_of
from update_server.service.agents.pseudonyms import install_key
from update_server.service.agents.refresh import PEPPER, channel_table, known_releases
from update_server.service.agents.table import ChannelTable
from update_server.service.errors import (
    UnknownAppError,
    UnknownChannelError,
    UnknownPlatformError,
)
from update_server.service.ports import (
    App,
    Clock,
    Database,
    NotFoundError,
    StoredDocument,
    Stores,
)
from update_server.service.repository.contents import POLICY, ROLLOUT
from update_server.service.rollouts.checks import Check, checks_of
from update_server.service.rollouts.witness import Asked, Witness, witness_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The install that is asked about, as it would present itself."""

    install_id: InstallId
    channel: str
    platform: str
    version: Version | None = None
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The signed document that a rule comes from. ``kind`` is ``policy`` or ``rollout``."""

    kind: str
    version: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One rule. ``entry`` is the version that it is about; ``detail`` is a sentence.

    ``passes``: it gives the install what it is about, or does not stand in its way; None where
    it says nothing of this install. ``checks`` are an entry's questions, see ``checks``.
    """

    rule: str
    outcome: str
    detail: str
    entry: str | None = None
    passes: bool | None = None
    source: Source | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer, the arm that the install counts in, and every rule up to the one that chose.

    ``at`` is the instant that was asked about; documents and groups are those of now.
    """

    assignment: Assignment
    bucket: int | None
    groups: tuple[str, ...]
    exposure: Exposure
    steps: tuple[Explained, ...]
    at: datetime
    witness: Witness


class Explain:
    """The explain use-case. It reads the database, not a table that may be stale."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def explain(
        self, app: str, question: Question, *, at: datetime | None = None, known: App | None = None
    ) -> Explanation:
        """Answer *question* for *app* as of now, or what the documents of now decide at *at*.

        On the instant depend the ceiling for a release's age, what must be reached from when on,
        and whether a document has expired. What is known of the install is as of now. Whoever
        has read the app has it *known* here.

        Raises:
            UnknownAppError, UnknownChannelError, UnknownPlatformError: As named.
        """
        with self._database.reading() as stores:
            known = _known_app(stores, app, question, known)
            now = at or self._clock.now()
            key = install_key(stores.access.secret(PEPPER), app, question.install_id)
            groups = frozenset(each.group for each in stores.access.enrolments_of(app, key))
            install = install_of(_as_check_in(question), groups, now)
            documents = {
                each.kind: each
                for each in stores.releases.documents(app)
                if each.channel == question.channel
            }
            channel = _channel_of(stores, known, documents, question)
            assignment, exposure = assign(channel, install, now), exposure_of(channel, install)
            rollout = exposure.rollout or rollout_behind(assignment.rollout)
            asked = Asked(app=app, key=key, platform=question.platform, held=exposure.held)
            witness = witness_of(stores, asked, rollout)
        sources = {
            kind: Source(kind=kind, version=each.version, expires_at=each.expires_at)
            for kind, each in documents.items()
        }
        return Explanation(
            assignment=replace(assignment, rollout=rollout_behind(assignment.rollout)),
            bucket=_bucket(assignment, channel, install),
            groups=tuple(sorted(groups)),
            exposure=exposure,
            steps=tuple(
                replace(step, source=sources.get(_SOURCES.get(step.rule, "")))
                for step in _steps(channel, install, now)
            ),
            at=now,
            witness=witness,
        )


_SOURCES: Final = {
    "policy": "policy",
    "floor": "policy",
    "must_reach": "policy",
    "rollout": "rollout",
    "entry": "rollout",
}
"""Which signed document a rule stands in. Groups are the server's own list."""


def _known_app(stores: Stores, name: str, question: Question, known: App | None) -> App:
    try:
        app = known or stores.apps.get(name)
    except NotFoundError as error:
        raise UnknownAppError(name) from error
    if question.channel not in app.channels:
        raise UnknownChannelError(name, question.channel)
    if question.platform not in app.platforms:
        raise UnknownPlatformError(name, question.platform)
    return app


def _channel_of(
    stores: Stores, app: App, documents: Mapping[str, StoredDocument], question: Question
) -> ChannelTable | None:
    """Return what a process that answers check-ins would hold, of the releases that matter here.

    Those are the ones that the documents name and the installed one, whose ways back count.
    """
    if POLICY not in documents:
        return None
    named = {rule.version for rule in parse_policy(documents[POLICY].document).must_reach}
    if ROLLOUT in documents:
        named |= {each.version for each in parse_rollout(documents[ROLLOUT].document).entries}
    if question.version is not None:
        named |= set(_spellings(question.version))
    return channel_table(
        app,
        {(question.channel, kind): each for kind, each in documents.items()},
        known_releases(stores.releases.of_versions(app.name, named)),
        question.channel,
        {},
    )


def _spellings(version: Version) -> Iterator[Version]:
    """Yield the ways to write *version*: 2.1 and 2.1.0 are one, and stores have one of them."""
    text, numbers = str(version), version.base_version
    least = re.sub(r"(\.0)+$", "", numbers)
    for zeros in range(_MOST_ZEROS + 1):
        yield Version(text.replace(numbers, least + ".0" * zeros, 1))


_MOST_ZEROS: Final = 5
"""Numbers of zero at the end of a version that somebody may have left out, or written."""


def _as_check_in(question: Question) -> CheckIn:
    return CheckIn(
        install_id=question.install_id,
        version=question.version,
        channel=question.channel,
        platform=question.platform,
        attributes=question.attributes,
    )


def _bucket(assignment: Assignment, channel: ChannelTable | None, install: Install) -> int | None:
    """Return the bucket that was decisive, else that of the newest release on offer."""
    if assignment.bucket is not None or channel is None or channel.rollout is None:
        return assignment.bucket
    releases = channel.documents[install.platform].releases
    for entry in channel.rollout.entries:
        if entry.version in releases:
            return bucket_of(releases[entry.version].salt, install.id)
    return None


def _steps(channel: ChannelTable | None, install: Install, now: datetime) -> Iterator[Explained]:
    groups = ", ".join(sorted(install.groups))
    yield Explained(
        rule="groups",
        outcome="member" if groups else "none",
        detail=f"the install is a member of {groups}" if groups else "the install is in no group",
        passes=True if groups else None,
    )
    if channel is None:
        yield Explained(
            rule="policy",
            outcome=Reason.NO_RELEASE,
            detail="the channel has no signed policy yet",
            passes=False,
        )
        return
    if now >= channel.policy_expires_at:
        yield Explained(
            rule="policy",
            outcome=Reason.STALE_SERVER,
            detail=f"the policy expired at {_time(channel.policy_expires_at)}",
            passes=False,
        )
        return
    floor = channel.policy.floor
    yield Explained(
        rule="floor",
        outcome="none" if floor is None else render_version(floor),
        detail="no floor" if floor is None else f"nothing below {render_version(floor)} may run",
        passes=None if floor is None or install.version is None else install.version >= floor,
    )
    documents = channel.documents[install.platform]
    for rule in sorted(documents.policy.must_reach, key=lambda r: r.version, reverse=True):
        step, chosen = _must_reach(rule, documents, install, now)
        yield step
        if chosen:
            return
    expires_at = channel.rollout_expires_at
    if documents.rollout is None or expires_at is None:
        yield Explained(
            rule="rollout",
            outcome=Reason.NO_RELEASE,
            detail="no rollout was signed yet",
            passes=False,
        )
        return
    if now >= expires_at:
        yield Explained(
            rule="rollout",
            outcome=Reason.STALE_SERVER,
            detail=f"the rollout document expired at {_time(expires_at)}",
            passes=False,
        )
        return
    policy = replace(documents.policy, must_reach=())
    for entry in documents.rollout.entries:
        rollout = replace(documents.rollout, entries=(entry,))
        alone = replace(documents, policy=policy, rollout=rollout)
        step, chosen = _entry(entry, alone, install, now)
        yield step
        if chosen:
            return


def _must_reach(
    rule: MustReach, documents: Documents, install: Install, now: datetime
) -> tuple[Explained, bool]:
    version = render_version(rule.version)
    alone = replace(documents, policy=replace(documents.policy, must_reach=(rule,)), rollout=None)
    given = decide(alone, install, now)
    chosen = given.action is not Action.STAY
    if chosen:
        outcome, detail = str(given.reason), f"due since {_time(rule.after)}"
    elif now < rule.after:
        outcome, detail = "not_due", f"due from {_time(rule.after)} on"
    elif install.version is not None and install.version >= rule.version:
        outcome, detail = str(Reason.UP_TO_DATE), "reached already"
    else:
        # Not throttled: what failed on a machine is known to the machine only.
        why = why_not_allowed(rule.version, documents, install)
        outcome, detail = str(Reason.NOT_ELIGIBLE), f"may not run here: {why}"
    step = Explained(
        rule="must_reach",
        entry=version,
        outcome=outcome,
        detail=detail,
        passes=True if chosen else False if outcome == Reason.NOT_ELIGIBLE else None,
    )
    return step, chosen


def _entry(
    entry: Entry, alone: Documents, install: Install, now: datetime
) -> tuple[Explained, bool]:
    given = decide(alone, install, now)
    skipped, chosen = given.reason is Reason.UP_TO_DATE, given.action is not Action.STAY
    step = Explained(
        rule="entry",
        entry=render_version(entry.version),
        outcome="skipped" if skipped else str(given.reason),
        detail="not for an install on this version" if skipped else _sentence(given, entry),
        passes=None if skipped else chosen,
        checks=() if skipped else tuple(checks_of(entry, alone, install, now)),
    )
    return step, chosen


_SENTENCES: Final = {
    Reason.ROLLED_BACK: "a signed way back from the installed version",
    Reason.PAUSED: "the rollout is paused: no further install is offered it",
    Reason.PULLED: "the release was pulled",
}


def _sentence(given: Assignment, entry: Entry) -> str:
    """Say what decided, with the numbers that it was decided by."""
    rings = ", ".join(f"{ring.name} {ring.exposure_bp}" for ring in entry.rings) or "none"
    if given.hold is not None:
        return f"{given.hold.title}: {given.hold.link}"
    if given.reason is Reason.IN_RING:
        return f"bucket {given.bucket}, ring {given.ring}; open rings (bp): {rings}"
    if given.reason is Reason.OUTSIDE_RING:
        return f"bucket {given.bucket} is in no open ring (bp): {rings}"
    if given.reason is Reason.HOLDBACK:
        return f"bucket {given.bucket} is in the holdback of {entry.holdback_bp / 100:g} %"
    if given.reason is Reason.NOT_ELIGIBLE:
        return f"may not run here: {given.detail}"
    return _SENTENCES[given.reason]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
