"""``serinus rollout decisions``, ``strike``, ``replay``: what was decided, and the sums again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from update_server.cli.api import app_path
from update_server.cli.command import Session, local, option, remote
from update_server.cli.errors import CliError, UsageError
from update_server.cli.standing import find
from update_server.evidence.replay import ReplayError, replay

_MOST_SHOWN: Final = 100


@click.command("decisions")
@click.argument("which", metavar="VERSION|ID", required=False)
@option("--labels", type=click.Path(path_type=Path), help="Write the metric's labels to this file.")
@option("--metric", default="crash", show_default=True, help="Whose labels.")
@remote
def decisions(session: Session, which: str | None, *, labels: Path | None, metric: str) -> int:
    """Print what was decided about a rollout, newest first.

    With --labels the first events of a metric are written down, as `rollout replay` takes them.

    Example: serinus rollout decisions 2.1.0 --labels crashes.json
    """
    found = find(session, which)
    path = app_path(session.app, "rollouts", found["id"])
    items = list(islice(session.api.items(f"{path}/decisions"), _MOST_SHOWN))
    if labels is not None:
        _write_labels(session, f"{path}/evidence", labels, metric)
    session.console.document({"rollout": found["id"], "items": items})
    if not items:
        session.console.say("nothing was decided yet")
    for item in items:
        did = f" ({item['outcome']})" if item["outcome"] not in {"", "noted"} else ""
        session.console.print(f"{item['at']} {item['sentence']}{did}")
    return 0


@click.command("strike")
@click.argument("which", metavar="VERSION|ID", required=False)
@option("--install", metavar="ID", help="The install whose reports are withdrawn.")
@option("--network", help="Or the network: an address in it, or its label in the evidence.")
@option("--reason", required=True, help="Why they are not believed; goes to the audit log.")
@remote
def strike(
    session: Session, which: str | None, *, install: str | None, network: str | None, reason: str
) -> int:
    """Withdraw the first events of an install, or of a network, in both arms alike.

    A pause that does not stand without them is marked as contested; it stays paused until it is
    resumed. The server does not pull by itself any more.

    Example: serinus rollout strike 2.1.0 --network 203.0.113.7 --reason forged
    """
    found = find(session, which)
    path = app_path(session.app, "rollouts", found["id"], "evidence", "strike")
    request = {"install_id": install, "network": network, "reason": reason}
    done = session.api.post(path, {name: text for name, text in request.items() if text})
    session.console.document(done)
    session.console.print(
        f"withdrew {done['candidate']} reports of installs offered it and {done['control']} of "
        "installs held back"
    )
    if done["sentence"]:
        session.console.print(done["sentence"])
    elif done["decision"]:
        session.console.print(
            f"The pause stands without them: log e-value {done['log_e']:.6g}, it takes "
            f"{done['needed']:.6g}."
        )
    return 0


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@local
def replay_file(session: Session, file: Path) -> int:
    """Compute the evidence of the events in FILE, as the server does.

    FILE is what `rollout decisions --labels` writes, or a document of your own: docs/evidence.md.

    Example: serinus rollout replay crashes.json --json
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise UsageError("bad_replay", f"{file} is no JSON object")
        computed = replay(document)
    except ReplayError as error:
        data = {"field": error.field}
        raise UsageError("bad_replay", f"{file}: {error}", data=data) from error
    except (ValueError, RecursionError) as error:
        raise UsageError("bad_replay", f"{file}: {error}") from error
    session.console.document(computed)
    low, high = computed["interval"]
    session.console.print(
        f"{document['metric']}: {computed['verdict'] or 'no verdict'}; log e-value "
        f"{computed['log_e_harm']:.6g}; ratio {computed['ratio_estimate']:.4g} (95 % interval "
        f"{low:.4g} to {'infinity' if high is None else f'{high:.4g}'})"
    )
    return 0


def _write_labels(session: Session, path: str, file: Path, metric: str) -> None:
    evidence: Mapping[str, Any] = session.api.get(path, metric=metric)
    if evidence["replay"] is None:
        raise CliError("no_labels", f"{metric} is not about first events, so it has no labels")
    file.write_text(json.dumps(evidence["replay"], indent=1) + "\n", encoding="utf-8")
    session.console.say(f"wrote {len(evidence['replay']['events'])} labels of {metric} to {file}")
