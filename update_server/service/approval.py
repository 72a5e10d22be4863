"""Whether one operator may ask for a change, before the signer is asked.

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


def check_approved(change: Change, *, override: bool, reason: str, by_itself: bool = False) -> None:
    """Return if one operator's word is enough for *change*; no word at all, where *by_itself*.

    What leaves the signed ramp must be meant: it takes ``override`` and a reason.

    Raises:
        NeverAllowedError: The signed policy forbids it.
        ApprovalsMissingError: It needs an override, or more than one operator.
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
    if change.approvals_needed > (0 if by_itself else 1):
        raise ApprovalsMissingError(change.approvals_needed, change.why)
