"""What pages show, so that nothing has to be counted for them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _installs()
    _sessions()
    _crashes()
    _recounts()


def _installs() -> None:
    told = ("app", "channel", "platform", "version", "telemetry")
    _table("contact_counts", *(sa.Column(name, sa.Text, nullable=False) for name in told))
    op.execute(
        "INSERT INTO contact_counts (app, channel, platform, version, telemetry, installs)"
        " SELECT app, channel, platform, version, telemetry, count(*) FROM contacts"
        " GROUP BY app, channel, platform, version, telemetry"
    )
    _table(
        "progress_counts",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("ring", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
    )
    op.execute(
        "INSERT INTO progress_counts (rollout, ring, arm, steps, installs)"
        " SELECT rollout, coalesce(ring, ''), coalesce(arm, 'candidate'), steps, count(*)"
        " FROM progress"
        " GROUP BY rollout, coalesce(ring, ''), coalesce(arm, 'candidate'), steps"
    )


def _sessions() -> None:
    of = ("rollout", "version", "ring", "arm", "source", "status")
    _table(
        "session_counts",
        *(sa.Column(name, sa.Text, nullable=False) for name in of),
        number="sessions",
    )
    op.execute(
        "INSERT INTO session_counts (rollout, version, ring, arm, source, status, sessions)"
        " SELECT rollout, version, ring, arm, source, status, sum(sessions)"
        " FROM session_hours WHERE rollout != ''"
        " GROUP BY rollout, version, ring, arm, source, status"
    )


def _table(name: str, *key: sa.Column[Any], number: str = "installs") -> None:
    op.create_table(
        name,
        *key,
        sa.Column(number, sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*(column.name for column in key), name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )


def _crashes() -> None:
    op.create_table(
        "crash_counts",
        sa.Column("facet", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("handled", sa.Boolean, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("platform", sa.Text, nullable=False),
        sa.Column("os", sa.Text, nullable=False),
        sa.Column("installs", sa.BigInteger, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "facet",
            "rollout",
            "app",
            "signature",
            "version",
            "arm",
            "handled",
            "channel",
            "platform",
            "os",
            name=op.f("pk_crash_counts"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_crash_counts_version", "crash_counts", ["facet", "app", "version"])
    for facet, split, where in (
        ("all", (), ""),
        ("channel", ("channel",), ""),
        ("place", ("platform", "os"), ""),
        ("rollout", ("rollout",), " WHERE r.rollout != ''"),
    ):
        _fill_crash_counts(facet, split, where)
    op.create_table(
        "crash_totals",
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("installs", sa.BigInteger, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("app", "signature", name=op.f("pk_crash_totals")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO crash_totals (app, signature, installs, reports)"
        " SELECT app, signature, sum(CASE WHEN handled THEN 0 ELSE installs END), sum(reports)"
        " FROM crash_counts WHERE facet = 'all' GROUP BY app, signature"
    )
    op.create_table(
        "crashed_counts",
        sa.Column("facet", sa.Text, nullable=False),
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("app", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("arm", sa.Text, nullable=False),
        sa.Column("ring", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("installs", sa.BigInteger, nullable=False),
        sa.Column("named", sa.BigInteger, nullable=False),
        sa.Column("reports", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "facet",
            "rollout",
            "app",
            "version",
            "arm",
            "ring",
            "channel",
            name=op.f("pk_crashed_counts"),
        ),
        sqlite_with_rowid=False,
    )
    for facet, split, where in (
        ("all", (), ""),
        ("channel", ("channel",), ""),
        ("rollout", ("rollout", "ring"), " AND r.rollout != ''"),
    ):
        _fill_crashed_counts(facet, split, where)


# What an install is to be counted for once, whatever it had of it. Nobody is b"".
_SOMEBODY = "length(r.report_key) > 0"
_WITH_ALIASES = (
    " FROM crash_reports AS r LEFT JOIN crash_aliases AS a"
    " ON a.app = r.app AND a.signature = r.signature"
)


def _fill_crash_counts(facet: str, split: tuple[str, ...], where: str) -> None:
    said = {
        name: f"r.{name}" if name in split else "''"
        for name in ("rollout", "channel", "platform", "os")
    }
    group = "coalesce(a.same_as, r.signature)"
    by = ["r.app", group, "r.version", "r.arm", "r.handled", *(f"r.{name}" for name in split)]
    op.execute(
        "INSERT INTO crash_counts (facet, rollout, app, signature, version, arm, handled, channel,"
        " platform, os, installs, reports, first_at, last_at)"
        f" SELECT '{facet}', {said['rollout']}, r.app, {group}, r.version, r.arm, r.handled,"
        f" {said['channel']}, {said['platform']}, {said['os']},"
        f" count(DISTINCT CASE WHEN {_SOMEBODY} THEN r.report_key END), sum(r.reports),"
        f" min(r.first_at), max(r.last_at){_WITH_ALIASES}{where} GROUP BY {', '.join(by)}"
    )


def _fill_crashed_counts(facet: str, split: tuple[str, ...], where: str) -> None:
    said = {name: f"r.{name}" if name in split else "''" for name in ("rollout", "ring", "channel")}
    by = ["r.app", "r.version", "r.arm", *(f"r.{name}" for name in split)]
    named = f"{_SOMEBODY} AND r.signature != 'none'"
    op.execute(
        "INSERT INTO crashed_counts (facet, rollout, app, version, arm, ring, channel, installs,"  # noqa: S608 - words of ours
        " named, reports)"
        f" SELECT '{facet}', {said['rollout']}, r.app, r.version, r.arm, {said['ring']},"
        f" {said['channel']}, count(DISTINCT CASE WHEN {_SOMEBODY} THEN r.report_key END),"
        f" count(DISTINCT CASE WHEN {named} THEN r.report_key END), sum(r.reports)"
        f" FROM crash_reports AS r WHERE NOT r.handled{where}"
        f" GROUP BY {', '.join(by)}"
    )


def _recounts() -> None:
    op.create_table(
        "recounts",
        sa.Column("rollout", sa.Text, nullable=False),
        sa.Column("counted_at", sa.BigInteger, nullable=False),
        sa.Column("silent", sa.Text, nullable=False),
        sa.Column("levels", sa.Text, nullable=False),
        sa.Column("pull", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("rollout", name=op.f("pk_recounts")),
        sqlite_with_rowid=False,
    )
