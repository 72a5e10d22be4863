"""Register an app: sign its first root, targets and policies, and hand them in.

The server makes the online keys and tells their public halves; the offline keys sign them
into the root here. ``serinus init`` and ``serinus app add`` take this same road.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key, Signer

from rollout.errors import RolloutError
from signing.ceremony import first_repository
from signing.errors import SigningError
from signing.keys import describe, load_signer, new_key
from signing.public_keys import parse_key
from signing.roles import Layout
from update_server.cli.api import AdminApi, app_path
from update_server.cli.errors import CliError, UsageError
from update_server.cli.workspace import Workspace

ROOT_KEY = "root.key"
PUBLISHER_KEY = "publisher.key"
BACKUP_KEY = "root-backup.key"
ROLE_KEYS = ("targets", "policy", "releases")


def layout_of(
    app: str,
    channels: tuple[str, ...],
    platforms: tuple[str, ...],
    *,
    separate_keys: bool = False,
) -> Layout:
    """Return the role table of an app; raises UsageError for a name that breaks a rule."""
    try:
        return Layout(app=app, channels=channels, platforms=platforms, separate_keys=separate_keys)
    except RolloutError as error:
        raise UsageError("bad_name", str(error)) from error


def this_platform() -> str:
    """Return this machine's platform in our words, such as ``linux-x86_64``."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = {"AMD64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{system}-{re.sub(r'[^a-z0-9_]', '_', machine.lower())}"


def make_keys(folder: Path, passphrase: bytes, now: datetime, *, separate: bool) -> dict[str, str]:
    """Make the offline keys in *folder* and return their URIs by role, for ``[keys]``.

    With *separate* each offline role has a key of its own, else one publisher key signs for
    targets, policy and releases. A second root key is made to be printed and put away.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {"root": ROOT_KEY} | (
        {role: f"{role}.key" for role in ROLE_KEYS} if separate else {"publisher": PUBLISHER_KEY}
    )
    for role, file in (*files.items(), ("root backup", BACKUP_KEY)):
        new_key(folder / file, passphrase, role, now)
    return {role: f"srnkey:{folder.name}/{file}" for role, file in files.items()}


def register(
    api: AdminApi,
    workspace: Workspace,
    layout: Layout,
    policies: Mapping[str, bytes],
    passphrase: Callable[[str], bytes],
    now: datetime,
) -> dict[str, Any]:
    """Register the layout's app at the server and keep its root in the workspace.

    Returns:
        The server's answer to the submission.

    Raises:
        CliError: The server refused, or a key cannot be used.
    """
    request = {
        "app": layout.app,
        "channels": list(layout.channels),
        "platforms": list(layout.platforms),
    }
    made = api.post("/v1/admin/apps", request)
    online = {role: parse_key(key) for role, key in made["online_keys"].items()}
    try:
        uris = {role: workspace.key_uri(role) for role in ("root", *ROLE_KEYS)}
        # One publisher key may sign for several roles, and opening it takes half a second.
        opened = {uri: load_signer(uri, passphrase) for uri in dict.fromkeys(uris.values())}
        signers: dict[str, Sequence[Signer]] = {role: [opened[uri]] for role, uri in uris.items()}
        metadata = first_repository(
            layout, signers, online, policies, now, spare_keys=_spare_keys(workspace)
        )
    except SigningError as error:
        raise CliError(error.code, str(error)) from error
    answer = api.post(
        app_path(layout.app, "signing"),
        {"metadata": {role: data.decode() for role, data in metadata.items()}, "base": {}},
    )
    _write_root(workspace.root_file(layout.app), metadata["root"])
    return answer


def _write_root(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _spare_keys(workspace: Workspace) -> Mapping[str, Sequence[Key]]:
    backup = workspace.folder / "keys" / BACKUP_KEY
    return {"root": [describe(backup).public_key]} if backup.exists() else {}
