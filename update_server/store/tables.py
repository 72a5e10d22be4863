"""The tables. This is the only file (with the migrations) that knows column names.

Tables of evidence and of studies (from ``contacts`` on) have no foreign keys: the digest must
go on when a record names an app that is gone.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from update_server.store.columns import Instant, Json, Told

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# --- state -------------------------------------------------------------------------------

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

# --- access ------------------------------------------------------------------------------

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("app", Text, ForeignKey("apps.name")),  # null: all apps
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant),
)

groups = Table(
    "groups",
    metadata,
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "name"),
)

# Codes and enrolments outlive their group, as a record; so they do not refer to it.
codes = Table(
    "enrolment_codes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("group_name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("revoked_at", Instant),
    UniqueConstraint("app", "sha256"),
)

enrolments = Table(
    "enrolments",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("app", Text, ForeignKey("apps.name"), nullable=False),
    Column("group_name", Text, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    # An install has one live credential for a group.
    Index(
        "uq_enrolments_live",
        "app",
        "group_name",
        "install_key",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

idempotent_answers = Table(
    "idempotent_answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("answer", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)

# --- audit -------------------------------------------------------------------------------

# Triggers (in the migration) refuse to change or remove rows of this table.
audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # gapless: the store counts
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("app", Text, index=True),  # no reference: a record stands for itself
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Json, nullable=False),
    Column("after", Json, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

# --- evidence ----------------------------------------------------------------------------

# The last contact of every install.
contacts = Table(
    "contacts",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("channel", Told, nullable=False),
    Column("platform", Told, nullable=False),
    Column("version", Told, nullable=False),
    Column("action", Told, nullable=False),
    Column("reason", Told, nullable=False),
    Column("offered", Told),
    Column("self_selected", Boolean, nullable=False),
    Column("telemetry", Told, nullable=False),
    Column("timestamp_version", BigInteger, nullable=False),
    Column("snapshot_sha256", Told, nullable=False),
    PrimaryKeyConstraint("app", "install_key"),
    sqlite_with_rowid=False,
)

# How far each install came with a rollout. ``steps`` is a set of bits, see store.telemetry.
progress = Table(
    "progress",
    metadata,
    Column("rollout", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("app", Told, nullable=False),
    Column("ring", Told),  # null, like arm: no contact was seen yet
    Column("arm", Told),
    Column("steps", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),
    PrimaryKeyConstraint("rollout", "install_key"),
    Index("ix_progress_install_key", "install_key"),  # for forgetting an install
    sqlite_with_rowid=False,
)

# Event IDs already counted.
seen_events = Table(
    "seen_events",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("id", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
    PrimaryKeyConstraint("app", "install_key", "id"),
    sqlite_with_rowid=False,
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("spool", Text, primary_key=True),
    Column("offset_bytes", BigInteger, nullable=False),
)

# What is known of each install before a study. The lists are packed, see store.histories.
histories = Table(
    "histories",
    metadata,
    Column("app", Told, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("check_ins", Integer, nullable=False),
    Column("early", LargeBinary, nullable=False),
    Column("seen", LargeBinary, nullable=False),
    Column("crashes", LargeBinary, nullable=False),
    Column("taken_first", Told),
    Column("silence_window", LargeBinary),
    PrimaryKeyConstraint("app", "install_key"),
    sqlite_with_rowid=False,
)

# Windows of silence by the UTC day on which they end, see service.silences.
silence_windows = Table(
    "silence_windows",
    metadata,
    Column("app", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("day", Integer, nullable=False),
    Column("stratum", Integer, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    PrimaryKeyConstraint("app", "channel", "day", "stratum"),
    sqlite_with_rowid=False,
)

# Runs of sightings of crash signatures, see service.signature_ports.
crash_signatures = Table(
    "crash_signatures",
    metadata,
    Column("app", Told, nullable=False),
    Column("channel", Told, nullable=False),
    Column("comparable", Text, nullable=False),
    Column("version", Told, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("reports", BigInteger, nullable=False),
    Column("title", Told, nullable=False),
    PrimaryKeyConstraint("app", "channel", "comparable", "version", "first_at"),
    Index("ix_crash_signatures_version", "app", "channel", "version", "first_at"),
    sqlite_with_rowid=False,
)

# --- studies -----------------------------------------------------------------------------

studies = Table(
    "studies",
    metadata,
    Column("rollout", Text, primary_key=True),
    Column("app", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("expired", Boolean, nullable=False),  # its register and its networks are gone
    Column("settings", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),  # last: a head is read without it
)

study_facts = Table(
    "study_facts",
    metadata,
    # Some of these a check-in: more in a few years than 32 bits can number.
    Column(
        "number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("rollout", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_study_facts_rollout_number", "rollout", "number"),
    sqlite_autoincrement=True,  # a number that was read names no later fact
)

study_members = Table(
    "study_members",
    metadata,
    Column("rollout", Text, nullable=False),
    Column("install_key", LargeBinary, nullable=False),
    Column("due_at", Double),
    Column("network", LargeBinary, nullable=False),
    Column("platform", Told, nullable=False),
    Column("has_left", Boolean, nullable=False),
    Column("forgotten", Boolean, nullable=False),  # goes as soon as it has left
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("rollout", "install_key"),
    Index(
        "ix_study_members_rollout_due_at",
        "rollout",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("ix_study_members_rollout_network", "rollout", "network"),
    Index("ix_study_members_rollout_platform", "rollout", "platform"),
    Index("ix_study_members_install_key", "install_key"),  # for forgetting an install
    sqlite_with_rowid=False,
)

study_log = Table(
    "study_log",
    metadata,
    Column("rollout", Text, nullable=False),
    Column("number", BigInteger, nullable=False),  # gapless from 1: the store counts
    Column("epoch", Integer, nullable=False),
    Column("metric", Told, nullable=False),
    Column("kind", Text, nullable=False),
    Column("networks", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("struck", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("rollout", "epoch", "metric", "kind", "number"),  # as it is read
    UniqueConstraint("rollout", "number"),
    sqlite_with_rowid=False,
)

decisions = Table(
    "decisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("rollout", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("log_size", BigInteger, nullable=False),
    Column("carried_out_at", Instant),
    Column("outcome", Text, nullable=False),
    Column("record", Json, nullable=False),
    Index("ix_decisions_app_number", "app", "number"),
    Index("ix_decisions_rollout_number", "rollout", "number"),
    Index(
        "ix_decisions_undone",
        "number",
        sqlite_where=text("carried_out_at IS NULL"),
        postgresql_where=text("carried_out_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)
