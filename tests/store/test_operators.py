"""Contract of ports.operators.Operators: people, links, sessions, failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.store.values import HOUR, NOW, an_app
from update_server.service.ports import Database, ExistsError, NotFoundError, Role
from update_server.service.ports.operators import (
    IDLE,
    LONGEST,
    Failures,
    Operator,
    PasswordLink,
    Session,
    SignedInBy,
)


def an_operator(name: str = "ana", **changes: Any) -> Operator:
    operator = Operator(id=f"op_{name}", name=name, role=Role.OPERATOR, app="demo", created_at=NOW)
    return replace(operator, **changes)


def a_session(sha256: str = "s1", **changes: Any) -> Session:
    session = Session(
        sha256=sha256,
        operator_id="op_ana",
        created_at=NOW,
        seen_at=NOW,
        by=SignedInBy.PASSWORD,
    )
    return replace(session, **changes)


def a_link(sha256: str = "l1", **changes: Any) -> PasswordLink:
    link = PasswordLink(operator_id="op_ana", sha256=sha256, created_at=NOW, expires_at=NOW + HOUR)
    return replace(link, **changes)


@pytest.fixture
def database(database: Database) -> Database:
    """A database with the app ``demo`` and the operator ``ana``."""
    with database.transaction() as stores:
        stores.operators.add(an_operator())
    return database


# --- operators ---


def test_operators_come_back_as_they_went_oldest_first(database: Database) -> None:
    full = an_operator(
        "ben",
        app=None,
        created_at=NOW - HOUR,
        identity="ben@example.org",
        password="$argon2id$x",
        password_set_at=NOW,
        must_change=True,
        removed_at=NOW,
    )
    with database.transaction() as stores:
        stores.operators.add(full)

    with database.reading() as stores:
        assert stores.operators.all() == [full, an_operator()]
        assert stores.operators.get("op_ben") == full


@pytest.mark.parametrize("name", ["ana", "ANA", " Ana "])
def test_somebody_is_found_however_the_name_is_spelt(database: Database, name: str) -> None:
    with database.reading() as stores:
        assert stores.operators.named(name) == an_operator()


def test_one_who_was_removed_is_found_by_id_alone(database: Database) -> None:
    gone = an_operator(removed_at=NOW, identity="a@b")
    with database.transaction() as stores:
        stores.operators.update(gone)

        assert stores.operators.get("op_ana") == gone
        with pytest.raises(NotFoundError):
            stores.operators.named("ana")
        with pytest.raises(NotFoundError):
            stores.operators.identified("a@b")


@pytest.mark.parametrize(
    "second",
    [
        an_operator(),
        an_operator("ANA", id="op_2"),
        an_operator("ben", identity="ana@example.org"),
    ],
    ids=["id", "name", "identity"],
)
def test_an_id_a_name_and_an_identity_are_taken_once(database: Database, second: Operator) -> None:
    with database.transaction() as stores:
        stores.operators.update(an_operator(identity="ana@example.org"))

        with pytest.raises(ExistsError):
            stores.operators.add(second)


def test_another_ones_identity_cannot_be_taken_over(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.add(an_operator("ben", identity="b@x"))

        with pytest.raises(ExistsError):
            stores.operators.update(an_operator(identity="b@x"))

        assert stores.operators.identified("b@x").name == "ben"


def test_the_name_of_one_who_was_removed_is_free(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.update(an_operator(removed_at=NOW))
        stores.operators.add(an_operator(id="op_new"))

        assert stores.operators.named("ana").id == "op_new"


def test_many_have_no_identity(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.add(an_operator("ben"))

        assert len(stores.operators.all()) == 2


def test_an_operator_is_of_an_app_that_exists(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.operators.add(an_operator("ben", app="none"))


def test_who_is_not_there_cannot_be_changed(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.operators.update(an_operator("eve"))


# --- links ---


def test_a_link_takes_the_place_of_the_one_before(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.put_link(a_link())
        stores.operators.put_link(a_link("l2"))

        assert stores.operators.link("l2", NOW) == a_link("l2")
        with pytest.raises(NotFoundError):
            stores.operators.link("l1", NOW)


def test_a_link_ends_at_its_expiry_and_when_it_is_dropped(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.put_link(a_link())

        with pytest.raises(NotFoundError):
            stores.operators.link("l1", NOW + HOUR)
        assert stores.operators.drop_link("op_ana")
        assert not stores.operators.drop_link("op_ana")
        with pytest.raises(NotFoundError):
            stores.operators.link("l1", NOW)


# --- sessions ---


def test_a_session_is_found_with_whose_it_is(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.add_session(a_session(by=SignedInBy.OIDC))
        stores.operators.touch_session("s1", NOW + HOUR)
        stores.operators.touch_session("none", NOW)

        found = stores.operators.session("s1")

    assert found == (a_session(by=SignedInBy.OIDC, seen_at=NOW + HOUR), an_operator())


def test_a_session_ends(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.add_session(a_session())
        stores.operators.end_session("s1")
        stores.operators.end_session("s1")

        with pytest.raises(NotFoundError):
            stores.operators.session("s1")


def test_all_sessions_of_one_end_but_one(database: Database) -> None:
    with database.transaction() as stores:
        stores.operators.add(an_operator("ben"))
        for name in ("s1", "s2", "s3"):
            stores.operators.add_session(a_session(name))
        stores.operators.add_session(a_session("ben's", operator_id="op_ben"))

        assert stores.operators.end_sessions("op_ana", but="s2") == 2
        assert stores.operators.session("s2")
        assert stores.operators.session("ben's")
        assert stores.operators.end_sessions("op_ana") == 1


def test_sessions_that_ended_by_themselves_are_forgotten(database: Database) -> None:
    second = HOUR / 3_600
    live = a_session("live", created_at=NOW - LONGEST + second, seen_at=NOW - IDLE + second)
    ended = (
        a_session("idle", seen_at=NOW - IDLE),
        a_session("old", created_at=NOW - LONGEST),
    )
    with database.transaction() as stores:
        for session in (live, *ended):
            stores.operators.add_session(session)

        stores.operators.forget_sessions(NOW)

        assert stores.operators.session("live")
        assert live.is_live(NOW)
        for session in ended:
            assert not session.is_live(NOW)
            with pytest.raises(NotFoundError):
                stores.operators.session(session.sha256)


# --- failures ---


def test_failures_are_kept_by_key(database: Database) -> None:
    one = Failures(key="k1", count=1, last_at=NOW, until=NOW)
    more = replace(one, count=2, until=NOW + HOUR)
    with database.transaction() as stores:
        stores.operators.put_failures(one)
        stores.operators.put_failures(more)
        stores.operators.put_failures(replace(one, key="k2"))

        assert stores.operators.failures(["k1", "none"]) == {"k1": more}
        assert stores.operators.failures([]) == {}
        stores.operators.clear_failures("k1")
        assert list(stores.operators.failures(["k1", "k2"])) == ["k2"]


def test_old_failures_are_forgotten(database: Database) -> None:
    with database.transaction() as stores:
        for key, at in (("old", NOW - HOUR), ("new", NOW)):
            stores.operators.put_failures(Failures(key=key, count=1, last_at=at, until=at))

        stores.operators.forget_failures(NOW)

        assert list(stores.operators.failures(["old", "new"])) == ["new"]


def test_of_two_apps_each_has_its_people(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.operators.add(an_operator("ben", app="other"))

        assert {each.app for each in stores.operators.all()} == {"demo", "other"}
