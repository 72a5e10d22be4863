"""Which version a report is about: what it says of itself, among the releases that are known.

A crash is often told by the next start, which after an update is another version. So neither the
time nor the last check-in decides (docs/protocol.md, Crash reports).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from packaging.version import Version

from rollout.errors import InvalidVersionError
from rollout.model import Release
from rollout.versions import parse_version, render_version
from update_server.evidence.facts import Rule
from update_server.service.agents.table import AppTable
from update_server.service.agents.tokens import Bearer
from update_server.service.telemetry.plausible import is_published, why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributed:
    """What a report is about. ``version`` is empty when it names none.

    ``quarantine`` says why it is set aside, and is empty when it is not.
    """

    version: str
    quarantine: str
    channel: str | None = None
    platform: str | None = None


def attribute(table: AppTable, told: Sequence[str], bearer: Bearer | None) -> Attributed:
    """Return what a report is about that names the releases *told*, the surest first.

    The first that is known here counts, however old it is. What came with a token may be about
    what ran before, but not about what is newer than all on its channel (``plausible.why_not``).
    """
    spelled = [version for text in told for version in versions_in(text)]
    known = next((known for version in spelled for known in _known(table, version)), None)
    release = _release_of(table, bearer)
    version = known if known is not None else next(iter(spelled), None)
    return Attributed(
        version="" if version is None else render_version(version),
        quarantine=_why_not(table, version, bearer),
        channel=release.channel if release else None,
        platform=release.platform if release else None,
    )


def versions_in(release: str) -> Iterator[Version]:
    """Yield what *release* may mean: ``name@version+build`` with and without its build."""
    text = release.rpartition("@")[2].strip()
    for spelling in (text, text.partition("+")[0]) if "+" in text else (text,):
        try:
            yield parse_version(spelling)
        except InvalidVersionError:
            continue


def _why_not(table: AppTable, version: Version | None, bearer: Bearer | None) -> str:
    if bearer is None:
        is_known = version is not None and is_published(table, version)
        return "" if is_known else Rule.UNKNOWN_VERSION
    if bearer.is_expired:
        return Rule.EXPIRED_TOKEN
    return why_not(table, bearer.token, version) or ""


def _known(table: AppTable, version: Version) -> Iterator[Version]:
    """Yield *version* as it is known here: 2.0 and 2.0.0 are one, and have one name."""
    for releases in table.releases.values():
        if version in releases:
            yield releases[version].release.version


def _release_of(table: AppTable, bearer: Bearer | None) -> Release | None:
    """Return the release that the token names: the assigned one, else what runs."""
    if bearer is None:
        return None
    token = bearer.token
    return table.by_number.get(token.assigned) or table.by_number.get(token.running)
