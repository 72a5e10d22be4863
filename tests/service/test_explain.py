from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from packaging.version import Version

from rollout.first import FIRST_RING, first_name
from rollout.model import (
    Action,
    Arm,
    Audience,
    Hold,
    InstallId,
    MustReach,
    OpenRing,
    Reason,
    RolloutState,
)
from tests.public_world import (
    APP,
    CHANNEL,
    HIGH_BUCKET,
    LOW_BUCKET,
    NOW,
    PLATFORM,
    ROLLOUT,
    V1,
    V2,
    World,
    a_completed_entry,
    a_world,
    add_app,
    an_entry,
    empty_world,
)
from update_server.service.errors import (
    UnknownAppError,
    UnknownChannelError,
    UnknownPlatformError,
)
from update_server.service.rollouts.explain import Explain, Explanation, Question


@pytest.fixture
def world() -> World:
    return a_world()


def explain(world: World, install_id: InstallId = LOW_BUCKET, **fields: Any) -> Explanation:
    known: dict[str, Any] = {"channel": CHANNEL, "platform": PLATFORM, "version": V1}
    at = fields.pop("at", None)
    question = Question(install_id=install_id, **{**known, **fields})
    return Explain(world.database, world.clock).explain(APP, question, at=at)


def outcomes(explanation: Explanation) -> list[tuple[str, str | None, str]]:
    return [(step.rule, step.entry, step.outcome) for step in explanation.steps]


@pytest.mark.parametrize("install_id", [LOW_BUCKET, HIGH_BUCKET])
def test_the_explained_assignment_is_the_one_that_a_check_in_gets(
    world: World, install_id: InstallId
) -> None:
    assert explain(world, install_id).assignment == world.check_in(install_id).assignment


def test_an_install_in_the_ring_sees_every_rule_up_to_the_one_that_chose(world: World) -> None:
    explanation = explain(world)

    assert outcomes(explanation) == [
        ("groups", None, "none"),
        ("floor", None, "none"),
        ("entry", "2.1.0", "in_ring"),
    ]
    assert explanation.bucket == 0
    assert explanation.exposure.arm is Arm.CANDIDATE
    assert explanation.steps[-1].detail.startswith("bucket 0, ring 1%")


def test_an_install_outside_sees_its_bucket_and_the_rules_after(world: World) -> None:
    explanation = explain(world, HIGH_BUCKET)

    assert outcomes(explanation)[-2:] == [
        ("entry", "2.1.0", "outside_ring"),
        ("entry", "2.0.0", "skipped"),
    ]
    assert "bucket 9999" in explanation.steps[-2].detail
    assert explanation.bucket == 9999


def test_the_groups_are_those_the_install_is_enrolled_in(world: World) -> None:
    world.enrol(HIGH_BUCKET)

    explanation = explain(world, HIGH_BUCKET)

    assert explanation.groups == ("staff",)
    assert explanation.assignment.ring == "internal"
    assert explanation.exposure.arm is Arm.INTERNAL


def test_the_floor_is_named(world: World) -> None:
    world.put_policy(floor=V1)

    assert ("floor", None, "2.0.0") in outcomes(explain(world))


@pytest.mark.parametrize(
    ("rule", "fields", "outcome"),
    [
        (MustReach(version=V2, after=NOW), {}, "must_reach"),
        (MustReach(version=V2, after=NOW + timedelta(days=1)), {}, "not_due"),
        (MustReach(version=V1, after=NOW), {}, "up_to_date"),
        (MustReach(version=Version("3.0.0"), after=NOW), {}, "not_eligible"),
    ],
)
def test_what_must_be_reached_is_explained(
    world: World, rule: MustReach, fields: dict[str, Any], outcome: str
) -> None:
    world.put_policy(must_reach=(rule,))

    step = explain(world, HIGH_BUCKET, **fields).steps[2]

    assert (step.rule, step.outcome) == ("must_reach", outcome)


def test_nothing_is_said_after_a_release_that_must_be_reached(world: World) -> None:
    world.put_policy(must_reach=(MustReach(version=V2, after=NOW),))

    explanation = explain(world, HIGH_BUCKET)

    assert explanation.assignment.reason is Reason.MUST_REACH
    assert explanation.steps[-1].rule == "must_reach"


def test_a_hold_is_named_with_its_link(world: World) -> None:
    hold = Hold(
        id="h1",
        title="Crashes with driver 531",
        link="https://status.example.org/h1",
        audience=Audience(os_version=("<13",)),
    )
    world.put_rollout(an_entry(holds=(hold,)))

    explanation = explain(world, attributes={"os_version": "12"})

    assert explanation.steps[-1].outcome == "held"
    assert explanation.steps[-1].detail == "Crashes with driver 531: https://status.example.org/h1"


@pytest.mark.parametrize(
    ("entry", "outcome", "words"),
    [
        ({"state": RolloutState.PAUSED}, "paused", "no further install"),
        ({"state": RolloutState.PULLED}, "pulled", "was pulled"),
        (
            {
                "exposure_bp": 9_800,
                "holdback_bp": 200,
                "rings": (OpenRing(name="all", exposure_bp=9_800),),
            },
            "holdback",
            "bucket 9999 is in the holdback of 2 %",
        ),
        ({"version": Version("3.0.0")}, "not_eligible", "not_signed"),
    ],
)
def test_each_refusal_has_its_sentence(
    world: World, entry: dict[str, Any], outcome: str, words: str
) -> None:
    world.put_rollout(an_entry(**entry))

    step = explain(world, HIGH_BUCKET).steps[-1]

    assert step.outcome == outcome
    assert words in step.detail


def test_a_signed_way_back_is_explained(world: World) -> None:
    world.put_release(Version("2.2.0"), rollback_to=(V1,))
    back = an_entry(
        version=V1,
        exposure_bp=10_000,
        rollout=None,
        rollback=True,
        from_versions=frozenset({Version("2.2.0")}),
        rings=(),
    )
    world.put_rollout(back)

    explanation = explain(world, version=Version("2.2.0"))

    assert explanation.assignment.action is Action.ROLLBACK
    assert "signed way back" in explanation.steps[-1].detail


@pytest.mark.parametrize("spelled", ["2.2", "2.2.0", "2.2.0.0"])
def test_an_installed_version_is_known_however_it_is_spelled(world: World, spelled: str) -> None:
    world.put_release(Version("2.2.0"), rollback_to=(V1,))
    back = an_entry(
        version=V1,
        exposure_bp=10_000,
        rollout=None,
        rollback=True,
        from_versions=frozenset({Version("2.2.0")}),
        rings=(),
    )
    world.put_rollout(back)

    assert explain(world, version=Version(spelled)).assignment.action is Action.ROLLBACK


class TestDocuments:
    def test_an_expired_policy_is_said_to_be(self, world: World) -> None:
        world.put_policy(expires_at=NOW)

        explanation = explain(world)

        assert outcomes(explanation)[-1] == ("policy", None, "stale_server")
        assert "2026-11-22 03:07:00 UTC" in explanation.steps[-1].detail

    def test_an_expired_rollout_document_is_said_to_be(self, world: World) -> None:
        world.put_rollout(an_entry(), expires_at=NOW)

        assert outcomes(explain(world))[-1] == ("rollout", None, "stale_server")

    def test_a_channel_without_policy_is_said_to_have_none(self) -> None:
        world = empty_world()
        add_app(world)

        explanation = explain(world)

        assert outcomes(explanation)[-1] == ("policy", None, "no_release")
        assert explanation.bucket is None

    def test_a_channel_without_rollout_is_said_to_have_none(self) -> None:
        world = empty_world()
        add_app(world)
        world.put_policy()

        assert outcomes(explain(world))[-1] == ("rollout", None, "no_release")

    def test_without_a_release_for_the_platform_there_is_no_bucket(self, world: World) -> None:
        world.put_rollout(an_entry(version=Version("3.0.0")))

        assert explain(world).bucket is None


class TestWhatIsRefused:
    def test_an_unknown_app(self) -> None:
        with pytest.raises(UnknownAppError):
            explain(empty_world())

    def test_an_unknown_channel(self, world: World) -> None:
        with pytest.raises(UnknownChannelError):
            explain(world, channel="beta")

    def test_an_unknown_platform(self, world: World) -> None:
        with pytest.raises(UnknownPlatformError):
            explain(world, platform="macos-arm64")


def test_asking_leaves_no_trace(world: World) -> None:
    explain(world)

    assert world.contacts == []


class TestChecks:
    def test_an_entry_is_asked_question_by_question(self, world: World) -> None:
        checks = explain(world).steps[-1].checks

        assert [(each.rule, each.passes) for each in checks] == [
            ("state", True),
            ("eligible", True),
            ("hold", True),
            ("ring", True),
        ]
        assert checks[-1].detail == "bucket 0 < exposure 100 of ring 1%"

    @pytest.mark.parametrize(
        ("entry", "install_id", "rule", "words"),
        [
            ({"state": RolloutState.PAUSED}, LOW_BUCKET, "state", "the rollout is paused"),
            ({"version": Version("3.0.0")}, LOW_BUCKET, "eligible", "nobody signed"),
            (
                {"holds": (Hold(id="h", title="T", link="https://x", audience=Audience()),)},
                LOW_BUCKET,
                "hold",
                "T (https://x) keeps it where it is",
            ),
            (
                {},
                HIGH_BUCKET,
                "ring",
                "ring internal is for staff; bucket 9999 ≥ exposure 100 of ring 1%",
            ),
            (
                {"rings": (), "exposure_bp": 0},
                HIGH_BUCKET,
                "ring",
                "bucket 9999, and no ring is open",
            ),
            (
                {
                    "exposure_bp": 9_800,
                    "holdback_bp": 200,
                    "rings": (OpenRing(name="all", exposure_bp=9_800),),
                },
                HIGH_BUCKET,
                "ring",
                "bucket 9999 ≥ 9800: it is in the holdback of 2 %",
            ),
            (
                {
                    "rings": (
                        OpenRing(name="de", exposure_bp=100, audience=Audience(country=("DE",))),
                    )
                },
                LOW_BUCKET,
                "ring",
                "no open ring is for an install with these attributes",
            ),
        ],
    )
    def test_they_end_with_the_one_that_keeps_the_install_from_it(
        self,
        world: World,
        entry: dict[str, Any],
        install_id: InstallId,
        rule: str,
        words: str,
    ) -> None:
        world.put_rollout(an_entry(**entry))

        explanation = explain(world, install_id)

        *before, last = explanation.steps[-1].checks
        assert explanation.assignment.action is Action.STAY
        assert all(each.passes for each in before)
        assert (last.rule, last.passes) == (rule, False)
        assert words in last.detail

    def test_a_ceiling_for_young_releases_is_named(self, world: World) -> None:
        year = timedelta(days=365)
        ceiling = ((0, 0), (int(year.total_seconds()), 10_000))
        world.put_policy(ceiling=ceiling, expires_at=NOW + 3 * year)
        world.put_rollout(an_entry(), expires_at=NOW + 3 * year)

        [young] = [s.checks[-1] for s in explain(world).steps if s.entry == str(V2)]
        later = explain(world, at=NOW + 2 * year)
        [old] = [step.checks[-1] for step in later.steps if step.entry == str(V2)]

        assert not young.passes
        assert young.detail.endswith("may have an exposure of 0 at most")
        assert old.passes

    def test_what_says_nothing_of_the_install_has_no_checks(self, world: World) -> None:
        skipped = explain(world, HIGH_BUCKET).steps[-1]

        assert (skipped.outcome, skipped.passes, skipped.checks) == ("skipped", None, ())


class TestAt:
    def test_documents_of_now_decide_as_they_will_then(self, world: World) -> None:
        world.put_policy(must_reach=(MustReach(version=V2, after=NOW + timedelta(hours=1)),))

        now, then = explain(world), explain(world, at=NOW + timedelta(hours=1))

        assert now.assignment.reason is Reason.IN_RING
        assert then.assignment.reason is Reason.MUST_REACH
        assert (now.at, then.at) == (NOW, NOW + timedelta(hours=1))

    def test_a_document_that_will_have_expired_offers_nothing(self, world: World) -> None:
        assert explain(world, at=NOW + timedelta(days=400)).assignment.reason is Reason.STALE_SERVER


def test_each_rule_names_the_document_that_it_stands_in(world: World) -> None:
    world.put_policy()

    told = {step.rule: step.source for step in explain(world).steps}

    assert told["groups"] is None
    assert told["floor"] is not None
    assert told["entry"] is not None
    assert (told["floor"].kind, told["entry"].kind) == ("policy", "rollout")
    assert told["floor"].version != told["entry"].version


def test_a_completed_release_is_explained_like_an_active_one(world: World) -> None:
    world.put_rollout(a_completed_entry(V2))

    assert explain(world, HIGH_BUCKET).steps[-1].outcome == "in_ring"


def test_an_install_that_is_taken_first_is_told_of_the_rollout_itself(world: World) -> None:
    bad = Version("2.0.5")
    entry = an_entry()
    first = replace(
        entry,
        rollout=first_name(ROLLOUT),
        exposure_bp=10_000,
        rings=(OpenRing(name=FIRST_RING, exposure_bp=10_000),),
        from_versions=frozenset({bad}),
    )
    world.put_release(bad)
    world.put_rollout(first, entry, a_completed_entry())
    world.refresh()

    explained = explain(world, HIGH_BUCKET, version=bad)

    given, exposure = explained.assignment, explained.exposure
    assert (given.version, given.ring, given.rollout) == (V2, FIRST_RING, ROLLOUT)
    assert (exposure.rollout, exposure.ring, exposure.arm) == (ROLLOUT, FIRST_RING, None)
