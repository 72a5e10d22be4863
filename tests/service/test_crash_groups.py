from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import RolloutId
from tests.fakes import FakeClock, FakeDatabase
from tests.store.crash_values import (
    CANDIDATE,
    CONTROL,
    a_count,
    a_group,
    a_report,
    a_sample,
)
from tests.store.values import NOW, a_release, an_app
from update_server.service.access.caller import Caller
from update_server.service.crashes.facts import known_signatures
from update_server.service.crashes.groups import CrashesView, CrashGroups, CrashView
from update_server.service.errors import BadValueError
from update_server.service.ports import NotFoundError
from update_server.service.ports.crashes import (
    UNATTRIBUTED,
    UNPUBLISHED,
    UNTOLD,
    Alias,
    Cell,
    CrashedInstalls,
    Reported,
)
from update_server.service.ports.signatures import OTHER, Sighting
from update_server.service.ports.waivers import Waiver

DAY = timedelta(days=1)
CALLER = Caller(name="ada", token_id="tk_1")


class Shop:
    """Crashes of an app with 2.0.0 and 2.1.0, and who asks about them."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.clock = FakeClock(NOW)
        self.groups = CrashGroups(self.database, self.clock)
        with self.database.transaction() as stores:
            stores.apps.add(an_app(channels=("stable", "beta")))
            stores.releases.add(a_release(version=Version("2.0.0"), admitted_at=NOW - 9 * DAY))
            stores.releases.add(a_release(admitted_at=NOW - DAY))

    def note(self, *reports: Reported) -> None:
        with self.database.transaction() as stores:
            stores.crashes.note(reports)
            names = {one.signature for one in reports} - {UNTOLD, OTHER}
            stores.crashes.note_groups([a_group(name) for name in names])

    def all(self, **asked: Any) -> CrashesView:
        return self.groups.all("demo", **asked)

    def get(self, signature: str = "aa") -> CrashView:
        return self.groups.get("demo", signature)

    def same(self, signature: str, other: str) -> None:
        self.groups.same_as(CALLER, "demo", signature, other, reason="seen in both")


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestAll:
    def test_a_part_of_the_groups_may_be_asked_for(self, shop: Shop) -> None:
        for names in ("a", "ab", "abc"):
            shop.note(*(a_report("1", signature=name) for name in names))
        shop.note(a_report("2", signature="c"), a_report("1", signature=UNTOLD))

        every = [view.signature for view in shop.all().groups]
        parts = [
            [view.signature for view in shop.all(start=start, limit=2).groups] for start in (0, 2)
        ]

        assert every == ["c", "a", "b", UNTOLD]
        assert parts == [every[:2], every[2:]]

    def test_what_most_installs_have_comes_first(self, shop: Shop) -> None:
        shop.note(a_report("1"), a_report("1"), a_report("1"), a_report("1", signature="cc"))
        shop.note(*(a_report(str(n), signature="bb") for n in range(2)))
        shop.note(*(a_report(str(n), signature="ee", handled=True) for n in range(5)))

        groups = shop.all().groups

        assert [(one.signature, one.installs) for one in groups] == [
            ("bb", 2),
            ("aa", 1),
            ("cc", 1),
            ("ee", 0),
        ]
        assert groups[1].counts == (a_count(installs=1, reports=3),)
        assert groups[1].about == a_group("aa")
        assert groups[1].title == "ValueError in notes:save"

    def test_crashes_that_nobody_named_are_those_without_a_signature(self, shop: Shop) -> None:
        shop.note(a_report("1", signature=UNTOLD), a_report("1"), a_report("2", signature=UNTOLD))
        shop.note(a_report("3", signature=OTHER))

        view = shop.all()

        assert {one.signature: one.installs for one in view.groups} == {
            UNTOLD: 1,
            "aa": 1,
            OTHER: 1,
        }
        assert [one.about for one in view.groups if one.signature != "aa"] == [None, None]
        assert view.crashed == [
            CrashedInstalls(version="2.1.0", arm="candidate", installs=3, named=2)
        ]

    def test_a_version_may_be_asked_for_in_any_spelling(self, shop: Shop) -> None:
        shop.note(a_report("1"), a_report("2", version="2.0.0", signature="bb"))

        for spelling in ("2.0", "2.0.0"):
            assert [one.signature for one in shop.all(version=Version(spelling)).groups] == ["bb"]
        assert shop.all(version=Version("3.0")).groups == []

    def test_a_channel_may_be_asked_for(self, shop: Shop) -> None:
        shop.note(a_report("1"), a_report("2", channel="beta", signature="bb"))

        assert [one.signature for one in shop.all(channel="beta").groups] == ["bb"]

    def test_an_app_that_is_not_there_has_none(self, shop: Shop) -> None:
        with pytest.raises(NotFoundError):
            shop.groups.all("other")


class TestOne:
    def test_it_says_where_it_was_seen_and_how(self, shop: Shop) -> None:
        shop.note(a_report("1"), a_report("2", version="2.0.0", cell=CONTROL, os="Linux 5.4"))
        frames = [{"module": "notes", "function": "save"}]
        with shop.database.transaction() as stores:
            bodies: list[dict[str, Any]] = [{}, {"frames": [*frames, 7]}, {"frames": None}]
            samples = [
                a_sample(f"e{n}", at=NOW + n * DAY, body=body) for n, body in enumerate(bodies)
            ]
            stores.crashes.add_samples(samples)

        view = shop.get()

        assert [(one.version, one.arm, one.os) for one in view.group.counts] == [
            ("2.0.0", "control", "Linux 5.4"),
            ("2.1.0", "candidate", "Linux 6.1"),
        ]
        assert view.group.installs == 2
        assert [one.id for one in view.samples] == ["e2", "e1", "e0"]
        assert view.frames == tuple(frames)

    def test_native_crashes_show_the_thread_that_crashed(self, shop: Shop) -> None:
        shop.note(a_report())
        thread = {"module": "app", "offset": 16}
        with shop.database.transaction() as stores:
            stores.crashes.add_samples([a_sample(body={"crashed_thread": [thread]})])

        assert shop.get().frames == (thread,)

    def test_what_nobody_named_has_a_page_too(self, shop: Shop) -> None:
        shop.note(a_report(signature=UNTOLD), a_report("2", signature=OTHER))

        assert (shop.get(UNTOLD).group.installs, shop.get(UNTOLD).news) == (1, {})
        assert shop.get(OTHER).frames == ()

    def test_what_was_never_seen_is_not_found(self, shop: Shop) -> None:
        for app, signature in (("demo", "bb"), ("other", "aa")):
            with pytest.raises(NotFoundError):
                shop.groups.get(app, signature)

    def test_waivers_that_name_it_are_told_while_they_last(self, shop: Shop) -> None:
        shop.note(a_report(), a_report(signature="bb"))
        shop.same("bb", "aa")
        waivers = [
            Waiver(
                id=f"wv_{n}",
                app="demo",
                channel="stable",
                version=Version("2.1.0"),
                signature=name,
                expires_at=NOW + days * DAY,
                reason="",
                created_at=NOW - DAY,
                created_by="ada",
            )
            for n, (name, days) in enumerate([("aa", 1), ("bb", 1), ("cc", 1), ("aa", 0)])
        ]
        with shop.database.transaction() as stores:
            for waiver in waivers:
                stores.waivers.add(waiver)

        assert [one.id for one in shop.get().waivers] == ["wv_0", "wv_1"]


class TestNew:
    def sighted(self, shop: Shop, at: Any, version: str = "2.0.0") -> None:
        sighting = Sighting(
            app="demo", channel="stable", version=version, comparable="aa", title="", at=at
        )
        with shop.database.transaction() as stores:
            stores.signatures.note([sighting])

    def test_what_no_version_before_showed_is_new(self, shop: Shop) -> None:
        shop.note(a_report(), a_report("2", version="2.0.0", cell=CONTROL))
        self.sighted(shop, NOW)

        assert shop.get().news == {("stable", "2.0.0"): True, ("stable", "2.1.0"): True}

    def test_what_was_seen_before_is_known(self, shop: Shop) -> None:
        shop.note(a_report(), a_report("2", version="2.0.0", cell=CONTROL))
        self.sighted(shop, NOW - 2 * DAY)

        assert shop.get().news == {("stable", "2.0.0"): True, ("stable", "2.1.0"): False}

    @pytest.mark.parametrize(
        "changes",
        [{"cell": Cell(arm=UNATTRIBUTED)}, {"handled": True}, {"version": UNPUBLISHED}],
    )
    def test_only_installs_that_crashed_on_a_release_are_asked(
        self, shop: Shop, changes: dict[str, Any]
    ) -> None:
        shop.note(a_report(**changes))

        assert shop.get().news == {}

    def test_the_first_publication_counts_on_every_channel(self, shop: Shop) -> None:
        shop.note(a_report())
        self.sighted(shop, NOW)
        with shop.database.transaction() as stores:
            stores.releases.add(a_release(channel="beta", admitted_at=NOW + DAY))

        assert shop.get().news == {("beta", "2.1.0"): True, ("stable", "2.1.0"): True}


class TestSameAs:
    def test_it_is_counted_there_and_noted(self, shop: Shop) -> None:
        shop.note(a_report(), a_report(signature="bb"), a_report("2", signature="bb"))

        shop.same("bb", "aa")

        (group,) = shop.all().groups
        assert (group.signature, group.installs) == ("aa", 2)
        assert shop.get("bb") == shop.get("aa")
        assert shop.get().same == ("bb",)
        with shop.database.reading() as stores:
            (record,) = stores.audit.page(app="demo", before_seq=None, limit=10)
        assert (record.action, record.actor, record.subject) == ("crash.same_as", "ada", "bb")
        assert (record.reason, record.after) == ("seen in both", {"same_as": "aa"})

    def test_the_same_as_the_same_is_the_same(self, shop: Shop) -> None:
        shop.note(*(a_report(signature=name) for name in ("aa", "bb", "cc", "dd")))
        shop.same("bb", "aa")

        shop.same("cc", "bb")
        shop.same("dd", "cc")
        shop.same("dd", "aa")

        assert shop.get().same == ("bb", "cc", "dd")

    def test_nothing_is_the_same_as_itself(self, shop: Shop) -> None:
        shop.note(*(a_report(signature=name) for name in ("aa", "bb", "cc")))
        shop.same("bb", "aa")

        for signature, other in (("aa", "aa"), ("aa", "bb"), ("aa", "cc")):
            with pytest.raises(BadValueError):
                shop.same(signature, other)

    @pytest.mark.parametrize(("signature", "other"), [("aa", "zz"), ("zz", "aa"), (UNTOLD, "aa")])
    def test_both_have_to_be_signatures(self, shop: Shop, signature: str, other: str) -> None:
        shop.note(a_report(), a_report(signature=UNTOLD))

        with pytest.raises(NotFoundError):
            shop.same(signature, other)

    @pytest.mark.parametrize(
        ("at", "expected"), [(NOW - 2 * DAY, {"aa", "bb", "cc"}), (NOW - DAY, {"bb"})]
    )
    def test_what_is_the_same_is_known_to_releases_published_later(
        self, shop: Shop, at: Any, expected: set[str]
    ) -> None:
        aliases = [
            Alias(app="demo", signature=name, same_as="aa", at=at, by="ada") for name in "bc"
        ]
        with shop.database.transaction() as stores:
            for alias in aliases:
                stores.crashes.put_alias(replace(alias, signature=alias.signature * 2))
            other = replace(aliases[0], signature="dd", same_as="ee")
            stores.crashes.put_alias(other)
            sighting = Sighting(
                app="demo",
                channel="stable",
                version="2.0.0",
                comparable="bb",
                title="",
                at=NOW - 3 * DAY,
            )
            stores.signatures.note([sighting])

        with shop.database.reading() as stores:
            known = known_signatures(stores, "demo", "stable", Version("2.1.0"), NOW - DAY)

        assert known == expected


def test_rollouts_are_not_mixed_up(shop: Shop) -> None:
    other = replace(CANDIDATE, rollout=RolloutId("ro_other"))
    shop.note(a_report(), a_report(cell=other))

    assert shop.all().groups[0].installs == 1
