"""The version in the name that an SDK gives its release: ``name@version+build``, or a bare one."""

from __future__ import annotations

from typing import Final

from rollout.errors import InvalidVersionError
from rollout.versions import parse_version, render_version

_MAX_TEXT: Final = 250  # Sentry's own limit


def version_told(release: object) -> str:
    """Return the version in *release*, spelled as ours are; ``""`` when there is none.

    The name is the app's and says nothing; what is no version may be anything, so it is dropped. A
    build that no version can have is left out.
    """
    if not isinstance(release, str) or len(release) > _MAX_TEXT:
        return ""
    text = release.strip().rpartition("@")[2]
    for spelling in (text, text.partition("+")[0]):
        try:
            return render_version(parse_version(spelling))
        except InvalidVersionError:
            continue
    return ""
