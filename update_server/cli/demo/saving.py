"""What deltas saved: bytes that came, and bytes that full payloads would have been."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from update_server.cli.demo.fleet import Look, Taken

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """The installs that took a delta to one version, and what all installs on it received.

    ``full_bytes``: what they would have received without deltas.
    """

    installs: int
    sent_bytes: int
    full_bytes: int

    def sentence(self) -> str:
        """Return how much came instead of how much."""
        less = 100 * (1 - self.sent_bytes / self.full_bytes) if self.full_bytes else 0
        return (
            f"{_size(self.sent_bytes)} came instead of {_size(self.full_bytes)}, {less:.0f} % less"
        )

    def document(self) -> dict[str, Any]:
        """Return the saving for the JSON document."""
        return {
            "full_bytes": self.full_bytes,
            "sent_bytes": self.sent_bytes,
            "installs": self.installs,
        }


def saving_on(version: Version, looks: Iterable[Look]) -> Saving:
    """Return what deltas to *version* saved, as the installs say themselves."""
    taken: list[Taken] = [
        look.taken for look in looks if look.taken is not None and look.taken.version == version
    ]
    return Saving(
        installs=sum(each.delta for each in taken),
        sent_bytes=sum(each.received_bytes for each in taken),
        full_bytes=sum(each.full_bytes for each in taken),
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= _MEGABYTE else f"{count / 1e3:.1f} kB"
