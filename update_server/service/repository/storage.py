"""What published storage holds, read as it stands there: for checking and for rebuilding.

Not here: who serves it (``service.agents.files``), and writing it (``service.repository.states``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from signing.errors import TrustError
from signing.inspection import RepositoryReport, verify_repository
from signing.metadata import parse_snapshot, parse_timestamp
from signing.roles import ROOT, SNAPSHOT, TIMESTAMP
from update_server.service.agents.placement import public_key
from update_server.service.ports import Blobs, NotFoundError

_TIMESTAMP_KEY: Final = re.compile(r"apps/([^/]+)/tuf/timestamp\.json")
_ROOT_KEY: Final = re.compile(r"([1-9][0-9]*)\.root\.json")


def stored_apps(blobs: Blobs) -> list[str]:
    """Return the apps that have a published repository."""
    keys = (_TIMESTAMP_KEY.fullmatch(key) for key in blobs.list("apps/"))
    return sorted(match[1] for match in keys if match)


def newest_metadata(app: str, blobs: Blobs) -> dict[str, bytes]:
    """Return the newest published bytes of every role, signatures unverified.

    Raises:
        TrustError: A file is missing, or is no metadata.
    """
    timestamp = _read(app, f"{TIMESTAMP}.json", blobs)
    version = parse_timestamp(timestamp).signed.snapshot_meta.version
    snapshot = _read(app, f"{version}.{SNAPSHOT}.json", blobs)
    metadata = {TIMESTAMP: timestamp, SNAPSHOT: snapshot}
    for name, meta in parse_snapshot(snapshot).signed.meta.items():
        metadata[name.removesuffix(".json")] = _read(app, f"{meta.version}.{name}", blobs)
    newest_root = max(_root_versions(app, blobs), default=0)
    metadata[ROOT] = _read(app, f"{newest_root}.{ROOT}.json", blobs)
    return metadata


def verified(app: str, blobs: Blobs, now: datetime) -> RepositoryReport:
    """Walk the published repository from its first root, as an agent would at *now*.

    Raises:
        TrustError: Agents can trust none of it.
    """
    first_root = min(_root_versions(app, blobs), default=0)
    root = _read(app, f"{first_root}.{ROOT}.json", blobs)

    def fetch(path: str, most_bytes: int) -> bytes | None:
        try:
            with blobs.open(public_key(app, path)) as file:
                return file.read(most_bytes)
        except NotFoundError:
            return None

    return verify_repository(app, root, fetch, now)


def _root_versions(app: str, blobs: Blobs) -> Sequence[int]:
    prefix = public_key(app, "tuf/")
    names = (key.removeprefix(prefix) for key in blobs.list(prefix))
    return [int(match[1]) for name in names if (match := _ROOT_KEY.fullmatch(name))]


def _read(app: str, name: str, blobs: Blobs) -> bytes:
    try:
        return blobs.read(public_key(app, f"tuf/{name}"))
    except NotFoundError as error:
        raise TrustError("missing_file", name, "it is not in storage") from error
