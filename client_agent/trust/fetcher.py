"""python-tuf's way to the network, over our transport.

Caps are enforced by the name of the file, whatever length the metadata claims: who holds the
snapshot key could otherwise let an agent read without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from client_agent.errors import AgentError, Code, NetworkError, TrustError
from client_agent.network.transport import Transport, status_error

ROOT_BYTES = 512_000
TIMESTAMP_BYTES = 16_384
SNAPSHOT_BYTES = 2_000_000
TARGETS_BYTES = 5_000_000
_OK = 200


class Fetcher(FetcherInterface):
    """``last`` holds name and bytes of the file that was fetched last."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.last: tuple[str, bytes] = ("", b"")

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return a metadata file of at most *max_length* bytes, and never over its cap.

        Raises:
            DownloadError: Its cause is our own error.
        """
        name = urlsplit(url).path.rpartition("/")[2]
        try:
            data = self._transport.get(url, max_bytes=min(max_length, cap_of(name)))
        except AgentError as error:
            raise _foreign(error) from _cause(error)
        self.last = (name, data)
        return data

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Yield a target file; python-tuf stops one byte beyond its length."""
        try:
            with self._transport.open(url) as stream:
                if stream.status != _OK:
                    raise status_error(stream)
                yield from stream.chunks()
        except AgentError as error:
            raise _foreign(error) from _cause(error)


def cap_of(name: str) -> int:
    """Return how many bytes the metadata file *name* may have (docs/trust.md, 3)."""
    role = name.removesuffix(".json").rpartition(".")[2]
    if name == "timestamp.json":
        return TIMESTAMP_BYTES
    return {"root": ROOT_BYTES, "snapshot": SNAPSHOT_BYTES}.get(role, TARGETS_BYTES)


def own_error(error: DownloadError) -> AgentError:
    """Return the error that a DownloadError was made of."""
    if isinstance(error.__cause__, AgentError):
        return error.__cause__
    if isinstance(error, DownloadLengthMismatchError):
        return TrustError(Code.LENGTH_MISMATCH, str(error))
    return NetworkError(Code.UNREACHABLE, str(error))


def _foreign(error: AgentError) -> DownloadError:
    if isinstance(error, NetworkError) and error.status is not None:
        return DownloadHTTPError(str(error), error.status)
    if error.code is Code.TOO_LARGE:
        return DownloadLengthMismatchError(str(error))
    return DownloadError(str(error))


def _cause(error: AgentError) -> AgentError:
    """A file over its cap is no matter of the network: it was signed so, or it is forged."""
    if error.code is Code.TOO_LARGE:
        return TrustError(Code.LENGTH_MISMATCH, error.detail)
    return error
