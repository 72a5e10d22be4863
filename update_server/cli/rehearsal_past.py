"""A rollout of the past, judged anew by another ladder's rules."""

from __future__ import annotations

from typing import Any

from update_server.cli.api import app_path
from update_server.cli.command import Session
from update_server.cli.errors import CliError, ProblemError
from update_server.cli.standing import find
from update_server.evidence.settings import Settings
from update_server.rehearsal.past import METRICS, PastError, Replayed, replay_past

_NEVER = "-"


def replay_rollout(session: Session, which: str, settings: Settings) -> int:
    """Print what *settings* would have said of the reports about a rollout."""
    found = find(session, which)
    replayed = [
        each
        for metric, _ in METRICS
        if (each := _replayed(session, found["id"], str(metric), settings)) is not None
    ]
    if not replayed:
        raise CliError("no_evidence", f"nothing was counted about {found['version']}")
    session.console.document(
        {
            "rollout": found["id"],
            "version": found["version"],
            "past": [_rendered(r) for r in replayed],
        }
    )
    session.console.print(f"{found['version']} by the rules that it had, and by these:")
    session.console.table(
        ("metric", "reports", "paused then", "paused now", "margins passed"),
        [_row(each) for each in replayed],
    )
    return 0


def _replayed(session: Session, rollout: str, metric: str, settings: Settings) -> Replayed | None:
    path = app_path(session.app, "rollouts", rollout, "evidence")
    try:
        return replay_past(session.api.get(path, metric=metric), settings)
    except ProblemError as error:
        if error.code == "bad_value":  # it was not judged by this metric
            return None
        raise
    except PastError as error:
        raise CliError("unexpected_answer", str(error)) from error


def _row(each: Replayed) -> tuple[object, ...]:
    passed = ", ".join(f"{p.limit:g} at {p.at}" for p in each.passed if p.at is not None)
    return (
        each.metric.replace("_", " "),
        each.reports,
        each.paused_then or _NEVER,
        each.paused_now or _NEVER,
        passed or _NEVER,
    )


def _rendered(each: Replayed) -> dict[str, Any]:
    return {
        "metric": each.metric,
        "reports": each.reports,
        "log_e": each.log_e,
        "needed_then": each.needed_then,
        "needed_now": each.needed_now,
        "paused_then": each.paused_then,
        "paused_now": each.paused_now,
        "passed": [{"limit": passed.limit, "at": passed.at} for passed in each.passed],
    }
