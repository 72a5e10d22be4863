"""What a rollout document must have in common with the policy of its channel."""

from __future__ import annotations

from rollout.documents.rollouts import host_of
from rollout.errors import DocumentError
from rollout.model import Audience, Policy, RolloutDocument


def check_against_policy(document: RolloutDocument, policy: Policy) -> RolloutDocument:
    """Return *document* if it uses only what *policy* lists: link hosts and custom keys.

    Raises:
        DocumentError: It uses something else, or is of another app or channel.
    """
    if (document.app, document.channel) != (policy.app, policy.channel):
        raise DocumentError("not of the policy's app and channel", "channel")
    for position, entry in enumerate(document.entries):
        where = f"entries[{position}]"
        for index, ring in enumerate(entry.rings):
            _check_keys(ring.audience, policy, f"{where}.rings[{index}].audience")
        for index, hold in enumerate(entry.holds):
            if host_of(hold.link) not in policy.link_hosts:
                raise DocumentError("not a host of the policy", f"{where}.holds[{index}].link")
            _check_keys(hold.audience, policy, f"{where}.holds[{index}].audience")
    return document


def _check_keys(audience: Audience, policy: Policy, where: str) -> None:
    unknown = sorted(set(audience.custom or ()) - set(policy.custom_keys))
    if unknown:
        raise DocumentError(f"not a key of the policy: {unknown[0][:40]}", f"{where}.custom")
