"""The vectors can fail: each rule of the decision is broken once, and some vector must notice."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from rollout.model import Assignment
from tests.rollout.decision_vectors import decision_vectors, told

pytestmark = pytest.mark.no_cover  # the same lines a million times

ROOT = Path(__file__).parents[2]
MODULES = ("bucket", "versions", "audience", "eligibility", "rings", "decide")  # by import order

MUTATIONS = [
    # (module, what stands there, what is put in its place)
    ("bucket", 'encode("ascii")', 'encode("utf-16")'),
    ("bucket", 'b"\\x7c"', 'b""'),
    ("bucket", ', "big")', ', "little")'),
    ("versions", '">=": left >= right', '">=": left > right'),
    ("versions", '"<": left < right', '"<": left <= right'),
    ("audience", "fits is not False", "fits is True"),
    ("audience", "fits is True", "fits is not False"),
    ("audience", "[None] if audience.unknown else []", "[]"),
    ("audience", "install.platform in audience.platform", "True"),
    ("audience", "    if audience.country is not None:\n", "    if False:\n"),
    ("audience", "all(os_version_fits(", "any(os_version_fits("),
    ("audience", 'f"{wanted}-"', "wanted"),
    ("eligibility", "release.app == policy.app", "True"),
    ("eligibility", "release.channel == policy.channel == install.channel", "True"),
    ("eligibility", "policy.channel == install.channel", "policy.channel"),
    ("eligibility", "release.platform == install.platform", "True"),
    ("eligibility", "version in policy.revoked", "False"),
    ("eligibility", "(install.sticky_floor, policy.floor)", "(policy.floor,)"),
    ("eligibility", "(install.sticky_floor, policy.floor)", "(install.sticky_floor,)"),
    ("eligibility", "version < floor for", "version <= floor for"),
    ("eligibility", "install.version >= release.min_version", "True"),
    ("eligibility", "install.version is not None and", "install.version is None or"),
    ("eligibility", 'f">={release.min_os}"', 'f">={release.min_os}.1"'),
    ("eligibility", "        return False\n", "        return True\n"),
    ("eligibility", "version >= max(reached)", "version >= min(reached)"),
    (
        "eligibility",
        "releases.get(version)\n    if release is None:",
        "releases.get(version)\n    if False:",
    ),
    ("eligibility", "version in highest.rollback_to", "True"),
    ("eligibility", "highest is not None and", "highest is None or"),
    ("rings", "age <= age_seconds", "age < age_seconds"),
    ("rings", "reached[-1] if reached else 0", "reached[-1] if reached else 10_000"),
    ("rings", "release.ages_from", "release.released_at"),
    ("rings", "BUCKETS - entry.holdback_bp", "BUCKETS - entry.holdback_bp + 1"),
    ("rings", "entry.rollback or is_internal", "is_internal"),
    ("rings", "entry.rollback or is_internal(ring, policy)", "True"),
    ("rings", "is_general(ring) and in_holdback", "in_holdback"),
    ("rings", "bucket < exposure_bp", "bucket <= exposure_bp"),
    ("rings", "and selects(ring.audience, install)", ""),
    ("rings", "set(groups) <= set(policy.internal_groups)", "True"),
    ("rings", "bool(rings) and not any", "not any"),
    ("rings", "has_attributes(ring.audience, install) for", "True for"),
    ("decide", "now >= rule.after", "True"),
    ("decide", "now >= rule.after", "now > rule.after"),
    ("decide", "reverse=True", "reverse=False"),
    ("decide", "why_not_allowed(version, documents, install) is None", "True"),
    ("decide", "not _throttled(version, install, now)", "True"),
    ("decide", "installed < v)", "installed <= v)"),
    ("decide", "installed not in entry.from_versions", "False"),
    ("decide", "else entry.version > installed", "else entry.version >= installed"),
    ("decide", "else entry.version > installed", "else True"),
    ("decide", "entry.version < installed if entry.rollback", "True if entry.rollback"),
    ("decide", "RolloutState.PAUSED: Reason.PAUSED, ", ""),
    ("decide", ", RolloutState.PULLED: Reason.PULLED}", "}"),
    ("decide", "    if detail is not None:  # c", "    if False:  # c"),
    (
        "decide",
        "slice_holds(hold.audience, install):\n            return A",
        "False:\n            return A",
    ),
    ("decide", "_throttled(entry.version, install, now)", "False"),
    ("decide", "now < f.retry_at", "now <= f.retry_at"),
    ("decide", "f.version == version and", ""),
    ("decide", "refusals[0]", "refusals[-1]"),
    ("decide", "if only_attributes_fail(entry, install)", "if False"),
    ("decide", "Reason.HOLDBACK if held_back", "Reason.OUTSIDE_RING if held_back"),
    ("decide", "if entry.version == install.version and", "if False and"),
    ("decide", "Reason.UP_TO_DATE if entries else", "Reason.UP_TO_DATE if True else"),
    ("decide", "_stay(documents.rollout_missing)", "_stay(Reason.NO_RELEASE)"),
]


def decide_of(
    monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str
) -> Callable[..., Assignment]:
    """Return ``decide`` as it would be if *old* were *new* in one module of ``rollout``."""
    for name in MODULES:
        source = (ROOT / "rollout" / f"{name}.py").read_text()
        if name == module:
            assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
            source = source.replace(old, new)
        loaded = ModuleType(f"rollout.{name}")
        monkeypatch.setitem(sys.modules, loaded.__name__, loaded)
        exec(compile(source, f"<mutated {name}>", "exec"), loaded.__dict__)
    decide: Callable[..., Assignment] = importlib.import_module("rollout.decide").decide
    return decide


def noticed_by(decide: Callable[..., Assignment]) -> list[str]:
    """Return the names of the vectors that *decide* fails."""
    failed = []
    for vector in decision_vectors():
        try:
            answer = told(decide(vector.documents, vector.install, vector.now))
        except Exception as error:  # noqa: BLE001 - a mutant may fail in any way
            answer = {"error": repr(error)}
        if answer != vector.expected:
            failed.append(vector.name)
    return failed


def test_the_code_as_it_stands_passes_this_way_of_loading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert noticed_by(decide_of(monkeypatch, "", "", "")) == []


@pytest.mark.parametrize(("module", "old", "new"), MUTATIONS)
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str
) -> None:
    assert noticed_by(decide_of(monkeypatch, module, old, new))
