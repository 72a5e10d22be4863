"""All pages, as somebody may open them on the stage. A new page is one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.admin_world import APP
from tests.dashboard.browser.stage import NEW, PLANTED, Stage

_APP = f"/apps/{APP}"
_ROLLOUT = f"{_APP}/rollouts/{{rollout}}"

PAGES = {
    "now": "/",
    "release": _ROLLOUT,
    "evidence": f"{_ROLLOUT}/evidence",
    "resume": f"{_ROLLOUT}/resume",
    "pull": f"{_ROLLOUT}/pull",
    "hold": f"{_ROLLOUT}/hold",
    "lift": f"{_ROLLOUT}/lift/{{hold}}",
    "crashes": f"{_APP}/crashes",
    "crash": f"{_APP}/crashes/{{crash}}",
    "planted crash": f"{_APP}/crashes/{{planted}}",
    "app": _APP,
    "fleet": f"{_APP}/fleet",
    "telemetry": f"{_APP}/telemetry",
    "policy": f"{_APP}/policy",
    "explain": f"{_APP}/explain",
    "audit": "/audit",
    "operators": "/operators",
    "operator": "/operators/{operator}",
    "account": "/account",
}
"""Where each page is that an admin of all apps may open."""

DOORSTEP = {
    "sign-in": "/sign-in?to=/account",
}
"""Where the pages are that open without a session."""

MISSING = "/no/such/page"


_NAMES: Mapping[str, Callable[[Stage], str]] = {
    "rollout": lambda stage: stage.rollout.id,
    "crash": lambda stage: _signature(stage, hostile=False),
    "planted": lambda stage: _signature(stage, hostile=True),
    "hold": lambda stage: stage.world.services().holds.all(APP)[0].hold.id,
    "operator": lambda stage: stage.world.services().operators.all(None)[0].id,
}


def path_of(page: str, stage: Stage) -> str:
    """Return where a page of the stage is."""
    path = (PAGES | DOORSTEP)[page]
    wanted = [name for name in _NAMES if f"{{{name}}}" in path]
    return path.format_map({name: _NAMES[name](stage) for name in wanted})


def _signature(stage: Stage, *, hostile: bool) -> str:
    """Return the signature of a crash; of one that attackers wrote, or of another one."""
    found = stage.api(f"/crashes?version={NEW}")["items"]
    return next(str(each["signature"]) for each in found if (PLANTED in each["title"]) is hostile)
