"""What the launcher tells an app, in its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_data_path

LAUNCH, ROOT, APP = "SERINUS_LAUNCH", "SERINUS_ROOT", "SERINUS_LAUNCH_APP"
OWN = frozenset({LAUNCH, ROOT, APP, f"{LAUNCH}_FD"})


def launch_of(app: str, environment: Mapping[str, str]) -> str | None:
    """Return which start of *app* this process is, if a launcher started it."""
    return environment.get(LAUNCH) if _is_for(app, environment) else None


def root_of(app: str, environment: Mapping[str, str]) -> Path:
    """Return where the versions of *app* live: where its launcher says, else the user's data."""
    found = environment.get(ROOT) if _is_for(app, environment) else None
    return Path(found) if found else user_data_path(app, appauthor=False) / "serinus"


def _is_for(app: str, environment: Mapping[str, str]) -> bool:
    """Return whether a launcher spoke to *app*, and not to an app that started this one."""
    return environment.get(APP, app) == app
