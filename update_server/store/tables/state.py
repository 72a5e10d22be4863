"""What the server wants and has signed: apps, releases, rollouts, holds, the journal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from update_server.store.columns import Instant, Json
from update_server.store.tables.metadata import metadata

apps = Table(
    "apps",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("channels", Json, nullable=False),
    Column("platforms", Json, nullable=False),
    Column("registered", Boolean, nullable=False),
    Column("generation", Integer, nullable=False),
    sqlite_autoincrement=True,  # a number is never reused
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),  # null: free
    Column("expires_at", Instant),
    Column("fence", Integer, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("admitted_at", Instant, nullable=False),
    Column("submitted_by", Text, nullable=False),
    UniqueConstraint("app", "channel", "version", "platform"),
    sqlite_autoincrement=True,
)

targets = Table(
    "targets",
    metadata,
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("length_bytes", BigInteger, nullable=False),
    Column("channel", Text),  # of the release that names the file, if one does
    Column("platform", Text),
    Column("version", Text),
    PrimaryKeyConstraint("app", "path"),
)

documents = Table(
    "documents",
    metadata,
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("document", LargeBinary, nullable=False),
    PrimaryKeyConstraint("app", "channel", "kind"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # order of their start
    Column("id", Text, nullable=False, unique=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("ladder", Json, nullable=False),
    Column("position", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("position_reached_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("paused_by", Text),
    Column("reason", Text, nullable=False),
    Column("replacement", Text),
    Column("first_for", Text),
    sqlite_autoincrement=True,
)

holds = Table(
    "holds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("audience", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rollout", Text, ForeignKey("rollouts.id")),
    Column("lifted_at", Instant),
    UniqueConstraint("app", "id"),
    sqlite_autoincrement=True,
)

# Verbs that wait for more people. Their rollout may not be there yet.
pending_verbs = Table(
    "pending_verbs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("rollout", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("ring", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("entry", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("needs", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("approvals", Json, nullable=False),
    Column("hold", Text),
)

waivers = Table(
    "waivers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("timestamp_version", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("published_at", Instant, index=True),
    UniqueConstraint("app", "timestamp_version"),
    sqlite_autoincrement=True,
)
