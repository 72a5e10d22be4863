"""What may happen to a release, played with a fleet of any size against a real server."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.judging.fleet import (
    LINUX,
    NEW,
    WINDOWS,
    Fleet,
    Install,
    Link,
    Manners,
    a_crash,
    at,
    check_in,
    introduce,
    make_installs,
    report,
)
from tests.judging.world import Terms, World, a_judge, controllers_under, copy_data
from update_server.evidence.state import Label, Scored
from update_server.service.ports.studies import StoredDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many installs there are, and how many of our seconds two hours of the judge take.

    An install visits five times in a window.
    """

    installs: int
    seconds: float
    patience: float

    @property
    def period(self) -> float:
        return 0.4 * self.seconds

    def manners(self, **changes: Any) -> Manners:
        usual: dict[str, Any] = {"period": self.period, "away_seconds": 1.5 * self.seconds}
        return Manners(**{**usual, **changes})

    def terms(self, **settings: Any) -> Terms:
        return Terms(seconds=self.seconds, settings=settings)


def _ended(rollout: Mapping[str, Any]) -> bool:
    return rollout["state"] in {"paused", "pulled", "completed"}


def regression(world: World, size: Size, *, kill: bool = False) -> None:
    """A release that crashes five times as often is paused, also if nobody judges for a while."""
    installs = make_installs(size.installs, seed=1)
    manners = size.manners(crashes=at(0.06, 0.3))
    introduce(world.server.public, installs)
    with Fleet(world.server.public, installs, manners):
        world.start(size.terms(automatic=["pause", "promote"]))
        if kill:
            (controller,) = world.controllers()
            os.kill(controller, signal.SIGKILL)
        found = world.wait("paused", _ended, size.patience)

    assert (found["state"], found["ring"]) == ("paused", "30%")
    pause = world.carried_out("pause")
    assert pause.outcome == "paused", pause.outcome
    assert pause.record["candidate"]["rate"] > 2 * pause.record["control"]["rate"]
    sentences = world.sentences()
    assert any(one.startswith("Paused 1.1.0 at ring 30 %") for one in sentences), sentences


def no_regression(world: World, size: Size) -> None:
    """A release that changes nothing opens to all, by itself."""
    installs = make_installs(size.installs, seed=2)
    introduce(world.server.public, installs)
    with Fleet(world.server.public, installs, size.manners(crashes=at(0.1, 0.1), away=0.35)):
        world.start(size.terms(alpha_noninferiority=0.2))
        found = world.wait("open to all", _ended, size.patience)

    assert (found["state"], found["ring"]) == ("completed", "all")
    assert [one for one in world.verdicts() if one in {"pause", "pull", "suspend"}] == []
    assert world.verdicts().count("promote") == 2


def brick(world: World, size: Size, *, arrive_within: float | None = None) -> None:
    """A release after which nothing is heard any more is pulled, without one crash report."""
    installs = make_installs(size.installs, seed=3)
    manners = size.manners(bricks=NEW)
    introduce(world.server.public, installs)
    with Fleet(world.server.public, installs, manners, arrive_within=arrive_within) as fleet:
        world.start(size.terms())
        found = world.wait("pulled", lambda told: told["state"] == "pulled", size.patience)

    assert fleet.counts["crashes"] == 0
    assert found["replacement"] == "1.0.0"
    pull = world.carried_out("pull")
    assert pull.record["cause_metric"] in {"silence", "healthy_launch"}
    assert pull.record["candidate"]["entered"] <= 100


def one_platform(world: World, size: Size) -> None:
    """A release that is broken on one platform is kept back there, and opens to the others."""
    installs = make_installs(size.installs, seed=4, platforms=(LINUX, WINDOWS))
    manners = size.manners(crashes=at(0.06, 0.5, platform=WINDOWS))
    introduce(world.server.public, installs)
    with Fleet(world.server.public, installs, manners):
        world.start(size.terms(automatic=["pause", "promote", "hold"]))
        found = world.wait("open to all", _ended, size.patience)

    assert (found["state"], found["ring"]) == ("completed", "all")
    holds = world.server.serinus("hold", "list")["items"]
    assert [one["audience"] for one in holds] == [{"platform": [WINDOWS]}]
    assert {one.platform for one in installs if one.version == NEW} > {LINUX}


def killed_controller(world: World, size: Size, folder: Path, *, kills: int) -> None:
    """Killing whoever judges changes nothing of what is decided, nor of what was counted.

    What a fleet told is collected while nobody judges. Then it is judged twice: in peace, and
    by controllers that are killed as soon as they got anywhere.
    """
    world.stop_judging()
    installs = make_installs(size.installs, seed=5)
    introduce(world.server.public, installs)
    world.start(size.terms(automatic=["pause", "promote"]))
    with Fleet(world.server.public, installs, size.manners(crashes=at(0.06, 0.3))):
        time.sleep(3 * size.seconds)
    world.server.kill()
    copies = (folder / "in peace", folder / "killed")
    for copy in copies:
        copy_data(world.server.folder, copy)

    def judged(copy: Path, kills: int) -> tuple[StoredDecision, Sequence[Label | Scored]]:
        with a_judge(copy) as (judge, supervisor):
            for _ in range(kills):
                _kill_when_it_counts(judge, supervisor)
            pause = judge.carried_out("pause", patience=60 + size.patience)
            return pause, judge.log()[: pause.log_size]

    with ThreadPoolExecutor(len(copies)) as pool:
        in_peace, killed = pool.map(judged, copies, (0, kills))

    (pause, counted), (other, counted_too) = in_peace, killed
    assert (pause.id, pause.verdict, pause.at) == (other.id, other.verdict, other.at)
    assert pause.record == other.record
    assert counted == counted_too
    assert len(counted) > 20


def _kill_when_it_counts(judge: World, supervisor: int) -> None:
    """Kill the controller once it has counted more than the one before it."""
    until, before = time.monotonic() + 60, len(judge.log())
    while len(judge.log()) <= before or not (found := controllers_under(supervisor)):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(found[0], signal.SIGKILL)


def forged_by_newcomers(world: World, size: Size, *, forgers: int = 500) -> None:
    """Crash reports of installs that came after publication change nothing."""
    terms = _aging(size)
    installs = make_installs(size.installs, seed=6)
    _age(world, size, installs)
    newcomers = make_installs(forgers, seed=7, first=100_000)
    introduce(world.server.public, newcomers, visits=3)
    forged: set[bytes] = set()
    with Fleet(world.server.public, installs, size.manners(crashes=at(0.06, 0.06))):
        world.start(terms)
        # Those who ask before check-ins know of the rollout are in no arm, and could forge nothing.
        world.wait("an offer", lambda found: any(found["funnel"]["offered"].values()), 20)
        link = Link(world.server.public)
        for install in newcomers:
            install.version = check_in(link, install) or install.version
            forged.add(_forge(link, install))
        link.close()
        time.sleep(1.5 * size.seconds)

    assert world.state().not_aged > forgers / 2
    labels = [entry for entry in world.log() if isinstance(entry, Label)]
    assert labels
    assert {label.event for label in labels} & forged == set()
    assert {one for one in world.verdicts() if one in {"pause", "pull", "suspend"}} == set()


def forged_by_planted(world: World, size: Size, *, by_silence: bool) -> None:
    """Installs planted in time on three networks can pause a release, and never pull it."""
    installs = make_installs(size.installs, seed=8)
    planted = make_installs(min(size.installs, 3 * 250), seed=9, first=200_000)
    for number, install in enumerate(planted):
        install.address = f"203.0.{number % 3}.{number // 3 + 1}"
    _age(world, size, [*installs, *planted])
    with Fleet(world.server.public, installs, size.manners()) as fleet:
        world.start(replace(_aging(size), first_bp=1_000))
        link = Link(world.server.public)
        chosen = _chosen(link, planted)
        for install in chosen:
            if not by_silence:
                _forge(link, install)
        _keep_alive(link, [one for one in planted if one not in chosen], size)
        link.close()

    assert fleet.counts["check-ins"] > size.installs
    assert len(chosen) >= 9
    assert world.rollout()["state"] == "paused"
    assert "pull" not in world.verdicts()
    # It would have been one but for who reported: without these networks nothing is left.
    pause = world.carried_out("pause")
    assert pause.record["jackknife"]["log_e_without_few_networks"] < 1


def _chosen(link: Link, planted: Sequence[Install]) -> list[Install]:
    """Return those of *planted* that are offered the new release, once anybody is.

    What the admin app began is seen by check-ins within two seconds.
    """
    until = time.monotonic() + 30
    while not any(check_in(link, one) == NEW for one in planted):
        assert time.monotonic() < until
        time.sleep(0.1)
    time.sleep(2)  # now all processes know of it
    return [one for one in planted if check_in(link, one) == NEW]


def _keep_alive(link: Link, installs: Sequence[Install], size: Size) -> None:
    """Let *installs* come back as they should, for long enough to judge the others."""
    until = time.monotonic() + 2.5 * size.seconds
    while time.monotonic() < until:
        for install in installs:
            check_in(link, install)
        time.sleep(0.4 * size.seconds)


def _aging(size: Size) -> Terms:
    """Return terms by which an install counts if it was known two hours before publication."""
    return size.terms(minimum_age="2 h", minimum_check_ins=3, alpha=0.01)


def _age(world: World, size: Size, installs: Sequence[Install]) -> None:
    """Let *installs* be known for long enough, and then publish the new release."""
    introduce(world.server.public, installs, visits=3)
    time.sleep(size.seconds)
    world.publish(NEW, "--rollback-to", "1.0.0")


def _forge(link: Link, install: Install) -> bytes:
    """Report a crash that never was; return the hash by which it would be counted."""
    crash = a_crash(NEW, where="forged")
    report(link, install, [crash])
    return hashlib.sha256(crash["id"].encode()).digest()
