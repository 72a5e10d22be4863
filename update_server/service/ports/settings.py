"""What an app's operators set for its telemetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """Settings of one app. ``app_keys`` (32 hex digits each) open crash intake without a token.

    ``crash_messages``: keep what exceptions say, scrubbed. ``tags``: names of tags to keep.
    ``atom``: let everybody read what becomes of the app's rollouts, as a feed.
    """

    crash_messages: bool = False
    tags: tuple[str, ...] = ()
    app_keys: tuple[str, ...] = ()
    atom: bool = False


class SettingsStore(Protocol):
    """Settings by app; those of an app that nobody set are the defaults."""

    def get(self, app: str) -> AppSettings: ...
    def put(self, app: str, settings: AppSettings) -> None: ...  # NotFoundError
