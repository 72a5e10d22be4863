"""Contract of ports.Rollouts.marks: what a channel's documents follow from, in short."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from packaging.version import Version

from tests.store.values import HOUR, NOW, a_document, a_hold, a_release, a_rollout, an_app
from update_server.service.ports import Database, Stores
from update_server.service.ports.rollouts import ChannelMark

STABLE = ("demo", "stable")
SECOND = a_rollout("ro_2222", version=Version("2.2.0"))


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with two rollouts, a hold and both documents of a channel."""
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.rollouts.add(a_rollout())
        stores.rollouts.add(SECOND)
        stores.releases.add(a_release())
        stores.rollouts.add_hold(a_hold())
        stores.rollouts.add_hold(a_hold("h2"))
        stores.releases.put_document(a_document(kind="policy"))
        stores.releases.put_document(a_document())
        stores.journal.mark_published(stores.journal.add("demo", 1, b"{}", NOW).id, NOW)
    return database


def marks(database: Database, *apps: str) -> dict[tuple[str, str], ChannelMark]:
    with database.reading() as stores:
        return dict(stores.rollouts.marks(apps))


def replaced(stores: Stores) -> None:
    stores.rollouts.replace(SECOND, replace(SECOND, revision=SECOND.revision + 1, reason="x"))


@pytest.mark.parametrize(
    "change",
    [
        replaced,
        lambda stores: stores.rollouts.add(a_rollout("ro_3333", version=Version("2.3.0"))),
        lambda stores: stores.releases.add(a_release(version=Version("2.3.0"))),
        lambda stores: stores.releases.add(a_release(platform="windows-x86_64")),
        lambda stores: stores.rollouts.add_hold(a_hold("h3")),
        lambda stores: stores.rollouts.lift_hold("demo", "h1", NOW),
        lambda stores: stores.releases.put_document(a_document(version=2)),
        lambda stores: stores.releases.put_document(a_document(kind="policy", version=2)),
    ],
    ids=["rollout", "start", "release", "platform", "hold", "lift", "document", "policy"],
)
def test_whatever_a_document_follows_from_changes_the_mark(
    filled: Database, change: Callable[[Stores], None]
) -> None:
    before = marks(filled, "demo")

    with filled.transaction() as stores:
        change(stores)

    after = marks(filled, "demo")
    assert before[STABLE].text != after[STABLE].text
    assert before[STABLE].stored
    assert after[STABLE].stored


def test_a_hold_that_is_not_the_lifted_one_leaves_another_mark(filled: Database) -> None:
    with filled.transaction() as stores:
        stores.rollouts.lift_hold("demo", "h1", NOW)
    one = marks(filled, "demo")[STABLE].text

    with filled.transaction() as stores:
        stores.rollouts.restore_hold("demo", "h1")
        stores.rollouts.lift_hold("demo", "h2", NOW)

    assert marks(filled, "demo")[STABLE].text != one


def test_what_is_signed_and_not_in_storage_is_told_beside_the_mark(filled: Database) -> None:
    before = marks(filled, "demo")[STABLE]

    with filled.transaction() as stores:
        stores.journal.add("demo", 2, b"{}", NOW + HOUR)

    assert marks(filled, "demo")[STABLE] == replace(before, stored=False)


def test_other_channels_and_apps_have_marks_of_their_own(filled: Database) -> None:
    before = marks(filled, "demo", "other")
    assert set(before) == {STABLE}

    with filled.transaction() as stores:
        stores.rollouts.add(a_rollout("ro_3333", channel="beta"))
        stores.rollouts.add(a_rollout("ro_4444", app="other"))

    after = marks(filled, "demo", "other")
    assert after[STABLE] == before[STABLE]
    assert set(after) == {STABLE, ("demo", "beta"), ("other", "stable")}
    assert set(marks(filled, "other")) == {("other", "stable")}
    assert marks(filled) == {}
