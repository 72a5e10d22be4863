"""Who may put an update off, for how long, and what happens to a hook that does not answer."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, time, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from client_agent.config import Metered, PolicySettings, QuietHours
from client_agent.consent import permission as permission_module
from client_agent.consent.permission import Permission
from client_agent.consent.policy import Allow, DefaultPolicy, Defer, Policy, UpdateInfo, Verdict
from client_agent.consent.postponed import FILE_NAME, PostponedFile
from client_agent.errors import AgentError, Code, DiskError
from client_agent.machine.values import Edition
from client_agent.running.asking import unreadable
from client_agent.values import InstalledVersion, State
from tests.agent.agent_fakes import START, FakeClock, Machine
from tests.agent.machine_builders import a_goal

EDITION = Edition(version=Version("2.1.0"), manifest_sha256="ab" * 32)
NEWER = Edition(version=Version("2.2.0"), manifest_sha256="cd" * 32)
INFO = UpdateInfo(version="2.1.0", download_bytes=50_000_000)
SMALL = replace(INFO, download_bytes=10_000_000, delta=True)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Desk:
    """A machine, and the policy of some settings on it."""

    def __init__(self, **settings: object) -> None:
        self.machine = Machine()
        self.clock = FakeClock()
        chosen = PolicySettings(**settings)  # type: ignore[arg-type]
        self.policy = DefaultPolicy(chosen, self.machine, self.clock)


# --- the settings' own -------------------------------------------------------------------


def test_an_ordinary_machine_waits_for_nothing() -> None:
    desk = Desk()

    assert desk.policy.may_download(INFO) == Allow()
    assert desk.policy.may_apply(INFO) == Allow()


def test_a_metered_network_is_waited_out_for_a_week_and_then_pays_for_small_deltas() -> None:
    desk = Desk()
    desk.machine.costs = True
    since = replace(INFO, waits_since=START)
    small = replace(SMALL, waits_since=START)

    assert desk.policy.may_download(INFO) == Defer(START + 7 * DAY, "metered")
    desk.clock.advance(6 * 86_400)
    assert desk.policy.may_download(small) == Defer(START + 7 * DAY, "metered")
    desk.clock.advance(86_400)
    assert desk.policy.may_download(small) == Allow()
    assert desk.policy.may_download(since) == Defer(START + 7 * DAY + HOUR, "metered")
    larger = replace(small, download_bytes=10_000_001)
    assert isinstance(desk.policy.may_download(larger), Defer)


def test_a_network_that_costs_may_be_ignored_and_never_stops_what_must_be_reached() -> None:
    ignoring = Desk(metered=Metered.IGNORE)
    desk = Desk()
    ignoring.machine.costs = desk.machine.costs = True

    assert ignoring.policy.may_download(INFO) == Allow()
    assert desk.policy.may_download(replace(INFO, urgent=True)) == Allow()


@pytest.mark.parametrize(
    ("battery", "verdict"), [(19, Defer(START + HOUR, "battery")), (20, Allow()), (None, Allow())]
)
def test_an_empty_battery_is_waited_for(battery: int | None, verdict: Verdict) -> None:
    desk = Desk()
    desk.machine.battery = battery

    assert desk.policy.may_download(INFO) == verdict


def test_nothing_is_applied_in_quiet_hours_but_downloaded() -> None:
    at = START.astimezone()
    quiet = QuietHours(time(at.hour), (at + 2 * HOUR).replace(minute=0).time())
    desk = Desk(quiet_hours=quiet)

    verdict = desk.policy.may_apply(INFO)

    assert isinstance(verdict, Defer)
    assert START < verdict.until <= START + 2 * HOUR
    assert desk.policy.may_download(INFO) == Allow()
    desk.clock.set_wall(verdict.until.astimezone(UTC))
    assert desk.policy.may_apply(INFO) == Allow()


def test_a_busy_app_is_waited_for() -> None:
    desk = Desk()
    desk.policy.busy = True

    assert desk.policy.may_apply(INFO) == Defer(START + HOUR, "busy")
    assert desk.policy.may_download(INFO) == Allow()


# --- people ------------------------------------------------------------------------------


@pytest.fixture
def postponed(tmp_path: Path) -> PostponedFile:
    return PostponedFile(tmp_path, Machine())


def test_later_is_a_day_and_at_most_seven_times(postponed: PostponedFile) -> None:
    said = [postponed.later(EDITION, START + n * DAY) for n in range(8)]

    assert said == [True] * 7 + [False]
    wish = postponed.of(EDITION)
    assert wish.verdict(START + 6 * DAY + HOUR) == Defer(START + 7 * DAY, "later")
    assert wish.verdict(START + 7 * DAY) == Allow()


def test_a_clock_that_was_ahead_makes_no_longer_wait_of_later(postponed: PostponedFile) -> None:
    postponed.later(EDITION, START + 1_000 * DAY)

    assert postponed.of(EDITION).verdict(START) == Defer(START + DAY, "later")


def test_skip_lasts_until_there_is_another_version(postponed: PostponedFile) -> None:
    postponed.skip(EDITION)

    assert isinstance(postponed.of(EDITION).verdict(START + 400 * DAY), Defer)
    assert postponed.of(NEWER).verdict(START) == Allow()
    postponed.later(NEWER, START)
    assert postponed.of(EDITION).verdict(START) == Allow()  # one version at a time


def test_who_wants_it_now_takes_back_what_was_said_but_not_how_often(
    postponed: PostponedFile,
) -> None:
    postponed.allow()
    postponed.later(EDITION, START)
    postponed.skip(EDITION)

    postponed.allow()

    assert postponed.of(EDITION).verdict(START) == Allow()
    assert postponed.of(EDITION).times == 1


def test_since_when_something_waits_is_never_in_the_future(postponed: PostponedFile) -> None:
    assert postponed.waits_since(EDITION, START + DAY) == START + DAY
    assert postponed.waits_since(EDITION, START + 2 * DAY) == START + DAY
    assert postponed.waits_since(EDITION, START) == START
    assert postponed.of(EDITION).since == START


@pytest.mark.parametrize("torn", [b"", b"{}", b'{"version": 1}', b"\xff", b"[" * 9_999])
def test_a_torn_file_puts_nothing_off(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(torn)

    assert PostponedFile(tmp_path, Machine()).of(EDITION).verdict(START) == Allow()


# --- asking ------------------------------------------------------------------------------


class Said(Policy):
    """A policy whose answers are functions."""

    def __init__(self, say: Callable[[UpdateInfo], Verdict]) -> None:
        self.say = say
        self.asked: list[UpdateInfo] = []

    def may_download(self, info: UpdateInfo) -> Verdict:
        self.asked.append(info)
        return self.say(info)

    may_apply = may_download


@pytest.fixture
def told() -> list[AgentError]:
    return []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Wait for hooks for the blink of an eye; a hook that hangs is let go at the end."""
    monkeypatch.setattr(permission_module, "HOOK_SECONDS", 0.01)
    release = threading.Event()
    yield release
    release.set()


def test_a_persons_word_comes_first_and_must_reach_passes_it_over(
    postponed: PostponedFile, told: list[AgentError]
) -> None:
    postponed.skip(EDITION)
    policy = Said(lambda _: Allow())
    permission = Permission(policy, postponed, FakeClock(), told.append)

    assert isinstance(permission.to_download(EDITION, INFO), Defer)
    assert isinstance(permission.to_apply(EDITION, INFO), Defer)
    assert policy.asked == []
    urgent = replace(INFO, urgent=True)
    assert permission.to_download(EDITION, urgent) == permission.to_apply(EDITION, urgent)
    assert policy.asked == [urgent, urgent]
    assert postponed.of(EDITION).verdict(START) == Allow()  # overruled


def test_an_overruled_wish_that_cannot_be_noted_is_overruled_all_the_same(
    tmp_path: Path, told: list[AgentError], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    postponed = PostponedFile(tmp_path, machine)
    postponed.skip(EDITION)

    def fails(_source: Path, _target: Path) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(machine, "replace", fails)
    permission = Permission(Said(lambda _: Allow()), postponed, FakeClock(), told.append)

    assert permission.to_apply(EDITION, replace(INFO, urgent=True)) == Allow()
    assert [type(error) for error in told] == [DiskError]


def test_since_when_a_download_waits_is_remembered(
    postponed: PostponedFile, told: list[AgentError]
) -> None:
    waits = Defer(START + DAY, "metered")
    permission = Permission(Said(lambda _: waits), postponed, FakeClock(), told.append)

    assert permission.to_download(EDITION, INFO) == waits
    assert postponed.of(EDITION).since == START
    assert permission.to_apply(NEWER, INFO) == waits
    assert postponed.of(NEWER).since is None


def test_a_disk_that_takes_no_note_is_told_and_stops_nothing(
    tmp_path: Path, told: list[AgentError]
) -> None:
    nowhere = PostponedFile(tmp_path / "missing", Machine())
    policy = Said(lambda _: Defer(START + DAY, "metered"))

    Permission(policy, nowhere, FakeClock(), told.append).to_download(EDITION, INFO)

    assert [type(error) for error in told] == [DiskError]


def raises(_: UpdateInfo) -> Verdict:
    raise LookupError


def says_nothing(_: UpdateInfo) -> Verdict:
    return None  # type: ignore[return-value]


def forgets_the_zone(_: UpdateInfo) -> Verdict:
    return Defer(START.replace(tzinfo=None) + DAY, "busy")


def gives_no_word(_: UpdateInfo) -> Verdict:
    return Defer(START + DAY, LookupError())  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", [raises, says_nothing, forgets_the_zone, gives_no_word])
def test_a_broken_hook_lets_downloads_go_on_and_applying_wait_an_hour(
    postponed: PostponedFile, told: list[AgentError], hook: Callable[[UpdateInfo], Verdict]
) -> None:
    permission = Permission(Said(hook), postponed, FakeClock(), told.append)

    assert permission.to_download(EDITION, INFO) == Allow()
    assert permission.to_apply(EDITION, INFO) == Defer(START + HOUR, "broken_policy")
    assert {error.code for error in told} == {Code.BROKEN_POLICY}


def test_a_hook_that_hangs_is_not_waited_for_nor_asked_again(
    postponed: PostponedFile, told: list[AgentError], quick: threading.Event
) -> None:
    def hangs(_: UpdateInfo) -> Verdict:
        quick.wait(10)
        return Defer(START, "too late")

    policy = Said(hangs)
    permission = Permission(policy, postponed, FakeClock(), told.append)

    assert permission.to_download(EDITION, INFO) == Allow()
    assert isinstance(permission.to_apply(EDITION, INFO), Defer)
    assert len(policy.asked) == 1
    assert len(told) == 1


# --- schemas of data ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "reads", "data", "is_readable"),
    [
        ("2.1.0", None, None, True),
        ("2.1.0", 7, 7, True),
        ("2.1.0", 6, 7, False),
        ("2.1.0", None, 7, True),  # newer: taken to read what older ones wrote
        ("1.9.0", None, 7, False),
        ("1.9.0", 8, 7, True),
    ],
)
def test_what_cannot_read_the_apps_data_is_not_for_this_install(
    version: str, reads: int | None, data: int | None, is_readable: bool
) -> None:
    current = InstalledVersion(version=Version("2.0.0"), manifest_sha256="", directory="2.0.0-x")
    release = replace(a_goal(version).release, reads_schema_max=reads)

    error = unreadable(release, State(current=current, data_schema=data))

    assert (error is None) is is_readable
    assert error is None or error.code is Code.DATA_SCHEMA
