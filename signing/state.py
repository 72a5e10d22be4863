"""The state of a signed repository: newest bytes of each role, and numbers that are burned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rollout.errors import RolloutError
from rollout.names import check_app
from signing.errors import BadStateError, TrustError
from signing.metadata import version_of
from signing.roles import ROOT, parse_role

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryState:
    """The newest signed bytes of every role, and the highest version ever seen of each.

    ``highest`` may be ahead of ``metadata``: numbers seen in a journal, in storage, in the
    signer's memory or at a check-in are burned. Roles that targets no longer delegates to
    stay, for a snapshot must never forget one.
    """

    app: str
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    highest: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> dict[str, int]:
        """The highest version known of each role: what a submission builds upon."""
        current = {role: version_of(data) for role, data in self.metadata.items()}
        roles = [*current, *(role for role in self.highest if role not in current)]
        return {role: max(current.get(role, 0), self.highest.get(role, 0)) for role in roles}

    def next_version(self, role: str) -> int:
        """Return the version that the next metadata of *role* must bear."""
        current = version_of(self.metadata[role]) if role in self.metadata else 0
        if role == ROOT:  # TUF 5.3.5: agents walk root by root, so it has no gaps
            return current + 1
        return max(current, self.highest.get(role, 0)) + 1

    def having_seen(self, versions: Mapping[str, int]) -> RepositoryState:
        """Return this state with *versions* burned as well.

        Numbers that agents report are worth as much as who reports them: a lie near 2^53
        would leave no number to sign with. Use them after a restore only, and look.
        """
        roles = {*self.highest, *versions}
        highest = {
            role: max(self.highest.get(role, 0), versions.get(role, 0)) for role in sorted(roles)
        }
        return replace(self, highest=highest)

    def with_changes(self, changed: Mapping[str, bytes]) -> RepositoryState:
        """Return this state after *changed* was taken in, its versions burned."""
        state = replace(self, metadata={**self.metadata, **changed})
        return state.having_seen({role: version_of(data) for role, data in changed.items()})


def dump_state(state: RepositoryState) -> bytes:
    """Return *state* as bytes to keep."""
    value = {
        "schema": _SCHEMA,
        "app": state.app,
        "metadata": {role: data.decode("utf-8") for role, data in state.metadata.items()},
        "highest": dict(state.highest),
    }
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode("ascii")


def load_state(data: bytes) -> RepositoryState:
    """Return the state in *data*, as ``dump_state`` made it.

    Raises:
        BadStateError: It is none. Whoever keeps states must not go on with an empty one:
            it would use version numbers again.
    """
    try:
        value = json.loads(data)
        state = RepositoryState(
            app=check_app(value["app"]),
            metadata={role: text.encode("utf-8") for role, text in value["metadata"].items()},
            highest=dict(value["highest"]),
        )
        numbers = [*state.versions.values(), *state.highest.values()]
    except (AttributeError, KeyError, TypeError, ValueError, RolloutError, TrustError) as error:
        raise BadStateError(f"no repository state: {error}") from error
    if any(type(number) is not int or number < 0 for number in numbers):
        raise BadStateError("a version is no number")
    if value.get("schema") != _SCHEMA or any(parse_role(role) is None for role in state.versions):
        raise BadStateError("the repository state is of another schema")
    return state
