"""``serinus-agent tuf-conformance``: the adapter for the public suite of TUF clients.

It runs the agent's own refresh, fetcher and floor on one metadata folder, so that what the suite
proves holds for agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater

from client_agent.clock import SystemClock
from client_agent.config import NetworkSettings
from client_agent.errors import Code, TrustError
from client_agent.network.transport import Transport
from client_agent.platforms import current
from client_agent.trust.floor import FloorFile
from client_agent.trust.metadata import Metadata, refresh

TRUSTED_ROOT = "trusted-root"
"""The root that stands for the compiled-in one. No ``.json``: it is no metadata of the cache."""


def init(folder: Path, root: Path) -> None:
    """Trust *root* from now on, in *folder*; raises OSError."""
    data = root.read_bytes()
    (folder / TRUSTED_ROOT).write_bytes(data)
    (folder / "root.json").write_bytes(data)


def run_refresh(folder: Path, url: str) -> Metadata:
    """Refresh *folder* from *url* and return what is trusted.

    Raises:
        AgentError: Anything else than complete success.
        OSError: There is no trusted root.
    """
    clock, floors = SystemClock(), FloorFile(folder, current())
    transport = Transport(url, NetworkSettings(unsafe_allow_http=True), clock)
    root = (folder / TRUSTED_ROOT).read_bytes()
    metadata, floor = refresh(folder, url, root, transport, floors.load()[0], clock.now())
    floors.save(floor)
    return metadata


def run_download(
    folder: Path, url: str, names: Sequence[str], targets_url: str, targets: Path
) -> None:
    """Download and verify the files *names* into *targets*, in order.

    Raises:
        AgentError, OSError: One could not be had; those after it were not tried.
    """
    metadata = run_refresh(folder, url)
    updater: Updater = metadata.updater
    updater.target_dir = str(targets)
    for name in names:
        found = metadata.find(name)
        if found is None:
            raise TrustError(Code.BAD_DOCUMENT, f"{name} is no target")
        try:
            if updater.find_cached_target(found) is None:
                updater.download_target(found, target_base_url=targets_url)
        except (DownloadError, RepositoryError) as error:
            raise TrustError(Code.HASH_MISMATCH, f"{name}: {error}") from error
