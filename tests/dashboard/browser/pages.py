"""All pages, as somebody may open them on the stage. A new page is one line."""

from __future__ import annotations

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
    "account": "/account",
}
"""Where each page is that an admin of all apps may open."""

DOORSTEP = {
    "sign-in": "/sign-in?to=/account",
}
"""Where the pages are that open without a session."""

MISSING = "/no/such/page"


def path_of(page: str, stage: Stage) -> str:
    """Return where a page of the stage is."""
    path = (PAGES | DOORSTEP)[page]
    return path.format(
        rollout=stage.rollout.id,
        version=NEW,
        crash=_signature(stage, hostile=False) if "{crash}" in path else "",
        planted=_signature(stage, hostile=True) if "{planted}" in path else "",
    )


def _signature(stage: Stage, *, hostile: bool) -> str:
    """Return the signature of a crash; of one that attackers wrote, or of another one."""
    found = stage.api(f"/crashes?version={NEW}")["items"]
    return next(str(each["signature"]) for each in found if (PLANTED in each["title"]) is hostile)
