"""The process that holds online keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.model import RolloutId


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedState:
    """What the signer answers: the journal to publish, and the metadata after it.

    ``metadata`` maps role names to the newest signed bytes.
    """

    app: str
    timestamp_version: int
    journal: bytes
    metadata: Mapping[str, bytes]


class Signer(Protocol):
    """The process that holds online keys. It raises SignerRefusedError, UnavailableError.

    ``approvals`` are the bearer tokens of the operators who ask for a change, and tickets for
    tokens that it was shown before: the signer checks them against the stored hashes, and its
    own key, by itself and takes no web process's word. A
    de-escalation needs none, so recovery after a crash can always finish a pause or a pull;
    but what nobody is seen to ask for counts as automatic. ``based_on`` is the
    ``timestamp_version`` of the state that the caller composed the document from: when a
    newer one was signed since, the document is refused as ``stale_base``.
    ``files`` maps target paths to (sha256, length in bytes).
    """

    # the online public keys by role: made where they are missing, or refused as no_key
    def new_app(self, app: str) -> Mapping[str, Mapping[str, Any]]: ...
    def online_keys(self, app: str) -> Mapping[str, Mapping[str, Any]]: ...
    def admit(
        self, app: str, submitted: Mapping[str, bytes], files: Mapping[str, tuple[str, int]]
    ) -> SignedState: ...
    def sign_rollout(
        self,
        app: str,
        channel: str,
        document: bytes,
        approvals: Sequence[str],
        *,
        based_on: int,
        automatic: bool,
    ) -> SignedState: ...
    # what stands for the token in the approvals of this one change, for an hour
    def ticket(
        self,
        app: str,
        channel: str,
        document: bytes,
        rollout: RolloutId,
        approval: str,
        *,
        based_on: int,
    ) -> str: ...
    def withdraw(self, app: str, ticket: str) -> None: ...  # one that is none is withdrawn
    def refresh(self, app: str) -> SignedState: ...
    def status(self, app: str) -> SignedState: ...
