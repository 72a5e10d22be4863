"""Whether so many operators may ask for a change, before the signer is asked.

The signer judges again by itself; looking first spares everybody a wish that must be taken
back, and tells the operator what is missing in words.
"""

from __future__ import annotations

from rollout.changes import Change, ChangeKind
from update_server.service.errors import (
    ApprovalsMissingError,
    BadValueError,
    NeverAllowedError,
)


def check_approved(change: Change, *, override: bool, reason: str, people: int = 1) -> None:
    """Return if the word of so many *people* is enough for *change*; 0: the server itself.

    What leaves the signed ramp must be meant: it takes ``override`` and a reason.

    Raises:
        NeverAllowedError: The signed policy forbids it.
        ApprovalsMissingError: It needs an override, or more people.
        BadValueError: An override came without a reason.
    """
    if change.kind is ChangeKind.NEVER:
        raise NeverAllowedError(change.why)
    if change.kind is ChangeKind.ESCALATION:
        if not override:
            raise ApprovalsMissingError(
                max(1, change.approvals_needed), change.why, "an override, with a reason"
            )
        if not reason.strip():
            raise BadValueError("reason", "what leaves the signed ramp needs a reason")
    if change.approvals_needed > people:
        raise ApprovalsMissingError(change.approvals_needed, change.why)
