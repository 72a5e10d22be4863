"""``serinus rollout pending`` and ``withdraw``: verbs that wait for a second person."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import click

from update_server.cli.api import app_path
from update_server.cli.command import Session, remote


@click.command("pending")
@remote
def pending(session: Session) -> int:
    """List what waits for a second person: the same command by somebody else completes it.

    Example: serinus rollout pending
    """
    items = list(session.api.items(app_path(session.app, "pending")))
    session.console.document({"items": items})
    session.console.listing(
        ("ask", "verb", "version", "channel", "what", "people", "asked by", "until"),
        [
            (
                item["id"],
                item["verb"],
                item["version"],
                item["channel"],
                item["hold"] or item["ring"],
                f"{item['has']} of {item['needs']}",
                ", ".join(item["people"]),
                item["expires_at"],
            )
            for item in items
        ],
    )
    return 0


@click.command("withdraw")
@click.argument("ask", metavar="ASK")
@remote
def withdraw(session: Session, ask: str) -> int:
    """Withdraw ASK, which waits for a second person. Any operator may; asks nothing.

    Example: serinus rollout withdraw pe_4f1c09d2a7b3e856
    """
    session.api.delete(app_path(session.app, "pending", ask))
    session.console.document({"withdrawn": ask})
    session.console.print(f"{ask} waits no more")
    return 0


def told_to_wait(session: Session, answer: Mapping[str, Any], *command: str) -> bool:
    """Tell, if *answer* is that the verb waits, for whom; return whether it is.

    *command* is what the second person has to run, after ``serinus``.
    """
    if "why" not in answer:  # a rollout has all that waits for it under the name of "pending"
        return False
    waits = answer["pending"]
    session.console.document(answer)
    missing = waits["needs"] - waits["has"]
    people = "a second person" if waits["needs"] == 2 else f"{missing} more"  # noqa: PLR2004 - two
    where = "to" if waits["verb"] == "promote" else "in"
    what = f"hold {waits['hold']}" if waits["hold"] else f"{where} ring {waits['ring']}"
    place = f"{session.app} {waits['version']} on {waits['channel']}"
    until = waits["expires_at"]
    session.console.print(f"{place}: {waits['verb']} {what} waits for {people} until {until}")
    session.console.say(f"because of {'; '.join(answer['why'])}")
    session.console.say(f"they run: {shlex.join(('serinus', *command))}")
    session.console.say(f"to withdraw it: serinus rollout withdraw {waits['id']}")
    return True


def options(**given: object) -> list[str]:
    """Return *given* as options of a command, without those that say nothing."""
    found: list[str] = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        match value:
            case True:
                found.append(flag)
            case list() | tuple():
                found += [part for each in value for part in (flag, str(each))]
            case None | False | "":
                pass
            case _:
                found += [flag, str(value)]
    return found
