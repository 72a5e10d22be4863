"""Contract of ports.Access: tokens, groups, enrolment, secrets, repeated requests."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.store.values import (
    HOUR,
    NOW,
    a_code,
    a_group,
    a_token,
    an_app,
    an_enrolment,
)
from update_server.service.ports import ApiToken, Database, ExistsError, NotFoundError, Role, Stores


def with_group(stores: Stores) -> None:
    stores.access.add_group(a_group())


# --- tokens ---


def test_tokens_come_back_as_they_went_oldest_first(database: Database) -> None:
    full = a_token("tk_2", role=Role.ADMIN, app="demo", expires_at=NOW + HOUR, last_used_at=NOW)
    oldest = a_token("tk_9", created_at=NOW - HOUR)

    with database.transaction() as stores:
        for token in (full, oldest):
            stores.access.add_token(token)

    with database.reading() as stores:
        assert stores.access.tokens() == [oldest, full]
        assert stores.access.token_by_hash(full.sha256) == full


def test_a_revoked_token_is_still_known(database: Database) -> None:
    with database.transaction() as stores:
        stores.access.add_token(a_token())
        stores.access.revoke_token("tk_1", NOW)
        stores.access.revoke_token("tk_1", NOW + HOUR)

        found = stores.access.token_by_hash(a_token().sha256)

    assert found == a_token(revoked_at=NOW)


def test_an_unknown_token_is_not_found(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(NotFoundError):
            stores.access.token_by_hash("none")
        with pytest.raises(NotFoundError):
            stores.access.revoke_token("none", NOW)


@pytest.mark.parametrize(
    "second", [a_token(sha256="other"), a_token("tk_2", sha256="hash of tk_1")]
)
def test_a_token_and_its_hash_are_taken_once(database: Database, second: ApiToken) -> None:
    with database.transaction() as stores:
        stores.access.add_token(a_token())

        with pytest.raises(ExistsError):
            stores.access.add_token(second)


def test_a_token_is_for_an_app_that_exists(database: Database) -> None:
    with database.transaction() as stores, pytest.raises(NotFoundError):
        stores.access.add_token(a_token(app="none"))


# --- groups and enrolment ---


def test_groups_are_listed_by_name_with_their_members(database: Database) -> None:
    with database.transaction() as stores:
        for name in ("staff", "friends"):
            stores.access.add_group(a_group(name))
        stores.access.add_enrolment(an_enrolment())
        stores.access.add_enrolment(an_enrolment("other", install_key=b"other"))
        stores.access.add_enrolment(an_enrolment("third", install_key=b"other"))

        assert stores.access.groups("demo") == [a_group("friends"), a_group(members=2)]


def test_a_group_is_named_once_in_an_app(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        stores.access.add_group(a_group())
        stores.access.add_group(a_group(app="other"))

        with pytest.raises(ExistsError):
            stores.access.add_group(a_group())


def test_removing_a_group_revokes_its_codes_and_enrolments(database: Database) -> None:
    with database.transaction() as stores:
        for name in ("staff", "friends"):
            stores.access.add_group(a_group(name))
        stores.access.add_code(a_code())
        stores.access.add_enrolment(an_enrolment())
        others = an_enrolment("other", group="friends")
        stores.access.add_enrolment(others)

        stores.access.remove_group("demo", "staff", NOW)

        assert stores.access.groups("demo") == [a_group("friends", members=1)]
        assert stores.access.enrolments("demo") == [others]
        assert stores.access.codes("demo") == [a_code(revoked_at=NOW)]


def test_the_memberships_of_one_install_are_found_by_its_key(database: Database) -> None:
    with database.transaction() as stores:
        for name in ("staff", "friends"):
            stores.access.add_group(a_group(name))
        mine = an_enrolment()
        stores.access.add_enrolment(mine)
        stores.access.add_enrolment(an_enrolment("other", install_key=b"another", group="friends"))

        assert stores.access.enrolments_of("demo", mine.install_key) == [mine]
        assert stores.access.enrolments_of("other", mine.install_key) == []
        stores.access.remove_group("demo", "staff", NOW)
        assert stores.access.enrolments_of("demo", mine.install_key) == []


def test_a_group_of_a_removed_name_begins_empty(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_enrolment(an_enrolment())
        stores.access.remove_group("demo", "staff", NOW)

        with_group(stores)

        assert stores.access.groups("demo") == [a_group()]


def test_a_group_that_is_not_there_takes_nothing(database: Database) -> None:
    with database.transaction() as stores:
        calls: list[Callable[[], object]] = [
            lambda: stores.access.remove_group("demo", "staff", NOW),
            lambda: stores.access.add_code(a_code()),
            lambda: stores.access.add_enrolment(an_enrolment()),
        ]
        for call in calls:
            with pytest.raises(NotFoundError) as caught:
                call()
            assert (caught.value.kind, caught.value.key) == ("group", "staff")


def test_a_code_is_used_as_often_as_it_says(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_code(a_code(uses_left=2))
        sha256 = a_code().sha256

        left = [stores.access.use_code("demo", sha256, NOW).uses_left for _ in range(2)]

        assert left == [1, 0]
        with pytest.raises(NotFoundError):
            stores.access.use_code("demo", sha256, NOW)
        assert stores.access.codes("demo") == [a_code(uses_left=0)]


def test_a_code_ends_at_its_expiry(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_code(a_code(expires_at=NOW))

        with pytest.raises(NotFoundError):
            stores.access.use_code("demo", a_code().sha256, NOW)
        stores.access.use_code("demo", a_code().sha256, NOW - timedelta(microseconds=1))


def test_a_revoked_code_is_of_no_use(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_code(a_code())
        stores.access.revoke_code("demo", "ec_1", NOW)
        stores.access.revoke_code("demo", "ec_1", NOW + HOUR)

        with pytest.raises(NotFoundError):
            stores.access.use_code("demo", a_code().sha256, NOW)
        assert stores.access.codes("demo") == [a_code(revoked_at=NOW)]


def test_a_code_is_of_its_own_app_only(database: Database) -> None:
    with database.transaction() as stores:
        stores.apps.add(an_app("other"))
        with_group(stores)
        stores.access.add_code(a_code())

        with pytest.raises(NotFoundError):
            stores.access.use_code("other", a_code().sha256, NOW)
        with pytest.raises(NotFoundError):
            stores.access.revoke_code("other", "ec_1", NOW)


def test_a_code_is_added_once(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_code(a_code())

        for second in (a_code(sha256="other"), a_code("ec_2", sha256=a_code().sha256)):
            with pytest.raises(ExistsError):
                stores.access.add_code(second)


def test_an_install_has_one_live_credential_for_a_group(database: Database) -> None:
    newer = an_enrolment("newer", created_at=NOW + HOUR)

    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_enrolment(an_enrolment())
        stores.access.add_enrolment(newer)

        assert stores.access.enrolments("demo") == [newer]


def test_a_credential_is_known_once(database: Database) -> None:
    with database.transaction() as stores:
        with_group(stores)
        stores.access.add_enrolment(an_enrolment())

        with pytest.raises(ExistsError):
            stores.access.add_enrolment(an_enrolment(install_key=b"other"))


# --- secrets and repeated requests ---


def test_the_first_writer_of_a_secret_wins(database: Database) -> None:
    with database.transaction() as stores:
        with pytest.raises(NotFoundError):
            stores.access.secret("pepper")

        assert stores.access.add_secret("pepper", b"\x00first") == b"\x00first"
        assert stores.access.add_secret("pepper", b"second") == b"\x00first"

    with database.reading() as stores:
        assert stores.access.secret("pepper") == b"\x00first"


def test_the_first_answer_to_a_request_is_remembered(database: Database) -> None:
    with database.transaction() as stores:
        assert stores.access.idempotent("key") is None
        stores.access.remember_idempotent("key", b"first", NOW)
        stores.access.remember_idempotent("key", b"second", NOW)

        assert stores.access.idempotent("key") == b"first"


def test_answers_are_forgotten_after_a_week(database: Database) -> None:
    with database.transaction() as stores:
        stores.access.remember_idempotent("old", b"x", NOW)
        stores.access.remember_idempotent("new", b"x", NOW + timedelta(days=7, seconds=1))

        assert stores.access.idempotent("old") is None
        assert stores.access.idempotent("new") == b"x"
