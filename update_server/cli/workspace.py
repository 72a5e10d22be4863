"""A publisher's workspace: the folder with ``serinus.toml``, keys and an admin token.

Not here: the ``[server]`` table of the same file (``update_server.config``).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from update_server.cli.errors import UsageError

FILE = "serinus.toml"
ROOT_FILE = "root.json"
TOKEN_FILE = "admin.token"  # noqa: S105 - a file's name
DEFAULT_SERVER = "http://127.0.0.1:8081"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What commands take from the workspace when a flag does not say otherwise.

    ``keys`` maps the offline roles (root, publisher or targets, policy, releases) to key
    URIs; paths in them are relative to the workspace.
    """

    folder: Path
    server: str = DEFAULT_SERVER
    app: str | None = None
    channel: str = "stable"
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def config_file(self) -> Path:
        """The file that makes the folder a workspace."""
        return self.folder / FILE

    @property
    def token_file(self) -> Path:
        """Where the workspace keeps its admin token."""
        return self.folder / TOKEN_FILE

    def root_file(self, app: str) -> Path:
        """Return where the workspace keeps the root that builds of *app* compile in."""
        return self.folder / (ROOT_FILE if app == self.app else f"root-{app}.json")

    def key_uri(self, role: str) -> str:
        """Return the URI of the key that signs for *role*, with an absolute path.

        Raises:
            UsageError: The workspace names no key for it.
        """
        uri = self.keys.get(role) or self.keys.get("publisher" if role != "root" else "root")
        if uri is None:
            raise UsageError("no_key", f"{self.config_file} names no key for {role} in [keys]")
        scheme, _, rest = uri.partition(":")
        if scheme in {"srnkey", "file2"}:
            return f"{scheme}:{self.folder / rest}"
        return uri


def find(start: Path) -> Workspace | None:
    """Return the workspace of *start* or of the nearest folder above it, if there is one.

    ``SERINUS_WORKSPACE`` names it outright.
    """
    named = os.environ.get("SERINUS_WORKSPACE")
    folders = [Path(named)] if named else [start, *start.parents]
    for folder in folders:
        if (folder / FILE).is_file():
            return load(folder)
    if named:
        raise UsageError("no_workspace", f"SERINUS_WORKSPACE={named} has no {FILE}")
    return None


def load(folder: Path) -> Workspace:
    """Read the workspace at *folder*; raises UsageError for a file that is wrong."""
    path = folder / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError("bad_workspace", f"{path} cannot be read: {why}") from error
    publisher = _table(path, document, "publisher")
    unknown = set(publisher) - {"server", "app", "channel"}
    if unknown:
        raise UsageError("bad_workspace", f"{path}: [publisher] has no setting {min(unknown)!r}")
    return Workspace(
        folder=folder.absolute(), **publisher, keys=MappingProxyType(_table(path, document, "keys"))
    )


def _table(path: Path, document: Mapping[str, Any], name: str) -> dict[str, str]:
    table = document.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise UsageError("bad_workspace", f"{path}: [{name}] must hold texts in quotes only")
    return table
