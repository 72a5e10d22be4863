"""Make crash events of the minidumps among records that are about to be digested.

This goes before the digest's transaction, for it takes time; the files are dropped after that. So
a kill at any point leaves a dump that is read again, or an orphan that is swept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from update_server.crashes.minidump import is_minidump
from update_server.crashes.own_events import report_of
from update_server.evidence.facts import Rule
from update_server.service.ports import Clock, Contact, Event, NotFoundError
from update_server.service.ports.counters import Counted
from update_server.service.ports.dumps import DumpFiles, DumpFrame, DumpReader, DumpReport
from update_server.service.telemetry.counting import REJECTED

DUMP_KIND: Final = "minidump"
_REPORTS: Final = frozenset({"crash", "error"})
UNPARSED: Final = "unparsed minidump"
"""The type of a crash whose dump is malformed, or ended the process that read it."""

MOST_SECONDS: Final = 1.0
"""How long one round reads dumps; of those after that it is only told that there was a crash."""

ORPHAN_AGE: Final = timedelta(days=1)

_TAG_BYTES: Final = 8  # of an install that only a token names

_NOT_A_DUMP: Final = "not_a_minidump"
_UNPARSED: Final = "unparsed_minidump"
_TOO_MANY: Final = "too_many_minidumps"
_LOST: Final = "lost_minidump"

# What intake said of the process that stays said; the rest the dump says better.
_KEPT: Final = ("reporter", "ptype", "process_type")
_SYSTEMS: Final[Mapping[str, str]] = {  # as SDKs call them
    "android": "Android",
    "ios": "iOS",
    "linux": "Linux",
    "macos": "macOS",
    "windows": "Windows",
}

Records = Sequence[Contact | Event]

VersionOf = Callable[[str, str], str | None]
"""Which version of an app has a program with this debug ID; None when that is not known.

Releases do not say yet which debug IDs their files have. Who adds that gives it to ``Dumps``.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a round read: ``files`` to drop after its commit, and what it has to count in it."""

    files: tuple[str, ...] = ()
    counted: tuple[Counted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a minidump became: ``report`` None means that it tells no more than a crash.

    ``why_not`` is the reason for that; of what is no minidump at all, no crash ``is_left``.
    """

    report: DumpReport | None = None
    why_not: str = ""
    is_left: bool = True


class Dumps:
    """The minidumps of the digest, which is one thread."""

    def __init__(
        self,
        files: DumpFiles,
        reader: DumpReader,
        clock: Clock,
        *,
        most_seconds: float = MOST_SECONDS,
        version_of: VersionOf = lambda _app, _debug_id: None,
    ) -> None:
        self._files = files
        self._reader = reader
        self._clock = clock
        self._most_seconds = most_seconds
        self._version_of = version_of

    def read(self, records: Records) -> tuple[Records, Spent]:
        """Return *records* with a crash for each minidump, and what that spent.

        The dump that an SDK sent along with an event goes into that event: one crash is one. What
        is no dump at all is no crash; and where an app only asked for a dump of itself, that is an
        error that it handled.
        """
        events = [one for one in records if isinstance(one, Event)]
        dumps = [one for one in events if one.kind == DUMP_KIND]
        if not dumps:
            return records, Spent()
        until = self._clock.monotonic() + self._most_seconds
        reads = {id(dump): self._read(dump, until) for dump in dumps}
        told = {_identity(one, one.id) for one in events if one.kind in _REPORTS}
        beside = {_report_beside(dump): reads[id(dump)] for dump in dumps}
        kept: list[Contact | Event] = []
        for record in records:
            if isinstance(record, Contact):
                kept.append(record)
            elif record.kind != DUMP_KIND:
                read = beside.get(_identity(record, record.id))
                kept.append(_with_dump(record, read) if read else record)
            elif _report_beside(record) not in told and reads[id(record)].is_left:
                kept.append(self._crash(record, reads[id(record)]))
        return kept, _spent(dumps, reads)

    def drop(self, spent: Spent) -> None:
        """Remove the files of a round that is committed."""
        self._files.drop(spent.files)

    def sweep(self) -> int:
        """Remove orphans, and return how many. Only while no event waits for as long as a day.

        The file of such an event would be taken for one.
        """
        return self._files.sweep(self._clock.now(), ORPHAN_AGE)

    def close(self) -> None:
        """End what reads dumps."""
        self._reader.close()

    def _read(self, dump: Event, until: float) -> _Read:
        if self._clock.monotonic() >= until:
            return _Read(why_not=_TOO_MANY)
        try:
            data = self._files.read(_text(dump, "file"))
        except NotFoundError:
            return _Read(why_not=_LOST)
        if not is_minidump(data):
            return _Read(why_not=_NOT_A_DUMP, is_left=False)
        report = self._reader.read(data)
        return _Read(report=report, why_not="" if report else _UNPARSED)

    def _crash(self, dump: Event, read: _Read) -> Event:
        """Return the event that a minidump stands for.

        It has the ID of the report that came with it: that is in the next batch, or in an earlier
        one, if the two were read apart, and the crash is still one.
        """
        kept = {name: dump.body[name] for name in _KEPT if name in dump.body}
        crash = replace(
            dump,
            id=_text(dump, "event_id") or dump.id,
            kind=_kind(read),
            body={**_body(read), **kept},
        )
        # What came with a token is about one of its releases, and here it is not known which.
        if dump.version or len(dump.install_key) == _TAG_BYTES or read.report is None:
            return crash
        version = self._version_of(dump.app, read.report.main_debug_id)
        if version is None:
            return crash
        is_known = dump.quarantine == Rule.UNKNOWN_VERSION
        return replace(crash, version=version, quarantine="" if is_known else dump.quarantine)


def _with_dump(event: Event, read: _Read) -> Event:
    """Return an SDK's report with what its dump says, unless it has frames of its own."""
    if event.kind not in _REPORTS or not read.is_left:
        return event
    report = report_of(event.body)
    if report is not None and (report.frames or read.report is None):
        return event
    kind = "crash" if _kind(read) == "crash" else event.kind
    return replace(event, kind=kind, body={**event.body, **_body(read)})


def _kind(read: _Read) -> str:
    return "error" if read.report is not None and not read.report.is_crash else "crash"


def _body(read: _Read) -> dict[str, Any]:
    """Return the body of a crash (``own_events.report_of``); empty where nobody looked."""
    report = read.report
    if report is None:
        return {"exception": {"type": UNPARSED}} if read.why_not == _UNPARSED else {}
    told = {
        "platform": "native",
        "exception": {"type": report.error},
        "crashed_thread": [_frame(frame) for frame in report.frames],
        "os": {"name": _SYSTEMS[report.os]} if report.os in _SYSTEMS else {},
        "arch": report.arch,
        "main_module": report.main_module,
        "debug_id": report.main_debug_id,
        **report.annotations,
    }
    return {name: value for name, value in told.items() if value}


def _frame(frame: DumpFrame) -> dict[str, Any]:
    told = {
        "module": frame.module,
        "in_app": frame.in_app,
        "offset": frame.offset,
        "debug_id": frame.debug_id or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _spent(dumps: Sequence[Event], reads: Mapping[int, _Read]) -> Spent:
    rejected = Counter((dump.app, reads[id(dump)].why_not) for dump in dumps)
    counted = (
        Counted(app=app, name=REJECTED, labels=(("reason", why_not),), by=by)
        for (app, why_not), by in rejected.items()
        if why_not
    )
    return Spent(files=tuple(_text(dump, "file") for dump in dumps), counted=tuple(counted))


def _identity(event: Event, name: str) -> tuple[str, bytes, str]:
    return event.app, event.install_key, name


def _report_beside(dump: Event) -> tuple[str, bytes, str]:
    """Return the identity of the report that came with a dump; of nothing, where none did."""
    return _identity(dump, _text(dump, "event_id"))


def _text(dump: Event, name: str) -> str:
    return str(dump.body.get(name, ""))
