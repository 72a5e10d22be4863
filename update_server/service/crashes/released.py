"""Which versions were published. Anybody may tell of any number of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.version import Version

from rollout.errors import InvalidVersionError
from rollout.versions import parse_version, render_version
from update_server.service.ports import Stores


class ReleasedVersions:
    """Versions that are known to be published. They stay so, and are read again for others."""

    def __init__(self) -> None:
        self._spellings: dict[str, dict[Version, str]] = {}
        self._on: dict[str, set[tuple[str, str]]] = {}

    def spelled(
        self, stores: Stores, told: Iterable[tuple[str, str]]
    ) -> Mapping[tuple[str, str], str]:
        """Return for each pair of app and version how its release spells that version.

        Pairs of which nothing was published are not in it.
        """
        found: dict[tuple[str, str], str] = {}
        read: set[str] = set()
        for app, text in set(told):
            version = _parsed(text)
            if version is None:
                continue
            if version not in self._spellings.get(app, {}) and app not in read:
                read.add(app)
                self._read(stores, app)
            spelling = self._spellings.get(app, {}).get(version)
            if spelling is not None:
                found[app, text] = spelling
        return found

    def is_on(self, app: str, channel: str | None, version: str) -> bool:
        """Return whether *version*, as it is spelled, was published on that channel."""
        return (channel, version) in self._on.get(app, set())

    def _read(self, stores: Stores, app: str) -> None:
        self._spellings[app] = spellings_of(stores, app)
        self._on[app] = {
            (channel, self._spellings[app][version])
            for channel, version in stores.releases.versions(app)
        }


def spellings_of(stores: Stores, app: str) -> dict[Version, str]:
    """Return how each published version is spelled: 2.1 and 2.1.0 are one version."""
    found: dict[Version, str] = {}
    for _, version in stores.releases.versions(app):
        text = render_version(version)
        found[version] = min(text, found.get(version, text))
    return found


def _parsed(text: str) -> Version | None:
    try:
        return parse_version(text)
    except InvalidVersionError:
        return None
