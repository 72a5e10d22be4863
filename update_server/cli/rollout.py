"""``serinus rollout``: start, look at and steer the exposure of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rollout.documents import render_ladder
from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote
from update_server.cli.errors import NOTHING_TO_DO, ProblemError
from update_server.cli.evidence import decisions, replay_file, strike
from update_server.cli.ladder_file import read_terms
from update_server.cli.pending import options, pending, told_to_wait, withdraw
from update_server.cli.standing import (
    find,
    next_step,
    plan_lines,
    soaking_until,
    tell,
    tell_next,
    where_to,
)
from update_server.cli.watch import watch
from update_server.evidence.ladder import settings_to_json


@click.group(cls=Group)
def rollout() -> None:
    """Start, watch and steer rollouts.

    Example: serinus rollout show
    """


rollout.add_command(decisions)
rollout.add_command(strike)
rollout.add_command(replay_file)
rollout.add_command(pending)
rollout.add_command(withdraw)


@rollout.command("start")
@click.argument("version")
@option("--channel", help="The channel; else the workspace's.")
@option(
    "--ladder", type=click.Path(path_type=Path, exists=True), help="TOML file: steps and rules."
)
@option("--ring", help="Open this ring at once instead of the first.")
@option("--first-for", metavar="BAD", help="Offer it to all installs on this version at once.")
@option("--reason", default="", help="Why; goes to the audit log.")
@remote
def start(
    session: Session,
    version: str,
    *,
    channel: str | None,
    ladder: Path | None,
    ring: str | None,
    first_for: str | None,
    reason: str,
) -> int:
    """Open a rollout of VERSION at the first ring of its ladder.

    The ladder is the signed policy's. A ladder of one's own, or another first ring, goes
    outside it and needs a reason. The file says what else the release is judged by than the
    published rules, and has a table [[step]] for each step of an own ladder: docs/ladder.md.

    With --first-for all installs on BAD, which was paused, or pulled without a replacement, are
    offered it at once, until a pause. That goes outside the signed ramp too.

    Example: serinus rollout start 2.1.0 --app notes
    """
    request: dict[str, Any] = {"version": version, "channel": session.channel(channel)}
    if ladder is not None:
        request |= _read_ladder(ladder)
    if ring is not None:
        request["start_ring"] = ring
    if first_for is not None:
        request["first_for"] = first_for
    if reason:
        request["reason"] = reason
    started = session.api.post(app_path(session.app, "rollouts"), request)
    again = options(
        app=session.app,
        channel=request["channel"],
        ladder=ladder,
        ring=ring,
        first_for=first_for,
        reason=reason,
    )
    if told_to_wait(session, started, "rollout", "start", version, *again):
        return 0
    return tell_next(session, started)


@rollout.command("list")
@remote
def list_rollouts(session: Session) -> int:
    """List the app's rollouts, newest first.

    Example: serinus rollout list --json
    """
    items = list(session.api.items(app_path(session.app, "rollouts")))
    session.console.document({"items": items})
    session.console.listing(
        ("rollout", "version", "channel", "state", "ring", "exposure", "started"),
        [_row(item) for item in items],
    )
    return 0


@rollout.command("show")
@click.argument("which", metavar="VERSION|ID", required=False)
@remote
def show(session: Session, which: str | None) -> int:
    """Show one rollout with its funnel; the newest when none is named.

    Example: serinus rollout show 2.1.0
    """
    found = _whole(session, find(session, which))
    tell(session, found)
    if found["state"] == "pulled":
        session.console.print(where_to(found))
        for line in plan_lines(found):
            session.console.print(line)
    return 0


@rollout.command("watch")
@click.argument("which", metavar="VERSION|ID", required=False)
@option("--seconds", type=float, default=None, help="Stop after so many seconds.")
@remote
def watch_rollouts(session: Session, which: str | None, *, seconds: float | None) -> int:
    """Print a line whenever something changes: a start, a ring, a verb, a count.

    With --json each line is a document of its own. It ends when interrupted.

    Example: serinus rollout watch 2.1.0
    """
    return watch(session, which, seconds)


_which = click.argument("which", metavar="VERSION|ID", required=False)
_reason = option("--reason", default="", help="Why; goes to the audit log.")


@rollout.command("promote")
@_which
@option("--ring", help="Go on up to this ring instead of the next.")
@option("--override", is_flag=True, help="Go outside the signed ramp; needs a reason.")
@_reason
@remote
def promote(
    session: Session, which: str | None, *, ring: str | None, override: bool, reason: str
) -> int:
    """Open the next step of the ladder.

    Where the signed policy wants more people it waits for them, for an hour, and changes nothing
    until somebody else gives the same command.

    Example: serinus rollout promote 2.1.0 --yes
    """
    found = find(session, which)
    to = f" --ring {ring}" if ring else ""
    anyway = f"serinus rollout promote {found['version']}{to} --override --reason TEXT"
    if not override and (until := soaking_until(found)):
        session.console.say(
            f"ring {found['ring']} is to soak until {until}; before that only by {anyway}"
        )
    session.console.confirm(f"{next_step(found, ring)}?")
    try:
        return _act(session, found, "promote", reason, ring=ring, override=override)
    except ProblemError as error:
        if error.code != "approvals_missing" or not error.hint:
            raise
        raise ProblemError(error.status, {**error.data, "hint": anyway}) from error


@rollout.command("pause")
@_which
@_reason
@remote
def pause(session: Session, which: str | None, *, reason: str) -> int:
    """Offer the release to no further install. Those on it keep it. Asks nothing.

    Example: serinus rollout pause --reason "crashes at start"
    """
    return _act(session, find(session, which), "pause", reason)


@rollout.command("resume")
@_which
@option("--waive", multiple=True, metavar="SIGNATURE", help="Accept this crash for 14 days.")
@_reason
@remote
def resume(session: Session, which: str | None, *, waive: tuple[str, ...], reason: str) -> int:
    """End a pause; or, where judging was suspended, judge again.

    After an automatic pause the crashes that waivers name count no more (serinus waiver).
    --waive makes such waivers. Like the end of a suspension it needs a reason.

    Example: serinus rollout resume 2.1.0 --yes
    """
    found = find(session, which)
    session.console.confirm(f"resume {found['version']} in ring {found['ring']}?")
    return _act(session, found, "resume", reason, waive=list(waive))


@rollout.command("pull")
@_which
@option("--replacement", metavar="VERSION", help="Where installs are sent; else the newest way.")
@option("--confirm", metavar="VERSION", help="Stands for typing the version.")
@_reason
@remote
def pull(
    session: Session,
    which: str | None,
    *,
    replacement: str | None,
    confirm: str | None,
    reason: str,
) -> int:
    """Withdraw the release for good. Installs on it get the replacement.

    Example: serinus rollout pull 2.1.0 --confirm 2.1.0 --reason "loses data"
    """
    found = find(session, which)
    version, reached = found["version"], sum(found["funnel"]["applied"].values())
    if found["state"] != "pulled":
        named = {"way_back": replacement} if replacement else {}
        told = where_to(_whole(session, found) | named)
        question = f"pull withdraws {version} for good from {reached} installs; {told}"
        session.console.confirm(question, expected=version, given=confirm)
    return _act(session, found, "pull", reason, replacement=replacement)


# Verbs that widen go by what was shown: not if somebody changed it since.
_SEEN = ("promote", "resume")


def _act(
    session: Session,
    found: Mapping[str, Any],
    verb: str,
    reason: str,
    **fields: object,
) -> int:
    ends_suspension = verb == "resume" and found["verdict"] == "suspend"
    # These need a reason of the operator's own.
    if not (fields.get("override") or fields.get("waive") or ends_suspension):
        reason = reason or f"{verb} from the command line"
    request = {"reason": reason} | {name: value for name, value in fields.items() if value}
    headers = {"If-Match": f'"{found["revision"]}"'} if verb in _SEEN else {}
    path = app_path(session.app, "rollouts", found["id"], verb)
    changed = session.api.post(path, request, headers)
    again = options(app=session.app, **fields, reason=reason)
    if told_to_wait(session, changed, "rollout", verb, found["version"], *again):
        return 0
    if changed["revision"] == found["revision"]:
        if ends_suspension:
            session.console.say(f"{found['version']} is judged again")
            session.console.document(changed)
            return 0
        session.console.say(f"{found['version']} was {changed['state']} already")
        session.console.document(changed)
        return NOTHING_TO_DO
    return tell_next(session, changed)


@rollout.command("explain")
@click.argument("install_id")
@option("--channel", help="The channel; else the workspace's.")
@option("--platform", required=True, help="Such as linux-x86_64.")
@option("--version", "installed", help="The version that runs there.")
@option("--at", help="At an instant, such as 2026-11-22T03:07:00Z; else now.")
@remote
def explain(
    session: Session,
    install_id: str,
    *,
    channel: str | None,
    platform: str,
    installed: str | None,
    at: str | None,
) -> int:
    """Say what an install would get, and why, rule by rule, and whether it is evidence.

    With --at the documents of now are asked what they decide then.

    Example: serinus rollout explain 2f1c9a54-7b0e-4d3c-9a61-0c5f6f2b8e11
      --platform linux-x86_64 --version 2.0.0
    """
    found = session.api.get(
        app_path(session.app, "explain"),
        install_id=install_id,
        channel=session.channel(channel),
        platform=platform,
        version=installed,
        at=at,
    )
    session.console.document(found)
    session.console.table(
        ("rule", "entry", "outcome", "detail"),
        [
            tuple(step.get(key) for key in ("rule", "entry", "outcome", "detail"))
            for step in found["steps"]
        ],
    )
    assignment = found["assignment"]
    told = " ".join(str(part) for part in (assignment["action"], assignment["version"]) if part)
    evidence = found["evidence"]
    session.console.print(
        f"evidence: {'yes' if evidence['counts'] else 'no'}, {evidence['detail']}"
    )
    session.console.print(f"{told}: {assignment['reason']}")
    return 0


def _whole(session: Session, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rollout with its way back, which lists leave out."""
    return session.api.get(app_path(session.app, "rollouts", found["id"]))


def _row(item: Mapping[str, Any]) -> Sequence[object]:
    return (
        item["id"],
        item["version"],
        item["channel"],
        item["state"],
        item["ring"],
        f"{item['exposure_bp'] / 100:g} %",
        item["started_at"],
    )


def _read_ladder(path: Path) -> Mapping[str, Any]:
    """Return what a ladder file says, as the server takes it."""
    terms = read_terms(path)
    steps = {} if terms.steps is None else {"ladder": render_ladder(terms.steps)}
    return steps | {"terms": settings_to_json(terms.settings)}
