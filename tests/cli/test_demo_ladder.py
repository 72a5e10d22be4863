"""The demo's policy is a real one, and its rings are never empty at forty installs."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from rollout.documents import parse_policy
from update_server.cli.demo import ladder
from update_server.cli.policy import policy_document

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def test_the_policy_has_the_usual_rings_and_neither_ceiling_nor_soak() -> None:
    policy = parse_policy(policy_document("demo", "stable", NOW, ladder.policy()))

    assert (
        tuple(step.ring for step in policy.ramp) == ladder.RINGS == ("internal", "1%", "10%", "all")
    )
    assert policy.ramp[0].exposure_bp is None
    assert not any(step.soak_seconds or step.approvals for step in policy.ramp)
    assert policy.ceiling == ()


def test_forty_installs_leave_no_ring_empty_but_once_in_ten_thousand_runs() -> None:
    shares = [0, *(share for _, share in ladder.GENERAL)]
    general = 36

    for before, share in itertools.pairwise(shares):
        assert (1 - (share - before) / 10_000) ** general < 1e-4


def test_the_screen_says_where_a_share_is_not_what_the_name_says() -> None:
    assert ladder.title("internal") == "internal"
    assert ladder.title("1%") == "1% (here 25 %)"
    assert ladder.title("all") == "all"
