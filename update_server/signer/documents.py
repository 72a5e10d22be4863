"""The verified documents of a signed state: what the signer compares a wish with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version
from tuf.api.metadata import Targets

from rollout.model import Policy, Release, RolloutDocument
from signing.chain import walk
from signing.contents import contents_of
from signing.errors import TrustError
from signing.roles import RoleKind, parse_role, rollout_role
from signing.state import RepositoryState
from signing.verify import policy_of, rollout_of
from update_server.service.ports import SignerRefusedError


@dataclass(frozen=True, slots=True)
class SignedDocuments:
    """The verified documents of a signed state."""

    app: str
    delegated: Mapping[str, Targets]

    @classmethod
    def read(cls, state: RepositoryState) -> SignedDocuments:
        try:
            return cls(state.app, walk(state.app, state.metadata).delegated)
        except TrustError as error:
            raise SignerRefusedError("not_registered", f"{state.app}: {error}") from error

    def policy(self, channel: str) -> Policy:
        targets = self.delegated.get(RoleKind.POLICY)
        for target in targets.targets.values() if targets else ():
            if target.path.endswith(f"/{channel}.json"):
                return policy_of(target, self.app, channel)
        raise SignerRefusedError("no_policy", f"{self.app} has no policy for {channel}")

    def rollout(self, channel: str) -> RolloutDocument | None:
        targets = self.delegated.get(rollout_role(channel))
        for target in targets.targets.values() if targets else ():
            return rollout_of(target, self.app, channel)
        return None

    def releases(self, channel: str) -> Mapping[str, Mapping[Version, Release]]:
        """Return the signed releases of *channel*, by platform and version."""
        found: dict[str, dict[Version, Release]] = {}
        for name, targets in self.delegated.items():
            role = parse_role(name)
            if role is None or role.kind is not RoleKind.RELEASES or role.channel != channel:
                continue
            contents = contents_of(self.app, role, targets)
            found[role.platform] = dict(contents.releases)
        return found
