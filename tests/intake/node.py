"""Node and its SDK: installed once, outside of the project."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs

VERSION = "11.12.0"
_SECONDS = 300


class NodeMissingError(Exception):
    """Node, or the network that its SDK comes from, is not there."""


@functools.cache
def sdk_folder() -> Path:
    """Return the ``node_modules`` with @sentry/node, after bringing it.

    Raises:
        NodeMissingError: It says which of the two is missing.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NodeMissingError("needs Node and npm")
    cache = Path(platformdirs.user_cache_dir("serinus-tests"))
    kept = cache / f"sentry-node-{VERSION}"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _install(Path(folder) / "new")
            # Another process of the test run may have been faster.
            try:
                (Path(folder) / "new").rename(kept)
            except OSError:
                if not kept.exists():
                    raise
    return kept / "node_modules"


def _install(folder: Path) -> None:
    folder.mkdir()
    quiet = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent")
    done = subprocess.run(
        ["npm", "install", *quiet, f"@sentry/node@{VERSION}"],
        cwd=folder,
        env=os.environ | {"NODE_ENV": "production"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode != 0:
        raise NodeMissingError(f"npm could not bring @sentry/node: {done.stderr.strip()[-300:]}")
