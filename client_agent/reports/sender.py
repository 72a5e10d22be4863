"""Send what is in the spool: urgent first, one request per token, nothing lost.

Not here: when to send (``client_agent.agent``).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client_agent.errors import Code, NetworkError
from client_agent.network.transport import Answer, Transport, status_error
from client_agent.reports.reporter import OWN_METRICS, zulu
from client_agent.reports.spool import Spool
from client_agent.reports.spool_limits import Spooled, is_metric, without_detail

MAX_EVENTS = 500
MAX_BYTES = 256 * 1024
_ACCEPTED, _NO_CONTENT, _TOO_LARGE = 202, 204, 413
_TRY_LATER = frozenset({408, 425, 429})
_PROBLEM = "application/problem+json"
_CLIENT_ERRORS = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the events that were sent."""

    accepted: int
    rejected: int
    waiting: int


@dataclass(slots=True)
class _Progress:
    gone: set[str] = field(default_factory=set)
    accepted: int = 0
    rejected: int = 0


class Sender:
    """Sends for one install; *metrics* are the numbers that are told although not in full."""

    def __init__(self, spool: Spool, base: str, metrics: Container[str] = ()) -> None:
        self._spool = spool
        self._base = base
        self._metrics = metrics

    def send(
        self,
        install_id: str,
        tokens: dict[str, str],
        transport: Transport,
        now: datetime,
        *,
        in_full: bool = True,
        own_tokens: bool = True,
    ) -> Sent:
        """Send everything that can be sent, and remove what the server has.

        *tokens* holds tokens by version, for events that have none. Unless *in_full*, of crashes
        only the type, and of numbers only those on the list, and the rest is removed: somebody
        wants less to be told than when they happened. Unless *own_tokens*, tokens of events are
        those of who we were before, whom nobody knows any more.

        Raises:
            NetworkError, TrustError: The server has only a part; the rest stays for later.
            DiskError: The spool cannot be read or written.
        """
        loaded = self._spool.load()
        progress = _Progress()
        try:
            told = loaded
            if not in_full:
                told = [without_detail(one) for one in loaded if self._may_always_be_told(one)]
                progress.gone.update({one.id for one in loaded} - {one.id for one in told})
            for token, events in _by_token(told, tokens, own_tokens=own_tokens):
                body = {"install_id": install_id, "token": token, "sent_at": zulu(now)}
                for batch in _batches(events):
                    self._deliver(body, batch, progress, transport)
        finally:
            self._spool.settle(loaded, progress.gone)
        return Sent(
            accepted=progress.accepted,
            rejected=progress.rejected,
            waiting=len(loaded) - len(progress.gone),
        )

    def _may_always_be_told(self, spooled: Spooled) -> bool:
        name = str(spooled.event.get("name"))
        return not is_metric(spooled) or name.startswith(OWN_METRICS) or name in self._metrics

    def forget(self, install_id: str, token: str, transport: Transport) -> bool:
        """Ask the server to forget *install_id*; return whether it needs no more asking.

        Raises:
            NetworkError, TrustError: Not now.
        """
        url = f"{self._base}/forget"
        answer = transport.post(url, {"install_id": install_id, "token": token})
        # A proxy or a portal that says no has not spoken for the server.
        is_said = answer.headers.get("content-type", "").startswith(_PROBLEM)
        if answer.status == _NO_CONTENT or (is_said and is_final(answer.status)):
            return True
        raise status_error(answer)

    def _deliver(
        self,
        body: dict[str, Any],
        batch: Sequence[Spooled],
        progress: _Progress,
        transport: Transport,
    ) -> None:
        events = [spooled.event for spooled in batch]
        answer = transport.post(f"{self._base}/events", {**body, "events": events})
        if answer.status == _ACCEPTED:
            self._note_accepted(answer, batch, progress)
        elif answer.status == _TOO_LARGE and len(batch) > 1:
            half = len(batch) // 2
            self._deliver(body, batch[:half], progress, transport)
            self._deliver(body, batch[half:], progress, transport)
        elif is_final(answer.status):
            for spooled in batch:
                self._spool.dropped[spooled.kind, f"status_{answer.status}"] += 1
            progress.gone.update(spooled.id for spooled in batch)
            progress.rejected += len(batch)
        else:
            raise status_error(answer)

    def _note_accepted(self, answer: Answer, batch: Sequence[Spooled], progress: _Progress) -> None:
        rejected = _rejected(answer.body, len(batch))
        for index, code in rejected.items():
            self._spool.dropped[batch[index].kind, code] += 1
        progress.gone.update(spooled.id for spooled in batch)
        progress.rejected += len(rejected)
        progress.accepted += len(batch) - len(rejected)


def is_final(status: int) -> bool:
    """Return whether asking again would get the same refusal."""
    return status in _CLIENT_ERRORS and status not in _TRY_LATER


def _by_token(
    loaded: Sequence[Spooled], tokens: dict[str, str], *, own_tokens: bool
) -> Iterator[tuple[str, list[Spooled]]]:
    """Yield the events of each token, in the order in which each token comes first.

    An event from before the first check-in gets its version's token, else any. While there is
    none at all it waits.
    """
    spare = next(reversed(tokens.values()), None) if tokens else None
    groups: dict[str, list[Spooled]] = {}
    for spooled in loaded:
        own = spooled.token if own_tokens else None
        token = own or tokens.get(spooled.version) or spare
        if token is not None:
            groups.setdefault(token, []).append(spooled)
    yield from groups.items()


def _batches(events: Sequence[Spooled]) -> Iterator[list[Spooled]]:
    batch: list[Spooled] = []
    size = 0
    for spooled in events:
        length = len(spooled.line())
        if batch and (len(batch) == MAX_EVENTS or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(spooled)
        size += length
    if batch:
        yield batch


def _rejected(body: bytes, count: int) -> dict[int, str]:
    """Return the codes of refused events by index.

    Raises:
        NetworkError: ``unexpected_answer``: this was not our server's answer, so that nothing
            can be taken for delivered.
    """
    try:
        said = json.loads(body)
        int(said["accepted"])
        found = {int(one["index"]): str(one["code"])[:64] for one in said["rejected"]}
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise NetworkError(Code.UNEXPECTED_ANSWER, "events") from error
    return {index: code for index, code in found.items() if 0 <= index < count}
