from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.judge_world import NAMES
from tests.study_world import CopyingRegister, crash, seen, session, stage_opened
from update_server.evidence.engine import advance
from update_server.evidence.facts import Fact, Paused, Resumed, Step, Stepped, Unsuspended
from update_server.evidence.recomputing import recompute
from update_server.evidence.settings import DAY, HOUR, STANDARD, Metric, Settings
from update_server.evidence.state import Label, MemoryLog, Scored, State
from update_server.evidence.verdicts import Judgement, Verdict

T0 = 1_767_225_600.0


class Rollout:
    """A whole study in memory, that judges at each tick."""

    def __init__(self, settings: Settings = STANDARD) -> None:
        self.settings = settings
        self.state = State()
        self.register = CopyingRegister()
        self.log = MemoryLog()
        self.tick(stage_opened(exposure_bp=1_000))

    def tick(self, *facts: Fact) -> Judgement:
        now = max([self.state.now, *(fact.at for fact in facts)])
        return advance(
            self.state,
            facts,
            self.register,
            self.log,
            self.settings,
            now,
            can_pull=True,
            names=NAMES,
        )

    def copied(self) -> Rollout:
        """Return this study as another process would go on with it."""
        other = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        other.register = copy.deepcopy(self.register)
        other.log = copy.deepcopy(self.log)
        return other

    def enter(self, candidates: int = 40, controls: int = 360) -> Judgement:
        return self.tick(
            *(seen(i, 1, network=b"n%d" % i) for i in range(candidates)),
            *(seen(1_000 + i, 1, candidate=False, network=b"m%d" % i) for i in range(controls)),
        )


def test_a_release_that_crashes_everywhere_is_pulled() -> None:
    rollout = Rollout()
    rollout.enter()

    judgement = rollout.tick(*(crash(i, 60 + i) for i in range(20)))

    assert judgement.verdict is Verdict.PULL
    assert judgement.record["sentence"].startswith(
        "Pulled 4.2.0 at ring 50 % after 0.0 h: 20 of 40 installs offered it crashed against "
        "0 of 360 held back on 4.1.9, at least "
    )


def test_the_same_facts_give_the_same_judgement_to_the_bit() -> None:
    first, second = Rollout(), Rollout()
    facts = [crash(i, 60 + i) for i in range(20)]
    first.enter()
    second.enter()

    assert first.tick(*facts) == second.tick(*reversed(facts))


def test_a_decision_recomputes_from_what_was_logged() -> None:
    rollout = Rollout()
    rollout.enter()
    rollout.tick(crash(1_001, 50), crash(3, 50), crash(1_002, 51))
    record = rollout.tick(*(crash(i, 60 + i) for i in range(20))).record

    entries = rollout.log._entries
    again = recompute(
        record,
        [e for e in entries if isinstance(e, Label)],
        [e for e in entries if isinstance(e, Scored)],
    )

    assert again.same_bits


def test_a_healthy_release_is_never_paused_and_soaks() -> None:
    rollout = Rollout()
    rollout.enter()
    everybody = [*range(40), *range(1_000, 1_360)]
    rollout.tick(*(session(i, 12 * 3_600) for i in everybody))

    judgements = [rollout.tick(*(seen(i, hour * HOUR) for i in everybody)) for hour in range(1, 40)]

    assert {judgement.verdict for judgement in judgements} == {None, Verdict.CONTINUE}
    assert judgements[0].no_verdict == "cohort_not_matured"
    # The first outcomes are known after a day.
    assert rollout.state.stage.soaked_seconds == 14 * HOUR


def test_a_bricked_release_is_noticed_without_any_event() -> None:
    rollout = Rollout()
    rollout.enter()
    for hour in (7, 14, 21):
        rollout.tick(*(seen(1_000 + i, hour * HOUR, candidate=False) for i in range(360)))

    judgement = rollout.tick(seen(1_001, 2 * DAY, candidate=False))

    assert judgement.verdict in {Verdict.PAUSE, Verdict.PULL}
    assert judgement.cause in {Metric.SILENCE, Metric.HEALTHY}


def test_no_data_never_promotes() -> None:
    rollout = Rollout()

    judgements = [rollout.tick() for _ in range(9)]

    assert {judgement.no_verdict for judgement in judgements} == {"no_contacts"}


def test_one_arm_alone_never_promotes() -> None:
    rollout = Rollout()
    rollout.enter(candidates=400, controls=0)

    judgements = [
        rollout.tick(*(seen(i, hour * HOUR) for i in range(400))) for hour in range(8, 80, 8)
    ]

    assert {judgement.verdict for judgement in judgements} <= {None, Verdict.SUSPEND}


def test_a_stop_line_that_was_accepted_does_not_pause_again() -> None:
    rollout = Rollout()
    rollout.enter()
    failures = [
        Stepped(at=T0 + 60 + i, install=seen(i).install, step=Step.VERIFY, ok=False)
        for i in range(9)
    ]
    assert rollout.tick(*failures).verdict is Verdict.PAUSE
    rollout.tick(Paused(at=T0 + 90, automatic=True))

    judgement = rollout.tick(Resumed(at=T0 + 99))

    assert judgement.verdict is None
    assert rollout.state.epoch.number == 2


def test_a_suspension_lasts_until_a_person_ends_it() -> None:
    rollout = Rollout()
    judgement = rollout.enter(candidates=300, controls=300)
    assert judgement.verdict is Verdict.SUSPEND
    assert rollout.tick(seen(1, 60)).verdict is Verdict.SUSPEND

    assert rollout.tick(Unsuspended(at=T0 + 70)).verdict is not Verdict.SUSPEND


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_a_leader_may_die_between_any_two_ticks(parts: int) -> None:
    facts = [crash(i, 60 + i) for i in range(21)]
    whole, broken = Rollout(), Rollout()
    whole.enter()
    broken.enter()
    size = len(facts) // parts
    for start in range(0, len(facts), size):
        whole.tick(*facts[start : start + size])

    for start in range(0, len(facts), size):
        # What was not committed is lost, and done again.
        lost = broken.copied()
        lost.tick(*facts[start : start + size])
        broken.tick(*facts[start : start + size])

    assert broken.state == whole.state


def test_a_network_that_sends_too_much_cannot_pull() -> None:
    rollout = Rollout(replace(STANDARD, network_cap=0))
    rollout.tick(
        *(seen(i, 1, network=b"n%d" % (i % 2)) for i in range(40)),
        *(seen(1_000 + i, 1, candidate=False) for i in range(360)),
    )

    judgement = rollout.tick(*(crash(i, 60 + i) for i in range(20)))

    assert judgement.verdict is Verdict.PAUSE
