"""Whether stored decisions recompute from the log, bit by bit: row 14.

Decisions of many kinds are made in small fleets of which one thing or another is wrong, written
down as stores write them, read again, and recomputed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.evidence.line import Job, Line, at_least, report
from benchmarks.evidence.world import Release, World, facts_of, opened, pause
from update_server.evidence.facts import Fact, Seen
from update_server.evidence.recomputing import recompute
from update_server.evidence.settings import HOUR, Ceilings, Gate, Settings
from update_server.evidence.state import Label, MemoryLog, Scored, State
from update_server.evidence.verdicts import Judgement, Verdict
from update_server.service.ports.studies import StoredLabel
from update_server.service.studies import codec as study_codec

SEED = 14
DECISIONS = 200
_HOURS = 40
_INSTALLS = 500
_RELEASES = (
    Release(),
    Release(),
    Release(crash_ratio=4.0),
    Release(bricked=0.3),
    Release(crash_ratio=10.0),
    Release(crash_ratio=2.0, bricked=1.0),
)
# So that small fleets promote, too: of a tenth of the installs nothing more is heard, which is
# what the gates of silence and healthy launches need to compare anything.
_DORMANT = 0.1
_EASY = Settings(
    gates=(Gate(up_to_bp=10_000, margin=3.0, silence=0.3),),
    ceilings=Ceilings(unhealthy=0.5, crashed=0.5),
)
_PLATFORMS = ("linux-x86_64", "windows-x86_64")


class KeptLog(MemoryLog):
    """A log that also writes down every entry as stores do."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[StoredLabel] = []

    def add(self, entries: Sequence[Label | Scored]) -> None:
        """Append *entries*."""
        super().add(entries)
        self.stored += map(study_codec.encode_entry, entries)

    def read(self) -> tuple[list[Label], list[Scored]]:
        """Return labels and scored cohorts as they are read again."""
        entries = [study_codec.decode_entry(each) for each in self.stored]
        return (
            [entry for entry in entries if isinstance(entry, Label)],
            [entry for entry in entries if isinstance(entry, Scored)],
        )


def next_step(state: State, judgement: Judgement) -> Fact | None:
    """Return what the server does after a decision: it pauses, or opens the next step."""
    if judgement.verdict is Verdict.PROMOTE:
        return opened(state.now, 5_000, position=state.stage.position + 1, soak_hours=_HOURS / 10)
    return pause(state, judgement)


def a_world(seed: int) -> tuple[World, KeptLog]:
    """Return the world of one small fleet on two platforms, after 60 hours, and its log."""
    release = _RELEASES[seed % len(_RELEASES)]
    log = KeptLog()
    world = World(settings=_EASY, log=log)
    facts = facts_of(
        np.random.default_rng(seed),
        release,
        hours=_HOURS,
        installs=_INSTALLS,
        exposure_bp=3_000,
        crash_share=0.05,
        dormant=_DORMANT,
    )
    first = opened(0.0, 3_000, soak_hours=_HOURS / 10)
    mixed = [
        replace(fact, platform=_PLATFORMS[fact.install[7] % 2]) if isinstance(fact, Seen) else fact
        for fact in facts
    ]
    world.run([first, *mixed], _HOURS * HOUR, then=next_step)
    return world, log


def lines(decisions: int) -> list[Line]:
    """Return row 14."""
    seed = SEED * 1_000
    same, kinds, worlds = 0, Counter[str](), 0
    while kinds.total() < decisions:
        world, log = a_world(seed + worlds)
        worlds += 1
        labels, scored = log.read()
        for record in world.records:
            found = recompute(json.loads(json.dumps(record)), labels, scored)
            same += found.same_bits and found.same_mathematics and not found.contested
            kinds[record["verdict"] or "hold"] += 1
    total = kinds.total()
    return [
        at_least("replay: decisions recomputed to the bit", same / total, 1.0, n=total, seed=seed),
        *(
            report(f"replay: of these {kind}", count, n=total, seed=seed)
            for kind, count in sorted(kinds.items())
        ),
    ]


def jobs() -> list[Job]:
    """Return the job of row 14."""
    return [Job(name="replay", run=partial(lines, DECISIONS))]
