"""What the signer checks of a request before it looks at approvals, and of one without any."""

from __future__ import annotations

from datetime import datetime, timedelta

from rollout.changes import Act, Change, happens_by_itself
from rollout.documents import parse_rollout, render_rollout
from rollout.errors import RolloutError
from rollout.model import Policy, RolloutDocument
from signing.admit import CLOCK_SKEW
from update_server.service.ports import SignerRefusedError
from update_server.signer.memory import Memory

_DAY = timedelta(days=1)


def parse(app: str, channel: str, document: bytes, now: datetime) -> RolloutDocument:
    """Return the rollout document that is to be signed, if every word of it is understood."""
    try:
        wanted = parse_rollout(document)
    except RolloutError as error:
        raise SignerRefusedError("bad_document", str(error)) from error
    if (wanted.app, wanted.channel) != (app, channel):
        raise SignerRefusedError("bad_document", f"it is of {wanted.app}/{wanted.channel}")
    # What is not understood here might mean something to an agent of tomorrow.
    if render_rollout(wanted) != document:
        raise SignerRefusedError("bad_document", "it says more than is known here")
    if wanted.issued > now + CLOCK_SKEW:
        raise SignerRefusedError("bad_document", f"issued {wanted.issued} is in the future")
    return wanted


def check_base(memory: Memory, based_on: int) -> None:
    """Return if nothing was signed since the state that the asker looked at.

    A process that stalled would otherwise undo what others had signed meanwhile.
    """
    if memory.timestamp_version > based_on:
        raise SignerRefusedError(
            "stale_base",
            f"it follows state {based_on}, and {memory.timestamp_version} is signed already",
            {"current": memory.timestamp_version},
        )


def allow_automatic(change: Change, policy: Policy, memory: Memory, now: datetime) -> None:
    """Return if the policy lets the server make *change* by itself."""
    today = len(of_today(memory, now))
    if not happens_by_itself(change, policy, rollbacks_today=today):
        why = "; ".join(change.why)
        raise SignerRefusedError("not_automatic", f"the policy leaves this to people: {why}")


def allow_rollbacks(change: Change, policy: Policy, memory: Memory, now: datetime) -> None:
    """Return if there may be so many rollbacks today that nobody is seen to ask for."""
    wanted, today = change.acts.count(Act.ROLLBACK), len(of_today(memory, now))
    most = policy.automatic.max_rollbacks_per_day
    if wanted and today + wanted > most:
        detail = f"without an operator's token only {most} rollbacks a day are signed"
        raise SignerRefusedError("not_automatic", detail)


def of_today(memory: Memory, now: datetime) -> tuple[datetime, ...]:
    """Return when in the last 24 hours rollbacks were signed that nobody was seen to ask for."""
    return tuple(at for at in memory.rollbacks if now - at < _DAY)
