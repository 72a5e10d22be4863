"""Contract of crash_ports.Crashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.model import Arm, RolloutId, RolloutState
from tests.store.crash_values import (
    CONTROL,
    a_count,
    a_group,
    a_report,
    a_sample,
)
from tests.store.values import NOW, ROLLOUT, a_contact, a_control, a_rollout, an_event
from update_server.service.ports import Database
from update_server.service.ports.crashes import (
    UNTOLD,
    Alias,
    Cell,
    CrashCount,
    CrashedInstalls,
    CrashTotal,
    Reported,
    Standing,
    Tally,
)

DAY = timedelta(days=1)


def note(database: Database, *reports: Reported) -> None:
    with database.transaction() as stores:
        stores.crashes.note(reports)


def counts(database: Database, **asked: Any) -> list[CrashCount]:
    with database.reading() as stores:
        return list(stores.crashes.counts("demo", **asked))


def places(database: Database, signature: str = "aa") -> list[CrashCount]:
    with database.reading() as stores:
        return list(stores.crashes.places("demo", signature))


class TestCounting:
    def test_installs_are_counted_once_and_reports_each(self, database: Database) -> None:
        note(database, a_report("1"), a_report("1", at=NOW + DAY))
        note(database, a_report("2", at=NOW - DAY), a_report("1"))

        assert counts(database) == [
            a_count(installs=2, reports=4, first_at=NOW - DAY, last_at=NOW + DAY)
        ]

    def test_nothing_is_counted_where_nothing_was_noted(self, database: Database) -> None:
        note(database)

        assert counts(database) == []
        assert places(database) == []

    def test_what_nobody_can_tell_apart_is_no_install(self, database: Database) -> None:
        note(database, a_report(""), a_report(""), a_report("1"))

        assert counts(database) == [a_count(installs=1, reports=3)]

    def test_versions_arms_and_handled_errors_are_counted_apart(self, database: Database) -> None:
        note(
            database,
            a_report(),
            a_report(version="2.0.0"),
            a_report(cell=CONTROL),
            a_report(handled=True),
        )

        assert counts(database) == [
            a_count(version="2.0.0"),
            a_count(),
            a_count(handled=True),
            a_count(arm="control"),
        ]

    def test_an_install_that_a_ring_takes_in_is_counted_where_it_stood(
        self, database: Database
    ) -> None:
        note(database, a_report(cell=CONTROL))
        note(database, a_report(at=NOW + DAY))

        assert [(one.arm, one.installs, one.reports) for one in counts(database)] == [
            ("candidate", 1, 1),
            ("control", 1, 1),
        ]

    def test_one_version_or_channel_may_be_asked_for(self, database: Database) -> None:
        note(database, a_report(), a_report(version="2.0.0"), a_report("2", channel="beta"))

        assert counts(database, version="2.0.0") == [a_count(version="2.0.0")]
        assert counts(database, channel="beta") == [a_count()]
        assert counts(database, version="2.0.0", channel="beta") == []

    def test_of_each_signature_the_last_ones_may_be_asked_for(self, database: Database) -> None:
        note(
            database,
            a_report(version="1.0.0", at=NOW + DAY),
            a_report(version="2.0.0"),
            a_report(version="3.0.0"),
            a_report(version="3.0.0", handled=True),
            a_report("2", version="4.0.0", channel="beta"),
            a_report(signature="bb", at=NOW - DAY),
            a_report(signature="cc"),
        )

        with database.reading() as stores:
            crashes = stores.crashes
            last = crashes.last_counts("demo", ["bb", "aa", "dd"], most=3)
            stable = crashes.last_counts("demo", ["aa"], most=9, version="3.0.0", channel="stable")
            none = crashes.last_counts("demo", [], most=9)

        assert last == [
            a_count(version="1.0.0", first_at=NOW + DAY, last_at=NOW + DAY),
            a_count(version="2.0.0"),
            a_count(version="3.0.0"),
            a_count(signature="bb", first_at=NOW - DAY, last_at=NOW - DAY),
        ]
        assert stable == [a_count(version="3.0.0"), a_count(version="3.0.0", handled=True)]
        assert none == []

    def test_what_they_add_up_to_is_told_by_signature(self, database: Database) -> None:
        note(
            database,
            a_report("1", at=NOW + DAY),
            a_report("2", version="2.0.0"),
            a_report("2", version="2.0.0", cell=CONTROL, at=NOW - DAY),
            a_report("3", handled=True),
            a_report("4", signature="bb"),
        )

        with database.reading() as stores:
            found = stores.crashes.totals("demo", ["aa", "dd"])
            older = stores.crashes.totals("demo", ["aa"], version="2.0.0", channel="stable")

        total = CrashTotal(
            installs=3, reports=3, errors=1, first_at=NOW - DAY, last_at=NOW + DAY, counts=4
        )
        assert found == {"aa": total}
        assert older == {
            "aa": replace(total, installs=2, reports=2, errors=0, counts=2, last_at=NOW)
        }

    def test_places_are_told_with_some_rollouts(self, database: Database) -> None:
        two = RolloutId("ro_two")
        note(
            database,
            a_report("1"),
            a_report("2", version="2.0.0", cell=CONTROL),
            a_report("3", cell=Cell(rollout="ro_three", arm="candidate")),
            a_report("4", signature="bb"),
            a_report("5", app="other"),
        )

        with database.reading() as stores:
            found = stores.crashes.places_and("demo", "aa", [ROLLOUT, two])

        assert found.places == places(database)
        assert len(found.places) == 2
        assert found.rollouts == {
            ROLLOUT: [a_count(version="2.0.0", arm="control"), a_count()],
            two: [],
        }

    def test_of_a_rollout_the_newest_signature_may_be_asked_for(self, database: Database) -> None:
        two = RolloutId("ro_two")
        elsewhere = replace(CONTROL, rollout=two)
        note(
            database,
            a_report(),
            a_report(signature="bb", at=NOW - DAY),
            a_report("2", signature="bb", cell=CONTROL, at=NOW + DAY),
            a_report("3", signature="bb", version="2.0.0"),
            a_report(signature="cc", at=NOW - DAY),
            a_report(signature="dd", cell=CONTROL, at=NOW + DAY),
            a_report(signature="ee", handled=True, at=NOW + DAY),
            a_report(signature=UNTOLD, at=NOW + DAY),
            a_report(signature="aa", cell=elsewhere),
        )

        def newest(*but: str) -> Mapping[RolloutId, Sequence[CrashCount]]:
            with database.reading() as stores:
                return stores.crashes.newest_of(
                    [ROLLOUT, two], arms=["candidate", "internal"], but=[UNTOLD, *but]
                )

        assert newest() == {ROLLOUT: [a_count(version="")], two: []}
        [of_release, held_back] = newest("aa", "cc")[ROLLOUT]
        assert (of_release.signature, of_release.installs) == ("bb", 2)
        assert (held_back.arm, held_back.installs) == ("control", 1)
        assert [one.signature for one in newest("aa")[ROLLOUT]] == ["cc"]

    def test_apps_have_their_own(self, database: Database) -> None:
        note(database, a_report(app="other"))

        assert counts(database) == []
        assert places(database) == []

    def test_of_what_may_change_the_newest_is_told(self, database: Database) -> None:
        note(database, a_report(os="Linux 6.2", at=NOW + DAY))
        note(database, a_report(os="Linux 6.1"))

        assert places(database) == [
            a_count(platform="linux-x86_64", os="Linux 6.2", reports=2, last_at=NOW + DAY)
        ]

    def test_a_text_may_hold_anything(self, database: Database) -> None:
        note(database, a_report(os="\x00"))
        with database.transaction() as stores:
            stores.crashes.note_groups([a_group(title="\x00")])
            stores.crashes.add_samples([a_sample(body={"os": "\x00\ud800"})])

        assert len(places(database)) == 1


class TestCrashedInstalls:
    def test_sessions_and_reports_of_an_install_are_one(self, database: Database) -> None:
        note(database, a_report("1", signature=UNTOLD), a_report("1"))
        note(database, a_report("2", signature=UNTOLD), a_report("3"), a_report("3", signature="b"))
        note(database, a_report("4", handled=True), a_report("5", version="2.0.0", cell=CONTROL))

        with database.reading() as stores:
            found = stores.crashes.crashed("demo")
            asked = stores.crashes.crashed("demo", version="2.0.0", channel="stable")

        control = CrashedInstalls(version="2.0.0", arm="control", installs=1, named=1)
        candidate = CrashedInstalls(version="2.1.0", arm="candidate", installs=3, named=2)
        assert found == [control, candidate]
        assert asked == [control]

    def test_a_rollout_has_those_that_crashed_while_they_took_part(
        self, database: Database
    ) -> None:
        note(database, a_report("1"), a_report("1", signature="b"), a_report("2"))
        note(database, a_report("3", version="2.0.0", cell=CONTROL), a_report("4", cell=Cell()))

        with database.reading() as stores:
            found = stores.crashes.crashed_of(ROLLOUT)

        assert found == [
            Tally(version="2.0.0", ring="1%", arm="control", crashed_installs=1),
            Tally(version="2.1.0", ring="1%", arm="candidate", crashed_installs=2),
        ]


class TestAliases:
    def test_what_is_the_same_is_counted_together(self, database: Database) -> None:
        note(database, a_report("1"), a_report("1", signature="bb"), a_report("2", signature="bb"))
        alias = Alias(app="demo", signature="bb", same_as="aa", at=NOW, by="ada")
        with database.transaction() as stores:
            stores.crashes.put_alias(replace(alias, same_as="cc"))
            stores.crashes.put_alias(alias)

        with database.reading() as stores:
            assert stores.crashes.aliases("demo") == [alias]
            assert stores.crashes.aliases("other") == []
        assert counts(database) == [a_count(installs=2, reports=3)]
        assert [(one.installs, one.reports) for one in places(database)] == [(2, 3)]
        assert places(database, "bb") == []


class TestGroups:
    def test_what_was_told_first_stays(self, database: Database) -> None:
        later = a_group(key="k2", title="later", first_at=NOW + DAY, last_at=NOW + DAY)
        with database.transaction() as stores:
            stores.crashes.note_groups([])
            stores.crashes.note_groups([later, a_group("bb")])
            stores.crashes.note_groups([a_group(), later, a_group(key="zz", title="the same time")])

        with database.reading() as stores:
            found = stores.crashes.groups("demo", ["aa", "cc"])

        assert found == {"aa": a_group(last_at=NOW + DAY)}


class TestSamples:
    @pytest.mark.parametrize("in_one_batch", [True, False])
    @pytest.mark.parametrize("order", [1, -1])
    def test_the_first_and_the_newest_stay(
        self, database: Database, order: int, *, in_one_batch: bool
    ) -> None:
        samples = [a_sample(f"e{n}", at=NOW + n * DAY) for n in range(10)][::order]
        batches = [samples] if in_one_batch else [[one] for one in samples]
        for batch in batches:
            with database.transaction() as stores:
                stores.crashes.add_samples(batch)

        with database.reading() as stores:
            kept = stores.crashes.samples("demo", ["aa", "bb"])

        assert [one.id for one in kept] == ["e9", "e8", "e7", "e2", "e1", "e0"]
        assert kept[0] == a_sample("e9", at=NOW + 9 * DAY)

    def test_each_version_has_its_own(self, database: Database) -> None:
        places: list[dict[str, Any]] = [
            {},
            {"version": "2.0.0"},
            {"handled": True},
            {"signature": "bb"},
        ]
        samples = [
            a_sample(f"e{n}", at=NOW + n * DAY, **place) for n in range(8) for place in places
        ]
        with database.transaction() as stores:
            stores.crashes.add_samples(samples)
            stores.crashes.add_samples([a_sample(app="other")])

        with database.reading() as stores:
            assert len(stores.crashes.samples("demo", ["aa"])) == 18
            assert len(stores.crashes.samples("demo", ["bb"])) == 6
            assert stores.crashes.samples("demo", []) == []


class TestForgetting:
    def test_nothing_stays_of_an_install(self, database: Database) -> None:
        note(database, a_report("1"), a_report("2"), a_report("1", app="other"))
        with database.transaction() as stores:
            stores.crashes.add_samples([a_sample(), a_sample("e2", report_key=b"2")])
            stores.crashes.forget("demo", [b"1", b"9"])
            stores.crashes.forget("demo", [])

        with database.reading() as stores:
            assert [one.id for one in stores.crashes.samples("demo", ["aa"])] == ["e2"]
            assert stores.crashes.counts("other")
        assert counts(database) == [a_count()]

    def test_what_is_old_goes(self, database: Database) -> None:
        note(database, a_report(), a_report("2", at=NOW + DAY), a_report("1", signature="b"))
        note(database, a_report(at=NOW + DAY))
        with database.transaction() as stores:
            stores.crashes.note_groups([a_group(), a_group("bb", last_at=NOW + DAY)])
            stores.crashes.add_samples([a_sample(), a_sample("e2", at=NOW + DAY)])
            moment = NOW + timedelta(microseconds=1)
            stores.crashes.expire(
                reports_before=moment, samples_before=moment, groups_before=moment
            )

        with database.reading() as stores:
            assert [one.id for one in stores.crashes.samples("demo", ["aa"])] == ["e2"]
            assert list(stores.crashes.groups("demo", ["aa", "bb"])) == ["bb"]
        assert [(one.installs, one.reports) for one in counts(database)] == [(2, 3)]


class TestStandings:
    def test_an_install_stands_where_its_contacts_put_it(self, database: Database) -> None:
        older = a_rollout("ro_older", version=Version("2.0.0"), state=RolloutState.COMPLETED)
        with database.transaction() as stores:
            stores.rollouts.add(older)
            stores.rollouts.add(a_rollout())
            contacts = [a_contact(rollout=older.id), a_control(), a_contact("2")]
            stores.telemetry.absorb(contacts, [an_event("3"), an_event("4", app="other")])

        with database.reading() as stores:
            found = stores.crashes.standings("demo", {b"1", b"3", b"9"})
            nothing = stores.crashes.standings("other", {b"1"})

        control = Standing(
            rollout=ROLLOUT,
            channel="stable",
            version=Version("2.1.0"),
            live=True,
            ring="1%",
            arm=Arm.CONTROL,
        )
        before = replace(
            control,
            rollout=older.id,
            version=Version("2.0.0"),
            live=False,
            arm=Arm.CANDIDATE,
        )
        assert found == {
            b"1": [control, before],
            b"3": [replace(control, ring="", arm=Arm.CANDIDATE)],
        }
        assert nothing == {}


def test_the_titles_of_crashes_of_several_apps_are_told_at_once(database: Database) -> None:
    with database.transaction() as stores:
        theirs = a_group(app="other", title="theirs")
        stores.crashes.note_groups([a_group(), a_group("bb"), theirs])

    wanted = [("demo", "aa"), ("other", "aa"), ("demo", "cc")]
    with database.reading() as stores:
        assert stores.crashes.titles(wanted) == {
            ("demo", "aa"): a_group().title,
            ("other", "aa"): "theirs",
        }
        assert stores.crashes.titles([]) == {}
