"""What stays the same of crashes, and so is asked for once: their titles, and what was known."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Final

from rollout.model import Rollout, RolloutId
from update_server.service.crashes.facts import known_signatures
from update_server.service.ports import Stores

_Name = tuple[str, str]  # an app, and a signature

_KEPT: Final = 64
_TITLES: Final = 10_000


class Titles:
    """Remembers what crashes are called. A signature's title is that of what was seen of it first.

    Should an older report come in later, its title is told by whoever starts after that.
    """

    def __init__(self) -> None:
        self._known: dict[_Name, str] = {}

    def of(self, stores: Stores, names: Collection[_Name]) -> Mapping[_Name, str]:
        """Return the titles of these apps and signatures, as far as there are any."""
        unknown = [name for name in names if name not in self._known]
        if unknown:
            if len(self._known) > _TITLES:
                self._known = {}
                unknown = list(names)
            self._known |= stores.crashes.titles(unknown)
        return {name: self._known[name] for name in names if name in self._known}


class KnownBefore:
    """Remembers what was known before the releases of the rollouts that were looked at last."""

    def __init__(self) -> None:
        self._known: OrderedDict[RolloutId, frozenset[str]] = OrderedDict()

    def release(self, stores: Stores, rollout: Rollout) -> frozenset[str]:
        """Return the signatures that were known when the rollout's version was published."""
        known = self._known.get(rollout.id)
        if known is None:
            known = _known(stores, rollout)
            self._known[rollout.id] = known
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known


def _known(stores: Stores, rollout: Rollout) -> frozenset[str]:
    app, channel, version = rollout.app, rollout.channel, rollout.version
    parts = stores.releases.get(app, channel, version)
    published_at = min((each.admitted_at for each in parts), default=rollout.started_at)
    return known_signatures(stores, app, channel, version, published_at)
