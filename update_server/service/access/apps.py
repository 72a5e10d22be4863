"""Apps: taking one in, and telling which there are.

Taking in is the first of two halves: it makes the app's online keys, whose public halves
the publisher then signs into the root. ``service.repository.publish`` completes the registration
when that root, the targets and the policies are submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from update_server.service.access.caller import Caller
from update_server.service.ports import App, Clock, Database, NotFoundError, Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownApp:
    """An app, and the public halves of its online keys by role."""

    app: App
    online_keys: Mapping[str, Mapping[str, Any]]


class AppRegistry:
    """Registered apps, and those on their way there."""

    def __init__(self, database: Database, signer: Signer, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    def all(self, app: str | None = None) -> Sequence[App]:
        """Return every app by name, or only *app*."""
        with self._database.reading() as stores:
            return [each for each in stores.apps.all() if app is None or each.name == app]

    def named(self, name: str) -> App:
        """Return one app. Raises NotFoundError."""
        with self._database.reading() as stores:
            return stores.apps.get(name)

    def get(self, name: str) -> KnownApp:
        """Return one app with its online keys. Raises NotFoundError, SignerRefusedError."""
        app = self.named(name)
        return KnownApp(app=app, online_keys=self._signer.online_keys(name))

    def add(
        self, caller: Caller, name: str, channels: Sequence[str], platforms: Sequence[str]
    ) -> tuple[KnownApp, bool]:
        """Take an app in; return it, and whether it is new.

        Asking again gives the same answer, and adds channels and platforms that are new. So
        does asking after a crash between the two steps: the signer makes keys only once.
        """
        now = self._clock.now()
        with self._database.transaction() as stores:
            try:
                known = stores.apps.get(name)
            except NotFoundError:
                known = None
            if known is None:
                wanted = App(
                    name=name,
                    number=0,  # the store assigns it
                    created_at=now,
                    channels=_union((), channels),
                    platforms=_union((), platforms),
                )
                app = stores.apps.add(wanted)
            else:
                app = replace(
                    known,
                    channels=_union(known.channels, channels),
                    platforms=_union(known.platforms, platforms),
                )
                if app != known:
                    stores.apps.update(app)
            if app != known:
                stores.audit.append(
                    at=now,
                    actor=caller.name,
                    action="app.add" if known is None else "app.extend",
                    app=name,
                    subject=name,
                    before=_shape(known) if known else {},
                    after=_shape(app),
                )
        return KnownApp(app=app, online_keys=self._signer.new_app(name)), known is None


def _union(known: Sequence[str], more: Iterable[str]) -> tuple[str, ...]:
    """Return *known* in its order, then what is new, each once."""
    return tuple(dict.fromkeys((*known, *more)))


def _shape(app: App) -> Mapping[str, Any]:
    return {"channels": list(app.channels), "platforms": list(app.platforms)}
