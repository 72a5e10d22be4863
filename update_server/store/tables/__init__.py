"""The tables. With the migrations, this folder alone knows column names."""

from update_server.store.tables.access import (
    audit,
    codes,
    enrolments,
    groups,
    idempotent_answers,
    secrets,
    tokens,
)
from update_server.store.tables.counters import counters
from update_server.store.tables.counts import (
    contact_counts,
    crash_counts,
    crash_totals,
    crashed_counts,
    progress_counts,
    session_counts,
)
from update_server.store.tables.crashes import (
    crash_aliases,
    crash_groups,
    crash_reports,
    crash_samples,
    session_hours,
    sessions,
)
from update_server.store.tables.metadata import metadata
from update_server.store.tables.operators import (
    operator_links,
    operator_sessions,
    operators,
    sign_in_failures,
)
from update_server.store.tables.outbox import (
    alerts,
    deliveries,
    delivery_attempts,
    messages,
)
from update_server.store.tables.quarantine import arrivals, quarantine_counts, quarantined
from update_server.store.tables.recounts import recounts
from update_server.store.tables.series import crash_hours, study_points, version_days
from update_server.store.tables.settings import app_settings
from update_server.store.tables.state import (
    apps,
    documents,
    holds,
    journal,
    leases,
    pending_verbs,
    releases,
    rollouts,
    targets,
    waivers,
)
from update_server.store.tables.studies import (
    decisions,
    studies,
    study_facts,
    study_log,
    study_members,
)
from update_server.store.tables.telemetry import (
    checkpoints,
    contacts,
    crash_signatures,
    histories,
    progress,
    seen_events,
    silence_windows,
)

__all__ = [
    "alerts",
    "app_settings",
    "apps",
    "arrivals",
    "audit",
    "checkpoints",
    "codes",
    "contact_counts",
    "contacts",
    "counters",
    "crash_aliases",
    "crash_counts",
    "crash_groups",
    "crash_hours",
    "crash_reports",
    "crash_samples",
    "crash_signatures",
    "crash_totals",
    "crashed_counts",
    "decisions",
    "deliveries",
    "delivery_attempts",
    "documents",
    "enrolments",
    "groups",
    "histories",
    "holds",
    "idempotent_answers",
    "journal",
    "leases",
    "messages",
    "metadata",
    "operator_links",
    "operator_sessions",
    "operators",
    "pending_verbs",
    "progress",
    "progress_counts",
    "quarantine_counts",
    "quarantined",
    "recounts",
    "releases",
    "rollouts",
    "secrets",
    "seen_events",
    "session_counts",
    "session_hours",
    "sessions",
    "sign_in_failures",
    "silence_windows",
    "studies",
    "study_facts",
    "study_log",
    "study_members",
    "study_points",
    "targets",
    "tokens",
    "version_days",
    "waivers",
]
