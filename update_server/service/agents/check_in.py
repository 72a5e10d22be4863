"""Answer a check-in from memory: what this install should do, and why.

No statement reaches a database here. The answer is a hint that can only hold an install
back: the signed documents decide (docs/trust.md, 5), by the same ``decide``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from packaging.version import Version

from rollout.audience import slice_holds
from rollout.bucket import bucket_of
from rollout.decide import arm_of, decide
from rollout.eligibility import why_not_allowed
from rollout.first import FIRST_RING, is_first, rollout_behind
from rollout.model import (
    Action,
    Arm,
    Assignment,
    Failure,
    Install,
    InstallId,
    Reason,
    RolloutId,
    RolloutState,
)
from rollout.versions import render_version
from update_server.service.agents.pseudonyms import hash_of_secret, install_key, network_hash
from update_server.service.agents.table import AppTable, ChannelTable, Tables
from update_server.service.agents.throttle import Throttle
from update_server.service.agents.tokens import InstallToken, issue, rollout_number
from update_server.service.errors import UnknownChannelError, UnknownPlatformError
from update_server.service.ports import Clock, Contact, Spool

# An agent sends the versions that it still bars, without their times: they hold for this
# answer, and the agent's own decision knows until when.
_STILL_BARRED = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """What an install says of itself. ``version`` is None when nothing is installed yet.

    ``staged_version`` has been downloaded, and only waits to be applied.
    """

    install_id: InstallId
    version: Version | None
    channel: str
    platform: str
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    enrolments: tuple[str, ...] = ()
    self_selected: bool = False
    telemetry: str = "crash"
    failed_versions: tuple[Version, ...] = ()
    staged_version: Version | None = None
    timestamp_version: int = 0
    snapshot_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the install is told. ``project`` is the app's number, as crash SDKs name it."""

    assignment: Assignment
    token: str
    next_check_in_seconds: int
    timestamp_version: int
    project: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The live rollout that concerns an install, and the arm that it is in there.

    ``held``: it would be in one, if a hold did not keep it where it is. An install that the
    rollout is offered to first is in none: it has a ring, and no arm.
    """

    rollout: RolloutId | None = None
    ring: str | None = None
    arm: Arm | None = None
    bucket: int | None = None
    held: bool = False


NOT_EXPOSED = Exposure()
HELD = Exposure(held=True)


class CheckIns:
    """The check-in use-case of one process."""

    def __init__(
        self,
        tables: Tables,
        spool: Spool,
        clock: Clock,
        next_check_in_seconds: int,
        throttle: Throttle | None = None,
    ) -> None:
        self._tables = tables
        self._spool = spool
        self._clock = clock
        self._next_check_in_seconds = next_check_in_seconds
        self._throttle = throttle or Throttle()

    def answer(self, app: str, check_in: CheckIn, *, address: str | None = None) -> Answer:
        """Decide for one install, and note the contact, which came from *address*.

        Raises:
            NotReadyError: This process has read nothing yet.
            UnknownAppError, UnknownChannelError, UnknownPlatformError: As named.
        """
        held = self._tables.of(app)
        table = held.table
        if check_in.channel not in table.channels:
            raise UnknownChannelError(app, check_in.channel)
        if check_in.platform not in table.platforms:
            raise UnknownPlatformError(app, check_in.platform)
        now = self._clock.now()
        secrets = self._tables.secrets
        key = install_key(secrets.pepper, app, check_in.install_id)
        install = install_of(check_in, groups_of(table, check_in.enrolments, key), now)
        channel = table.by_channel.get(check_in.channel)
        exposure = NOT_EXPOSED
        # A pull waits one lease before it returns: past the lease nothing may be offered.
        if not self._tables.is_live(held):
            assignment = Assignment(action=Action.STAY, reason=Reason.STALE_SERVER)
        else:
            given = self._at_its_rate(channel, assign(channel, install, now), check_in)
            # Installs need not know of entries: what they are told names the rollout itself.
            assignment = replace(given, rollout=rollout_behind(given.rollout))
            exposure = exposure_of(channel, install)
        network = network_hash(secrets.pepper, app, address) if address else b""
        self._note(app, key, check_in, now, assignment, exposure, network)
        return Answer(
            assignment=assignment,
            token=issue(
                secrets.tokens,
                app=app,
                install_key=key,
                token=_token(table, check_in, assignment, exposure),
                now=now,
            ),
            next_check_in_seconds=(
                channel.rollout.next_check_in_seconds
                if channel and channel.rollout
                else self._next_check_in_seconds
            ),
            timestamp_version=table.timestamp_version,
            project=table.number,
        )

    def _at_its_rate(
        self, channel: ChannelTable | None, assignment: Assignment, check_in: CheckIn
    ) -> Assignment:
        """Return *assignment*, or ``throttled`` when its rollout's offers are used up for now.

        Neither a way back nor what the policy says must be reached waits. Whoever has the
        release already costs no download, and is not held up in the middle. What is told here
        changes no arm: who has to wait is exposed all the same (``exposure_of``).
        """
        rollout = assignment.rollout
        if channel is None or not channel.offers_per_minute or rollout is None:
            return assignment
        rate = channel.offers_per_minute.get(rollout, 0)
        is_offer = assignment.reason is Reason.IN_RING
        if not rate or not is_offer or assignment.version == check_in.staged_version:
            return assignment
        if self._throttle.admits(rollout, rate, self._clock.monotonic()):
            return assignment
        return Assignment(
            action=Action.STAY,
            reason=Reason.THROTTLED,
            rollout=rollout,
            bucket=assignment.bucket,
        )

    def _note(
        self,
        app: str,
        key: bytes,
        check_in: CheckIn,
        now: datetime,
        assignment: Assignment,
        exposure: Exposure,
        network: bytes,
    ) -> None:
        offered = assignment.version
        contact = Contact(
            app=app,
            install_key=key,
            at=now,
            channel=check_in.channel,
            platform=check_in.platform,
            version=render_version(check_in.version) if check_in.version else "",
            action=assignment.action,
            reason=assignment.reason,
            offered=render_version(offered) if offered else None,
            rollout=exposure.rollout,
            ring=exposure.ring,
            arm=exposure.arm,
            self_selected=check_in.self_selected,
            telemetry=check_in.telemetry,
            timestamp_version=check_in.timestamp_version,
            snapshot_sha256=check_in.snapshot_sha256,
            network=network,
            bucket=exposure.bucket,
            held=exposure.held,
        )
        self._spool.contact(contact)


def install_of(check_in: CheckIn, groups: frozenset[str], now: datetime) -> Install:
    """Return what ``decide`` needs to know of the install that checks in."""
    return Install(
        id=check_in.install_id,
        channel=check_in.channel,
        platform=check_in.platform,
        version=check_in.version,
        # The server knows no more than what runs; the agent remembers its true high water.
        high_water=check_in.version,
        groups=groups,
        attributes=check_in.attributes,
        failures=tuple(
            Failure(version=version, retry_at=now + _STILL_BARRED)
            for version in check_in.failed_versions
        ),
    )


def groups_of(table: AppTable, credentials: Sequence[str], key: bytes) -> frozenset[str]:
    """Return the groups that *credentials* prove for this install; others' count for nothing."""
    if not credentials:
        return frozenset()
    found = (table.members.get(hash_of_secret(credential)) for credential in credentials)
    return frozenset(member.group for member in found if member and member.install_key == key)


def assign(channel: ChannelTable | None, install: Install, now: datetime) -> Assignment:
    """Return what the signed documents of *channel* give to *install* at *now*."""
    if channel is None:
        return Assignment(action=Action.STAY, reason=Reason.NO_RELEASE)
    if now >= channel.policy_expires_at:
        return Assignment(action=Action.STAY, reason=Reason.STALE_SERVER)
    documents = channel.documents[install.platform]
    if channel.rollout_expires_at is not None and now >= channel.rollout_expires_at:
        documents = replace(documents, rollout=None, rollout_missing=Reason.STALE_SERVER)
    return decide(documents, install, now)


def exposure_of(channel: ChannelTable | None, install: Install) -> Exposure:
    """Return the newest rollout on offer that concerns *install*, with its ring and arm.

    An install beyond the rollout's version is not concerned; one on it is, as a candidate
    that took it. Nothing enters an arm while its rollout is paused. A
    completed rollout is compared with nothing any more, and still counted.
    """
    if channel is None or channel.rollout is None:
        return NOT_EXPOSED
    documents = channel.documents[install.platform]
    for entry in channel.rollout.entries:
        if entry.rollback or entry.state is RolloutState.PULLED:
            continue
        if install.version is not None and install.version > entry.version:
            continue
        if entry.from_versions and install.version not in entry.from_versions:
            continue
        if entry.state is RolloutState.PAUSED:
            return NOT_EXPOSED
        release = documents.releases.get(entry.version)
        if release is None:
            continue
        if why_not_allowed(entry.version, documents, install) is not None:
            return NOT_EXPOSED
        ring, arm = arm_of(entry, release, install)
        if arm is not None and is_first(entry):  # not at random, so compared with nothing
            return Exposure(rollout=rollout_behind(entry.rollout), ring=FIRST_RING)
        if arm is None:
            is_held = any(slice_holds(hold.audience, install) for hold in entry.holds)
            return HELD if is_held else NOT_EXPOSED
        bucket = bucket_of(release.salt, install.id)
        return Exposure(rollout=entry.rollout, ring=ring, arm=arm, bucket=bucket)
    return NOT_EXPOSED


def _token(
    table: AppTable, check_in: CheckIn, assignment: Assignment, exposure: Exposure
) -> InstallToken:
    known = table.releases.get((check_in.channel, check_in.platform), {})

    def number_of(version: Version | None) -> int:
        return known[version].number if version is not None and version in known else 0

    running = number_of(check_in.version)
    return InstallToken(
        running=running,
        assigned=number_of(assignment.version) or running,
        rollout=rollout_number(assignment.rollout or exposure.rollout),
    )
