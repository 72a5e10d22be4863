"""Which crashes were known before a release: asked for once, for it is the same ever after."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from rollout.model import Rollout, RolloutId
from update_server.service.crashes.facts import known_signatures
from update_server.service.ports import Stores

_KEPT: Final = 64


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
