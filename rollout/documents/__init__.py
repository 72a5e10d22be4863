"""The three signed documents: policy, rollout and release (docs/trust.md, 3).

``parse_x`` turns untrusted bytes into a value or raises DocumentError; ``render_x`` writes
the canonical bytes, and ``parse_x(render_x(value)) == value`` for every value that a parser
can return. Fields that are not known are ignored, and so grant nothing.

Not here: signatures, and whether what a document says is allowed (``rollout.changes``).
"""

from rollout.documents.agreement import check_against_policy
from rollout.documents.audiences import parse_audience, render_audience
from rollout.documents.paths import (
    path_of_policy,
    path_of_release,
    path_of_rollout,
    release_folder,
)
from rollout.documents.policies import parse_ladder, parse_policy, render_ladder, render_policy
from rollout.documents.releases import parse_release, render_release
from rollout.documents.rollouts import (
    check_hold,
    digest_of,
    digests_of,
    parse_rollout,
    render_rollout,
)

__all__ = [
    "check_against_policy",
    "check_hold",
    "digest_of",
    "digests_of",
    "parse_audience",
    "parse_ladder",
    "parse_policy",
    "parse_release",
    "parse_rollout",
    "path_of_policy",
    "path_of_release",
    "path_of_rollout",
    "release_folder",
    "render_audience",
    "render_ladder",
    "render_policy",
    "render_release",
    "render_rollout",
]
