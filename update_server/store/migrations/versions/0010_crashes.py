"""Crash reports, samples and sessions."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _reports()
    _about_signatures()
    _sessions()


def _text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _number(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _handled() -> sa.Column[Any]:
    return sa.Column("handled", sa.Boolean, nullable=False)


def _table(name: str, *columns: sa.Column[Any], key: list[str]) -> None:
    primary = sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}"))
    op.create_table(name, *columns, primary, sqlite_with_rowid=False)


def _reports() -> None:
    _table(
        "crash_reports",
        *_text("app", "version", "signature"),
        _handled(),
        _key("report_key"),
        *_text("rollout", "arm", "ring", "channel", "platform", "os"),
        *_number("first_at", "last_at", "reports"),
        key=["app", "version", "signature", "handled", "report_key", "rollout", "arm"],
    )
    op.create_index("ix_crash_reports_signature", "crash_reports", ["app", "signature"])
    op.create_index("ix_crash_reports_rollout", "crash_reports", ["rollout"])
    op.create_index("ix_crash_reports_report_key", "crash_reports", ["report_key"])
    _table(
        "crash_samples",
        *_text("app", "version", "signature"),
        _handled(),
        _key("report_key"),
        *_text("id"),
        *_number("at"),
        *_text("body"),
        key=["app", "version", "signature", "handled", "report_key", "id"],
    )
    op.create_index("ix_crash_samples_signature", "crash_samples", ["app", "signature"])
    op.create_index("ix_crash_samples_report_key", "crash_samples", ["report_key"])


def _about_signatures() -> None:
    _table(
        "crash_groups",
        *_text("app", "signature", "key", "family", "title", "parts", "kind"),
        *_number("first_at", "last_at"),
        key=["app", "signature"],
    )
    _table(
        "crash_aliases",
        *_text("app", "signature", "same_as"),
        *_number("at"),
        *_text("by"),
        key=["app", "signature"],
    )


def _sessions() -> None:
    _table(
        "sessions",
        *_text("app"),
        _key("key"),
        *_text("version"),
        _key("report_key"),
        *_text("rollout", "ring", "arm", "source", "status"),
        *_number("started_at", "received_at"),
        key=["app", "key"],
    )
    op.create_index("ix_sessions_report_key", "sessions", ["report_key"])
    op.create_index("ix_sessions_received_at", "sessions", ["received_at"])
    _table(
        "session_hours",
        *_text("app", "version", "rollout", "ring", "arm", "source", "status"),
        *_number("hour", "sessions"),
        key=["app", "version", "rollout", "ring", "arm", "source", "status", "hour"],
    )
    op.create_index("ix_session_hours_rollout", "session_hours", ["rollout"])
