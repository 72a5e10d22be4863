"""Whom a check-in or an event is about: records of telemetry become facts of studies.

A record is told to every study of its app and channel whose risk it bears on, whatever its
arm: only the study knows members and arms. Pure: what is known of installs comes in and goes
out as values.

Not here: storing facts (``service.telemetry.digest``), what they count for (``evidence.study``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from rollout.model import Arm, Reason, RolloutId
from update_server.evidence.facts import (
    Crash,
    Fact,
    Left,
    Rule,
    Score,
    Seen,
    Session,
    SetAside,
    Step,
    Stepped,
)
from update_server.evidence.settings import Settings
from update_server.service.agents.forget import FORGET_KIND
from update_server.service.crashes.facts import is_new, signature_of
from update_server.service.ports import Contact, Event, Phase
from update_server.service.ports.studies import History, WindowsOfDay
from update_server.service.studies.histories import (
    crashes_before,
    is_aged,
    usual_gap,
    with_check_in,
    with_crash,
)
from update_server.service.studies.silences import after_sign, opened
from update_server.service.studies.stretch import Stretch

Known = MutableMapping[bytes, History]
Told = tuple[RolloutId, Fact]

_TOLD_IN: Final = timedelta(seconds=1)
"""Agents tell times in whole seconds, cut: what they tell of happened within the next one."""

_RULES: Final = frozenset(rule.value for rule in Rule)
# Sessions that ran. A crashed one is a crash, and one that was cut off says nothing.
_LIVELY: Final = frozenset({"ok", "exited", "errored"})
_DONE: Final[Mapping[Phase, Step]] = {
    Phase.DOWNLOADED: Step.DOWNLOAD,
    Phase.VERIFIED: Step.VERIFY,
    Phase.APPLIED: Step.APPLY,
    Phase.HEALTHY: Step.LAUNCH,
}
# Whose fault it was (client_agent.errors) tells the step. ``policy`` means later, not failed.
_FAILED: Final[Mapping[str, Step]] = {
    "network": Step.DOWNLOAD,
    "trust": Step.VERIFY,
    "payload": Step.VERIFY,
    "delta": Step.VERIFY,
    "disk": Step.APPLY,
    "state": Step.APPLY,
    "agent": Step.APPLY,
    "launch": Step.LAUNCH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A live study, as far as attribution needs to know it.

    ``version`` is the release's, as rendered. ``published_at`` (by platform) and
    ``stage_opened_at`` are our Unix seconds: when the release became visible, and when the
    present stage opened. ``signatures`` are those of crashes that were known when it became so.
    """

    rollout: RolloutId
    app: str
    channel: str
    version: str
    settings: Settings
    stretch: Stretch
    published_at: Mapping[str, float]
    stage_opened_at: float
    signatures: frozenset[str] = frozenset()


class Attribution:
    """Turns the records of one app, in the order of receipt, into facts.

    ``known`` are the histories of the installs in the batch; it is brought up to date.
    ``changed`` names the installs whose history is another one now, and ``windows`` is what is to
    be counted of silence.
    """

    def __init__(self, studies: Iterable[Watched], known: Known) -> None:
        self._studies = tuple(studies)
        self._known = known
        self.changed: set[bytes] = set()
        self.windows: list[WindowsOfDay] = []
        self._asides: set[tuple[bytes, str]] = set()

    def facts(self, records: Iterable[Contact | Event]) -> Iterator[Told]:
        """Yield what each study is told of *records*. No event may come twice."""
        for record in records:
            if isinstance(record, Contact):
                yield from self._contact(record)
            elif record.kind == FORGET_KIND:
                self._known.pop(record.install_key, None)
                self.changed.discard(record.install_key)
                yield from self._left(record, self._studies)
            elif record.quarantine:
                yield from self._set_aside(record)
            else:
                yield from self._event(record)

    # --- check-ins -----------------------------------------------------------------------

    def _contact(self, contact: Contact) -> Iterator[Told]:
        # What is known of it before this check-in decides how it enters.
        known = self._known.get(contact.install_key)
        studies = self._on(contact.channel)
        if contact.self_selected or contact.held:
            # A hold ends some day; a choice to be first is made for good.
            yield from self._left(contact, studies, for_good=contact.self_selected)
        else:
            for study in studies:
                yield study.rollout, _sign_of_life(study, contact, known)
        seen = with_check_in(known, contact.at.timestamp())
        if contact.rollout is not None and contact.arm is None:  # offered to it first
            seen = replace(seen, taken_first=contact.rollout)
        self._remember(contact.install_key, self._watched(known, seen, contact))

    def _watched(self, known: History | None, seen: History, contact: Contact) -> History:
        """Return *seen* in the window of silence that it is in after a check-in."""
        at = contact.at.timestamp()
        window, counted = after_sign(seen.window, contact.channel, at)
        if window is None and known is not None:
            window, counted = opened(known, contact.channel, at)
        self.windows += counted
        return replace(seen, window=window)

    # --- events --------------------------------------------------------------------------

    def _event(self, event: Event) -> Iterator[Told]:
        if event.kind == "crash":
            yield from self._crash(event, event.at)
        elif event.kind == "session":
            yield from self._session(event)
        elif event.kind == "update":
            yield from self._update(event)
        elif event.kind == "metric":
            yield from self._metric(event)

    def _set_aside(self, event: Event) -> Iterator[Told]:
        """Tell only that *event* is set aside, once of an install and rule."""
        about = event.install_key, event.quarantine
        if event.quarantine not in _RULES or about in self._asides:
            return
        self._asides.add(about)
        for study in self._on(event.channel):
            at = study.stretch.instant(event.received_at)
            rule = Rule(event.quarantine)
            yield study.rollout, SetAside(at=at, install=event.install_key, rule=rule)

    def _session(self, event: Event) -> Iterator[Told]:
        status = event.body.get("status")
        if status == "crashed":
            yield from self._crash(event, _ended_at(event))
        elif status in _LIVELY:
            self._came_back(event)
            for study in self._on(event.channel):
                at = study.stretch.instant(event.received_at)
                on_release = event.version == study.version
                fact = Session(at=at, install=event.install_key, on_release=on_release)
                yield study.rollout, fact

    def _came_back(self, event: Event) -> None:
        """Let a session count as a return, as it does in a study."""
        known = self._known.get(event.install_key)
        if known is None or known.window is None or event.channel is None:
            return
        window, counted = after_sign(known.window, event.channel, event.received_at.timestamp())
        if counted:
            self.windows += counted
            self._remember(event.install_key, replace(known, window=window))

    def _crash(self, event: Event, happened_at: datetime) -> Iterator[Told]:
        known = with_crash(
            self._known.get(event.install_key),
            happened_at.timestamp(),
            event.received_at.timestamp(),
        )
        signature = signature_of(event)
        if known is not None:
            self._remember(event.install_key, known)
        elif signature is None:
            return
        # The launcher and the app tell of one crash each, and only the app can name it.
        for study in self._on(event.channel):
            yield (
                study.rollout,
                Crash(
                    at=study.stretch.instant(event.received_at),
                    happened_at=study.stretch.instant(happened_at),
                    install=event.install_key,
                    event=hashlib.sha256(event.id.encode()).digest(),
                    signature="" if signature is None else signature.comparable,
                    new=signature is not None and is_new(study.signatures, signature),
                    again=known is None,
                ),
            )

    def _update(self, event: Event) -> Iterator[Told]:
        studies = self._on(event.channel)
        step, ok = _step(event)
        for study in studies:
            if step is not None and event.version == study.version:
                at = study.stretch.instant(event.received_at)
                yield study.rollout, Stepped(at=at, install=event.install_key, step=step, ok=ok)

    def _metric(self, event: Event) -> Iterator[Told]:
        name, value = event.body.get("name"), event.body.get("value")
        if not isinstance(name, str) or not isinstance(value, int | float):
            return
        for study in self._on(event.channel):
            if any(measured.name == name for measured in study.settings.measured):
                yield (
                    study.rollout,
                    Score(
                        at=study.stretch.instant(event.received_at),
                        happened_at=study.stretch.instant(event.at),
                        install=event.install_key,
                        metric=name,
                        value=float(value),
                    ),
                )

    # --- both ----------------------------------------------------------------------------

    def _left(
        self, record: Contact | Event, studies: Iterable[Watched], *, for_good: bool = True
    ) -> Iterator[Told]:
        received_at = record.at if isinstance(record, Contact) else record.received_at
        for study in studies:
            at = study.stretch.instant(received_at)
            yield study.rollout, Left(at=at, install=record.install_key, for_good=for_good)

    def _on(self, channel: str | None) -> Sequence[Watched]:
        """Return the studies of *channel*; all where it is not known: no member, no effect."""
        return [study for study in self._studies if channel in {None, study.channel}]

    def _remember(self, install: bytes, history: History) -> None:
        self._known[install] = history
        self.changed.add(install)


def _sign_of_life(study: Watched, contact: Contact, known: History | None) -> Fact:
    """Return what a check-in tells *study*: eligible installs are seen, others only live."""
    at = study.stretch.instant(contact.at)
    install = contact.install_key
    eligible = contact.rollout == study.rollout and contact.reason != Reason.STALE_SERVER
    taken_first = known is not None and known.taken_first == study.rollout
    if not eligible or taken_first or contact.arm is None or contact.bucket is None:
        on_release = contact.version == study.version
        return Session(at=at, install=install, on_release=on_release)
    settings = study.settings
    return Seen(
        at=at,
        install=install,
        bucket=contact.bucket,
        platform=contact.platform,
        internal=contact.arm is Arm.INTERNAL,
        aged=is_aged(
            known,
            study.published_at.get(contact.platform, study.stretch.origin),
            study.stretch,
            minimum_age_seconds=settings.minimum_age_seconds,
            minimum_check_ins=settings.minimum_check_ins,
        ),
        crashes=crashes_before(known, study.stage_opened_at, study.stretch),
        gap_seconds=usual_gap(known, study.stage_opened_at, study.stretch),
        network=contact.network,
    )


def _step(event: Event) -> tuple[Step | None, bool]:
    """Return the step of the update that *event* is about, and whether it was done."""
    if event.phase is Phase.ROLLED_BACK:
        return Step.LAUNCH, False
    if event.phase is Phase.FAILED:
        error = event.body.get("error")
        category = error.get("category") if isinstance(error, Mapping) else None
        return _FAILED.get(str(category)), False
    return (_DONE.get(event.phase), True) if event.phase else (None, True)


def _ended_at(event: Event) -> datetime:
    """Return when a session that crashed ended.

    The next start tells of it, and a candidate is started again sooner, by its update. Without
    a duration it is the session's start that is known; and nothing ends after it is told. What was
    cut off its times must not make a crash within the second of its first contact older than that.
    """
    started = event.body.get("started")
    if not isinstance(started, str):
        return event.at
    try:
        began = datetime.fromisoformat(started)
        seconds = float(event.body.get("duration_seconds") or 0)
        return min(event.at, began + timedelta(seconds=seconds) + _TOLD_IN)
    except (ValueError, TypeError, OverflowError):
        return event.at
