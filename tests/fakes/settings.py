"""Settings of apps in memory."""

from __future__ import annotations

from tests.fakes.state import State
from update_server.service.ports.settings import AppSettings


class FakeSettings:
    """See settings_ports.SettingsStore."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get(self, app: str) -> AppSettings:
        return self._state.settings.get(app, AppSettings())

    def put(self, app: str, settings: AppSettings) -> None:
        self._state.write()
        self._state.require_app(app)
        self._state.settings[app] = settings
