"""``serinus rehearse``: what a ladder would notice, what it costs, and how it would go."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rollout.documents import parse_ladder
from rollout.model import Step
from update_server.cli.api import app_path
from update_server.cli.command import Command, Session, option, remote
from update_server.cli.errors import DONE, REFUSED, UsageError
from update_server.cli.ladder_file import read_terms
from update_server.cli.live_fleet import live_fleet
from update_server.cli.policy import STANDARD as STANDARD_POLICY
from update_server.cli.rehearsal_past import replay_rollout
from update_server.cli.rehearsal_plots import draw
from update_server.cli.rehearsal_report import tell
from update_server.evidence.ladder import Terms
from update_server.evidence.settings import HOUR, Settings
from update_server.evidence.settings import STANDARD as STANDARD_SETTINGS
from update_server.rehearsal.document import render_rehearsal
from update_server.rehearsal.draws import Draws
from update_server.rehearsal.fleet import Fleet
from update_server.rehearsal.plan import Plan
from update_server.rehearsal.whole import TRIAL_INSTALLS
from update_server.rehearsal.whole import rehearse as rehearse_plan

_INTERNAL = 20


@click.command("rehearse", cls=Command)
@option(
    "--plan", type=click.Path(path_type=Path, exists=True), help="Ladder file; else the policy's."
)
@option("--fleet", "installs", type=click.IntRange(2), help="So many installs; else the server's.")
@option(
    "--crashes",
    type=click.FloatRange(0, 0.9),
    help="Share of installs that crash on a day; else as the server knows, or 0.005.",
)
@option(
    "--gap", "gap_hours", type=click.FloatRange(0.01, 720), help="Usual hours between check-ins."
)
@option(
    "--internal", type=click.IntRange(0), default=_INTERNAL, help="Installs in internal groups."
)
@option("--channel", help="The channel; else the workspace's.")
@option(
    "--crash-ratio",
    "ratios",
    type=click.FloatRange(0, 1_024),
    multiple=True,
    help="Rehearse this ratio too, and tell its story; can be given again.",
)
@option("--runs", type=click.IntRange(0, 10_000), default=2, show_default=True, help="Trials each.")
@option(
    "--trial-fleet",
    type=click.IntRange(2),
    default=TRIAL_INSTALLS,
    show_default=True,
    help="Installs in a trial, at most.",
)
@option(
    "--plots", type=click.Path(path_type=Path, file_okay=False), help="Folder for plots, as SVG."
)
@option("--past", metavar="VERSION|ID", help="What --plan would have said of this rollout instead.")
@option("--seed", type=int, default=1, show_default=True, help="Where chance begins.")
@remote
def rehearse(session: Session, *, installs: int | None, runs: int, seed: int, **given: Any) -> int:
    """Say what a rollout would notice and cost, before a release is published.

    Rehearses the ladder of --plan, or of the signed policy, on the server's own fleet, or with
    --fleet on an imagined one, which needs no server. Formulas come first; then trials with the
    real judge over virtual installs. The exit code is 1 if a gate is out of reach.

    With --past the reports of a rollout that was judged are judged anew, by the rules of --plan.

    Example: serinus rehearse --fleet 50000 --plan ladder.toml
    """
    if given["past"] is not None:
        return replay_rollout(session, given["past"], _settings(given["plan"]))
    plan = _plan(session, given["plan"], given["channel"], imagined=installs is not None)
    fleet = _fleet(session, installs, given)
    rehearsal = rehearse_plan(
        plan,
        fleet,
        _chance(seed),
        runs=runs,
        trial_installs=given["trial_fleet"],
        ratios=given["ratios"],
    )
    if given["plots"] is not None:
        draw(session.console, rehearsal, given["plots"])
    session.console.document(render_rehearsal(rehearsal, seed))
    tell(session.console, rehearsal, seed)
    return REFUSED if rehearsal.out_of_reach else DONE


def _chance(seed: int) -> Callable[[str], Draws]:
    """Return a maker of generators; text seeds them in the same way everywhere."""
    return lambda name: random.Random(f"{seed}/{name}")


def _plan(session: Session, path: Path | None, channel: str | None, *, imagined: bool) -> Plan:
    terms = Terms(steps=None, settings=STANDARD_SETTINGS) if path is None else read_terms(path)
    steps = terms.steps
    if steps is None:
        steps = _standard_ramp() if imagined else _signed_ramp(session, channel)
    if not steps:
        raise UsageError("bad_ladder", "there is no step", hint="--plan FILE with [[step]]")
    return Plan(steps=steps, settings=terms.settings)


def _settings(path: Path | None) -> Settings:
    if path is None:
        raise UsageError("no_plan", "the past is judged anew by a plan", hint="--plan FILE")
    return read_terms(path).settings


def _standard_ramp() -> tuple[Step, ...]:
    return parse_ladder(STANDARD_POLICY["ramp"])


def _signed_ramp(session: Session, channel: str | None) -> tuple[Step, ...]:
    found = session.api.get(app_path(session.app, "policy"), channel=session.channel(channel))
    return parse_ladder(found["policy"]["ramp"])


def _fleet(session: Session, installs: int | None, given: Mapping[str, Any]) -> Fleet:
    """Return the fleet that was described, or the server's, with what was said otherwise."""
    fleet = live_fleet(session) if installs is None else Fleet(installs=installs, internal=0)
    said: dict[str, Any] = {"internal": min(given["internal"], fleet.installs)}
    if given["crashes"] is not None:
        said["crash_a_day"] = given["crashes"]
    if given["gap_hours"] is not None:
        said["median_gap_seconds"] = given["gap_hours"] * HOUR
    return replace(fleet, **said)
