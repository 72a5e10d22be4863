"""What a publisher is told of a release's deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from update_server.cli.deltas.of_release import Deltas
from update_server.cli.draft import Draft


def delta_rows(drafts: Sequence[Draft], deltas: Mapping[str, Deltas]) -> list[dict[str, object]]:
    """Return what to tell of each delta, and of each that is missing."""
    rows: list[dict[str, object]] = []
    for draft in drafts:
        full_bytes, of = draft.payload.stat().st_size, deltas.get(draft.platform, Deltas())
        for made in of.made:
            row = {"platform": draft.platform, "from": str(made.delta.from_version)}
            saved = {"saved_bytes": full_bytes - made.length_bytes, "payload_bytes": full_bytes}
            rows.append({**row, "length_bytes": made.length_bytes, **saved})
        rows += [
            {"platform": draft.platform, "from": version, "length_bytes": None, "why": why}
            for version, why in of.missing
        ]
    return rows


def delta_line(row: Mapping[str, Any]) -> str:
    """Return one of these rows in words."""
    if row["length_bytes"] is None:
        return f"{row['platform']}: no delta from {row['from']}: {row['why']}"
    share = row["saved_bytes"] / row["payload_bytes"]
    return (
        f"{row['platform']}: the delta from {row['from']} has {row['length_bytes']} bytes"
        f" and saves {share:.1%} of the payload's {row['payload_bytes']}"
    )
