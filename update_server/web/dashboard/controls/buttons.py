"""Which verbs a release page offers, and why not where it does not: no button is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from update_server.service.ports import Role
from update_server.web.dashboard.door import Visitor

_NO_OPERATOR: Final = "needs the role operator"
_NO_WORD: Final = "needs a password of your own: ask an admin for a link to set one"
_NOT_ALLOWED: Final = "the signed policy forbids it"
_NOTHING: Final[Mapping[str, Any]] = {"people": 1, "override": False, "why": ()}
_ASKED: Final = "needs a second person: you asked at {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A verb, as it is offered.

    ``why`` says why it cannot be pressed now; empty where it can. ``href`` is its own page, with
    the evidence; empty for what one press does. ``main`` is what stops the release.
    """

    verb: str
    label: str
    href: str = ""
    why: str = ""
    note: str = ""
    command: str = ""
    main: bool = False


def buttons_of(it: Mapping[str, Any], visitor: Visitor) -> list[Button]:
    """Return what is offered to *visitor* about a rollout, what stops it first."""
    found = [_pause(it), _pull(it), _resume(it), _promote(it)]
    return [_for(visitor, it, each) for each in found if each is not None]


def _pause(it: Mapping[str, Any]) -> Button | None:
    command = _command(it, "pause", '--reason "…"')
    if it["state"] == "paused":
        return Button(verb="pause", label="Keep paused", command=command)
    if "pause" not in it["legal"]:
        return None
    return Button(verb="pause", label="Pause", command=command, main=True)


def _pull(it: Mapping[str, Any]) -> Button:
    back = it["way_back"]
    label = f"Pull to {back}" if back else "Pull"
    if "pull" not in it["legal"]:
        return Button(verb="pull", label="Pull", why="it was pulled: a fix needs a higher version")
    return Button(
        verb="pull",
        label=label,
        href=_page(it, "pull"),
        note="" if back else "nobody is sent back: no way back is signed",
        command=_command(it, "pull", f'--confirm {it["version"]} --reason "…"'),
        main=it["state"] != "active",
    )


def _resume(it: Mapping[str, Any]) -> Button | None:
    command = _command(it, "resume", '--reason "…"')
    if it["state"] == "active" and it["verdict"] == "suspend":
        return Button(verb="resume", label="Judge again", href=_page(it, "resume"), command=command)
    if "resume" not in it["legal"]:
        return None
    return Button(
        verb="resume",
        label="Resume",
        href=_page(it, "resume"),
        why=_never(it, "resume"),
        note=_people(it, "resume"),
        command=command,
    )


def _promote(it: Mapping[str, Any]) -> Button | None:
    if it["state"] not in {"active", "paused"} or _is_last(it):
        return None
    ahead = it["ladder"][it["position"] + 1]["ring"]
    label = f"Promote to {ahead}"
    if "promote" not in it["legal"]:
        return Button(verb="promote", label=label, why="it is paused: first resume it")
    return Button(
        verb="promote",
        label=label,
        href=_page(it, "promote"),
        why=_never(it, "promote"),
        note=_people(it, "promote"),
        command=_command(it, "promote", '--reason "…"'),
    )


def _for(visitor: Visitor, it: Mapping[str, Any], button: Button) -> Button:
    """Return *button* as *visitor* may press it."""
    if button.why:
        return button
    if not visitor.may(Role.OPERATOR):
        return replace(button, why=_NO_OPERATOR)
    if button.verb == "resume" and not visitor.has_password:
        return replace(button, why=_NO_WORD)
    for ask in it["pending"]:
        if ask["verb"] == button.verb:
            if visitor.caller.name in ask["people"]:
                return replace(button, why=_ASKED.format(f"{ask['asked_at'][11:16]} UTC"))
            return replace(button, note=f"{ask['asked_by']} asked for it: you would be the second")
    return button


def _people(it: Mapping[str, Any], verb: str) -> str:
    needs = it["needs"].get(verb, _NOTHING)
    told = ["needs an override"] if needs["override"] else []
    if (needs["people"] or 0) > 1:
        told.append(f"needs {needs['people']} people")
    return ", ".join(told)


def _never(it: Mapping[str, Any], verb: str) -> str:
    """Return why nobody may do it, however many ask; empty where somebody may."""
    needs = it["needs"].get(verb, _NOTHING)
    return "" if needs["people"] is not None else "; ".join(needs["why"]) or _NOT_ALLOWED


def _is_last(it: Mapping[str, Any]) -> bool:
    return bool(it["position"] == len(it["ladder"]) - 1)


def _page(it: Mapping[str, Any], verb: str) -> str:
    return f"/apps/{it['app']}/rollouts/{it['id']}/{verb}"


def _command(it: Mapping[str, Any], verb: str, more: str) -> str:
    return f"serinus rollout {verb} {it['version']} --app {it['app']} {more}"
