"""``serinus doctor``: check keys, expiries, clocks and storage, and say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import click
from tuf.api.metadata import Metadata

from signing.errors import SigningError
from signing.keys import describe
from signing.roles import RoleKind, parse_role
from update_server import config as configs
from update_server import wiring
from update_server.cli.command import Command, Session, remote
from update_server.cli.errors import DONE, REFUSED, CliError
from update_server.cli.registration import BACKUP_KEY
from update_server.cli.signing import current_state
from update_server.clock import SystemClock

_OTHERS = 0o077
_SERVER_ALERTS = {
    "metadata_not_refreshed": "look at signer and controller",
    "undelivered": "serinus notify log --failed, then serinus notify test NAME",
}
_SKEW = timedelta(minutes=5)
# How long before an expiry it is time to sign again: long enough to find everybody.
_REMINDERS = {
    RoleKind.ROOT: timedelta(days=90),
    RoleKind.TARGETS: timedelta(days=90),
    RoleKind.POLICY: timedelta(days=30),
    RoleKind.RELEASES: timedelta(days=30),
    RoleKind.ROLLOUT: timedelta(hours=24),
    RoleKind.SNAPSHOT: timedelta(days=2),
    RoleKind.TIMESTAMP: timedelta(hours=6),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``do`` says what helps; empty when all is well."""

    what: str
    detail: str
    do: str = ""


@click.command(cls=Command)
@remote
def doctor(session: Session) -> int:
    """Look at keys, expiries, clocks and storage; exit 1 if something needs doing.

    Example: serinus doctor
    """
    now = SystemClock().now()
    findings = [*_keys(session), *_storage(session), *_server(session, now)]
    bad = [each for each in findings if each.do]
    session.console.document(
        {
            "ok": not bad,
            "findings": [
                {"what": f.what, "ok": not f.do, "detail": f.detail, "do": f.do} for f in findings
            ],
        }
    )
    session.console.table(
        ("", "what", "found"), [("fix" if f.do else "ok", f.what, f.detail) for f in findings]
    )
    for each in bad:
        session.console.say(f"{each.what}: {each.do}")
    return REFUSED if bad else DONE


def _keys(session: Session) -> Iterator[Finding]:
    if session.workspace is None:
        return
    for path in sorted((session.workspace.folder / "keys").glob("*.key")):
        what = f"key {path.name}"
        try:
            found = describe(path)
        except SigningError as error:
            yield Finding(what=what, detail=str(error), do="restore it from its backup")
            continue
        if found.mode & _OTHERS:
            yield Finding(what=what, detail="others can read it", do=f"chmod 600 {path}")
        elif not found.encrypted:
            yield Finding(what=what, detail="it is not encrypted", do="replace it by an encrypted")
        elif path.name == BACKUP_KEY:
            yield Finding(
                what=what,
                detail="the backup lies beside what it backs up",
                do=f"print it (serinus key export --paper {path}), put it away, delete the file",
            )
        else:
            yield Finding(what=what, detail="encrypted, private")


def _storage(session: Session) -> Iterator[Finding]:
    """Look at a server's data, where this machine has it."""
    if session.workspace is None:
        return
    try:
        config = configs.load(session.workspace.config_file)
    except configs.ConfigError as error:
        yield Finding(what="settings", detail=str(error), do="correct the file")
        return
    if not config.data.exists():
        return
    if os.access(config.data, os.W_OK):
        yield Finding(what="data folder", detail=str(config.data))
    else:
        yield Finding(what="data folder", detail="not writable", do=f"chown {config.data}")
    for key in sorted((config.data / "signer").glob("*/*.pem")):
        if key.stat().st_mode & _OTHERS:
            yield Finding(what=f"online key {key.name}", detail="readable", do=f"chmod 600 {key}")
    fault = wiring.signer_fault(config, session.app)
    do = "serinus serve, or look at the signer's log" if fault else ""
    yield Finding(what="signer", detail=fault or "answers", do=do)


def _server(session: Session, now: datetime) -> Iterator[Finding]:
    session.patient = False
    try:
        answer = session.api.send("GET", "/v1/admin/apps")
        state = current_state(session)
    except CliError as error:
        yield Finding(what="server", detail=error.detail, do=error.hint or "see the server's log")
        return
    yield Finding(what="server", detail="answers")
    if date := answer.headers.get("date"):
        yield clock_finding(date, now)
    yield from role_findings(state.metadata, now)
    yield from _alerts(session)


def _alerts(session: Session) -> Iterator[Finding]:
    """Tell of the alerts about the server itself; those about rollouts are `serinus notify`'s."""
    try:
        alerts = list(session.api.items("/v1/admin/alerts"))
    except CliError as error:
        yield Finding(what="alerts", detail=error.detail, do="see the server's log")
        return
    for alert in alerts:
        reason = alert["reason"].partition(":")[0]
        if reason in _SERVER_ALERTS:
            do = _SERVER_ALERTS[reason]
            yield Finding(what=f"alert {alert['reason']}", detail=alert["subject"], do=do)


def clock_finding(date: str, now: datetime) -> Finding:
    """Judge the server's clock by the ``Date`` header of an answer that came *now*."""
    skew = abs(parsedate_to_datetime(date).astimezone(UTC) - now)
    do = "set both machines' clocks (NTP)" if skew > _SKEW else ""
    return Finding(what="clocks", detail=f"{skew.total_seconds():.0f} s apart", do=do)


def role_findings(metadata: Mapping[str, bytes], now: datetime) -> Iterator[Finding]:
    """Judge the expiry of each signed role."""
    for name, data in sorted(metadata.items()):
        role = parse_role(name)
        if role is None:
            continue
        left = Metadata.from_bytes(data).signed.expires - now
        if left < timedelta(0):
            detail = f"expired {_span(-left)} ago"
        else:
            detail = f"expires in {_span(left)}"
        who = "look at signer and controller" if role.kind.online else "sign it again"
        late = left < _REMINDERS[role.kind]
        yield Finding(what=f"role {name}", detail=detail, do=who if late else "")


def _span(time: timedelta) -> str:
    return f"{time.days} d {time.seconds // 3600} h"
