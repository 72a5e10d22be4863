from __future__ import annotations

from datetime import datetime, timedelta

from packaging.version import Version

from rollout.model import Arm, RolloutId, RolloutState
from tests.fakes import FakeClock, FakeDatabase
from tests.store.crash_values import CONTROL, a_group, a_report
from tests.store.values import NOW, a_contact, a_release, a_rollout, an_app
from update_server.service.crashes.groups import CrashGroups
from update_server.service.crashes.spread import MOST_ROLLOUTS, Spread
from update_server.service.ports import Contact
from update_server.service.ports.crashes import UNATTRIBUTED, Cell, Reported

DAY = timedelta(days=1)
ROLLOUT = RolloutId("ro_7k2m")


class Shop:
    """An app with four versions, the newest of which is rolling out."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        with self.database.transaction() as stores:
            stores.apps.add(an_app())
            for age, version in enumerate(("2.1.0", "2.0.1", "2.0.0", "1.9.0")):
                at = NOW - age * DAY
                stores.releases.add(a_release(version=Version(version), admitted_at=at))
            stores.rollouts.add(a_rollout())

    def spread(self, *reports: Reported) -> Spread:
        with self.database.transaction() as stores:
            stores.crashes.note(reports)
            stores.crashes.note_groups([a_group()])
        return CrashGroups(self.database, FakeClock(NOW)).get("demo", "aa").spread

    def check_in(self, *contacts: Contact) -> None:
        with self.database.transaction() as stores:
            stores.telemetry.absorb(contacts, [])


def a_check_in(install: str, arm: Arm | None = Arm.CANDIDATE, version: str = "2.1.0") -> Contact:
    return a_contact(install, rollout=ROLLOUT, ring="1%", arm=arm, version=version)


def on(spread: Spread, version: str) -> tuple[int, int, datetime | None]:
    (found,) = (one for one in spread.versions if one.version == version)
    return found.installs, found.running, found.first_at


def test_installs_of_each_arm_are_told_with_those_that_checked_in_there() -> None:
    shop = Shop()
    shop.check_in(*(a_check_in(name) for name in "abc"))
    shop.check_in(*(a_check_in(name, Arm.CONTROL, "2.0.1") for name in "defg"))

    spread = shop.spread(
        a_report("1"), a_report("2"), a_report("3", cell=CONTROL, version="2.0.1"),
        a_report("4", signature="bb"), a_report("5", handled=True),
        a_report("6", cell=Cell(arm=UNATTRIBUTED)),
    )  # fmt: skip

    (found,) = spread.rollouts
    assert found.rollout.id == ROLLOUT
    assert [(one.arm, one.installs, one.of) for one in found.arms] == [
        (Arm.CANDIDATE, 2, 3),
        (Arm.CONTROL, 1, 4),
        (Arm.INTERNAL, 0, 0),
    ]


def test_no_more_than_the_newest_rollouts_are_told() -> None:
    shop = Shop()
    with shop.database.transaction() as stores:
        for number in range(MOST_ROLLOUTS):
            over = a_rollout(f"ro_000{number}", state=RolloutState.PULLED)
            stores.rollouts.add(over)

    told = [one.rollout.id for one in shop.spread(a_report()).rollouts]

    assert told == [f"ro_000{number}" for number in reversed(range(MOST_ROLLOUTS))]


def test_the_last_three_versions_are_told_whether_it_was_seen_there_or_not() -> None:
    """2.0.1 lived shortly and was run by few, so an old crash is missing there."""
    shop = Shop()
    shop.check_in(a_check_in("a"), a_check_in("b", Arm.CONTROL, "2.0.0"))

    spread = shop.spread(
        a_report("1"), a_report("2", version="2.0.0", at=NOW - DAY), a_report("3", version="1.9.0")
    )

    assert [one.version for one in spread.versions] == ["2.1.0", "2.0.1", "2.0.0"]
    assert on(spread, "2.1.0") == (1, 1, NOW)
    assert on(spread, "2.0.1") == (0, 0, None)
    assert on(spread, "2.0.0") == (1, 1, NOW - DAY)
    assert spread.running == {("2.1.0", "linux-x86_64"): 1, ("2.0.0", "linux-x86_64"): 1}


def test_whether_it_was_new_is_not_known_where_it_was_not_seen() -> None:
    spread = Shop().spread(a_report("1"))

    assert [one.is_new for one in spread.versions] == [True, None, None]
