"""``serinus crash``: what crashed, on how many installs, and what is the same bug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from update_server.cli.api import app_path
from update_server.cli.command import Group, Session, option, remote

_GROUPS: Final = ("signature", "installs", "reports", "errors", "last_at", "title")
_COUNTS: Final = ("version", "arm", "platform", "os", "handled", "installs", "reports")


@click.group(cls=Group)
def crash() -> None:
    """Crashes by signature: on how many installs, of which version and arm.

    Example: serinus crash list --version 2.1.0
    """


@crash.command("list")
@option("--version", "released", metavar="VERSION", help="Only crashes of this version.")
@option("--channel", help="Only crashes on this channel.")
@remote
def list_crashes(session: Session, *, released: str | None, channel: str | None) -> int:
    """List crashes, those of the most installs first.

    Example: serinus crash list --version 2.1.0
    """
    path = app_path(session.app, "crashes")
    items = list(session.api.items(path, version=released, channel=channel))
    session.console.document({"items": items})
    session.console.listing(
        _GROUPS, [tuple(_plain(item.get(column)) for column in _GROUPS) for item in items]
    )
    return 0


@crash.command("show")
@click.argument("signature")
@remote
def show_crash(session: Session, signature: str) -> int:
    """Show where SIGNATURE was seen, where it was new, and the stack of its newest sample.

    Example: serinus crash show 1f2e3d4c5b6a7988
    """
    found = session.api.get(app_path(session.app, "crashes", signature))
    session.console.document(found)
    session.console.print(_plain(found["title"]))
    session.console.table(
        _COUNTS, [tuple(_plain(one.get(column)) for column in _COUNTS) for one in found["counts"]]
    )
    for one in found["new_on"]:
        word = "new" if one["new"] else "known before"
        session.console.print(f"{one['version']} on {one['channel']}: {word}")
    for waiver in found["waivers"]:
        session.console.print(
            f"waived for {waiver['version']} on {waiver['channel']} until {waiver['expires_at']}"
        )
    for frame in found["stack"]:
        session.console.print(f"  {_place(frame)}")
    return 0


@crash.command("same")
@click.argument("signature")
@click.argument("other")
@option("--reason", default="", help="Why; goes to the audit log.")
@remote
def same_crash(session: Session, signature: str, other: str, *, reason: str) -> int:
    """Say that SIGNATURE is the same bug as OTHER, and count it there from now on.

    Studies of releases that are published already go on as before: see serinus waiver.

    Example: serinus crash same 1f2e3d4c5b6a7988 00112233445566ff --reason "one bug"
    """
    path = app_path(session.app, "crashes", signature, "same-as")
    session.console.document(session.api.post(path, {"signature": other, "reason": reason}))
    return 0


def _place(frame: Mapping[str, Any]) -> str:
    """Return where a frame is, as far as it says so."""
    where = frame.get("module") or frame.get("file") or "?"
    what = frame.get("function")
    if what is None and frame.get("offset") is not None:
        return _plain(f"{where}+{frame['offset']:#x}")
    line = frame.get("line")
    told = f"{where}:{what or '?'}"
    return _plain(told if line is None else f"{told} ({frame.get('file') or where}:{line})")


def _plain(value: object) -> str:
    """Return what installs told as it may be shown on a terminal."""
    text = str(value)
    if value is None or isinstance(value, bool):
        text = {None: "-", True: "yes", False: "no"}[value]
    return "".join(each if each.isprintable() else "?" for each in text)
