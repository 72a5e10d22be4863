"""Contract of ports.Database: all or nothing, one snapshot, no writing while reading."""

from collections.abc import Callable

import pytest

from tests.store.values import (
    NOW,
    a_code,
    a_contact,
    a_document,
    a_group,
    a_hold,
    a_release,
    a_rollout,
    a_target,
    a_token,
    an_app,
    an_enrolment,
)
from update_server.service.ports import Checkpoint, Database, NotFoundError, ReadOnlyError, Stores

WRITES: dict[str, Callable[[Stores], object]] = {
    "add an app": lambda s: s.apps.add(an_app("new")),
    "update an app": lambda s: s.apps.update(an_app()),
    "bump": lambda s: s.apps.bump("demo"),
    "take a lease": lambda s: s.apps.take_lease("demo", "one", NOW, 1),
    "drop a lease": lambda s: s.apps.drop_lease("demo", 1),
    "add a release": lambda s: s.releases.add(a_release()),
    "add targets": lambda s: s.releases.add_targets([a_target()]),
    "put a document": lambda s: s.releases.put_document(a_document()),
    "add a rollout": lambda s: s.rollouts.add(a_rollout()),
    "replace a rollout": lambda s: s.rollouts.replace(a_rollout(), a_rollout()),
    "add a hold": lambda s: s.rollouts.add_hold(a_hold()),
    "lift a hold": lambda s: s.rollouts.lift_hold("demo", "h1", NOW),
    "restore a hold": lambda s: s.rollouts.restore_hold("demo", "h1"),
    "add to the journal": lambda s: s.journal.add("demo", 1, b"", NOW),
    "mark as published": lambda s: s.journal.mark_published(1, NOW),
    "add a token": lambda s: s.access.add_token(a_token()),
    "revoke a token": lambda s: s.access.revoke_token("tk_1", NOW),
    "add a group": lambda s: s.access.add_group(a_group("new")),
    "remove a group": lambda s: s.access.remove_group("demo", "staff", NOW),
    "add a code": lambda s: s.access.add_code(a_code()),
    "use a code": lambda s: s.access.use_code("demo", "x", NOW),
    "revoke a code": lambda s: s.access.revoke_code("demo", "x", NOW),
    "add an enrolment": lambda s: s.access.add_enrolment(an_enrolment()),
    "add a secret": lambda s: s.access.add_secret("pepper", b"x"),
    "remember an answer": lambda s: s.access.remember_idempotent("k", b"x", NOW),
    "audit": lambda s: s.audit.append(at=NOW, actor="a", action="b", app=None, subject="c"),
    "absorb": lambda s: s.telemetry.absorb([a_contact()], []),
    "put a checkpoint": lambda s: s.telemetry.put_checkpoint(Checkpoint(spool="s", offset_bytes=1)),
    "forget a checkpoint": lambda s: s.telemetry.forget_checkpoint("s"),
    "forget an install": lambda s: s.telemetry.forget_install("demo", b"k"),
    "expire": lambda s: s.telemetry.expire(contacts_before=NOW, events_before=NOW),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writing_while_reading_is_an_error(
    database: Database, write: Callable[[Stores], object]
) -> None:
    with database.transaction() as stores:
        stores.access.add_group(a_group())

    with pytest.raises(ReadOnlyError), database.reading() as stores:
        write(stores)


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as stores:
            stores.apps.bump("demo")
            stores.rollouts.add(a_rollout())
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    with database.reading() as stores:
        assert stores.apps.generations() == {"demo": 0}
        assert stores.rollouts.of_app("demo") == []


def test_a_transaction_sees_what_it_wrote(database: Database) -> None:
    with database.transaction() as stores:
        stores.rollouts.add(a_rollout())

        assert stores.rollouts.of_app("demo") == [a_rollout()]


def test_a_reader_sees_one_snapshot_whatever_is_written_meanwhile(database: Database) -> None:
    with database.reading() as before:
        assert before.apps.generations() == {"demo": 0}
        with database.transaction() as stores:
            stores.apps.bump("demo")

        assert before.apps.generations() == {"demo": 0}
    with database.reading() as after:
        assert after.apps.generations() == {"demo": 1}


def test_nobody_sees_a_transaction_before_its_end(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.bump("demo")

        with database.reading() as others:
            assert others.apps.generations() == {"demo": 0}


def test_a_refused_write_leaves_the_transaction_usable(database: Database) -> None:
    with database.transaction() as stores:
        for _ in range(2):
            with pytest.raises(NotFoundError):
                stores.rollouts.add(a_rollout(app="none"))
        stores.rollouts.add(a_rollout())

    with database.reading() as stores:
        assert stores.rollouts.of_app("demo") == [a_rollout()]


def test_a_name_that_cannot_be_is_not_found(database: Database) -> None:
    with pytest.raises(NotFoundError), database.reading() as stores:
        stores.apps.get("a\0b")
    with pytest.raises(NotFoundError), database.transaction() as stores:
        stores.access.token_by_hash("\0")
