"""Whatever a mutated payload, manifest or delta becomes, it is nothing that nobody signed.

Some hundreds of cases; ``python -m tests.agent.mutations`` runs 10,000.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from client_agent.platforms import Platform
from client_agent.versions import build
from client_agent.versions.tree import read_manifest
from client_agent.versions.tree_writer import TreeWriter
from rollout import manifest
from rollout.manifest import Manifest, ManifestEntry
from tests.agent.mutations import MAX_PEAK_BYTES, MAX_SECONDS, MutationCounts, run_mutations

CASES = 440  # 40 of each kind


def test_nothing_but_the_signed_content_is_accepted() -> None:
    command = [sys.executable, "-m", "tests.agent.mutations", f"--count={CASES}", "--seed=11"]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)

    counts = json.loads(ended.stdout)
    assert (counts["accepted_other"], counts["crashed"]) == (0, {})
    assert counts["max_seconds"] <= MAX_SECONDS
    assert counts["peak_bytes"] <= MAX_PEAK_BYTES
    assert counts["cases"] == counts["accepted_same"] + sum(counts["refused"].values()) == CASES
    assert set(counts["kinds"].values()) == {CASES // len(counts["kinds"])}
    assert (counts["passed"], ended.returncode) == (True, 0)


def test_the_cases_reach_behind_every_check() -> None:
    """Some are harmless, and others get as far as names, sums, digests and the base."""
    counts = run_mutations(CASES, seed=12)

    assert counts.accepted_same > 0
    assert {
        "payload/bad_payload",
        "payload/bad_manifest",
        "payload/bad_name",
        "payload/manifest_mismatch",
        "delta/bad_delta",
        "delta/bad_name",
        "delta/damaged",
        "delta/manifest_mismatch",
    } <= counts.refused.keys()


def test_an_agent_that_passes_over_digests_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(self: TreeWriter, entry: ManifestEntry, steps: Iterable[bytes]) -> None:
        with self._root.parent_of(entry.path) as (parent, name):
            descriptor = parent.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            for step in steps:
                os.write(descriptor, step)
            self._complete(descriptor, entry)
            os.close(descriptor)

    def verify_tree(root: Path, sha256: str, _: Platform, *, from_medium: bool) -> Manifest:
        assert from_medium
        return read_manifest(root, sha256)

    monkeypatch.setattr(TreeWriter, "write", write)
    monkeypatch.setattr(build, "verify_tree", verify_tree)

    counts = run_mutations(CASES // 2, seed=13)

    assert counts.accepted_other > 0
    assert not counts.passed


def test_an_agent_that_passes_over_names_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "check_tree", tuple)

    counts = run_mutations(CASES, seed=14)

    assert counts.accepted_other > 0
    assert not counts.passed


@pytest.mark.parametrize(
    "counts",
    [
        MutationCounts(accepted_other=1),
        MutationCounts(max_seconds=MAX_SECONDS + 0.1),
        MutationCounts(peak_bytes=MAX_PEAK_BYTES + 1),
    ],
)
def test_a_run_that_breaks_a_limit_has_not_passed(counts: MutationCounts) -> None:
    assert not counts.passed
    assert MutationCounts().passed
