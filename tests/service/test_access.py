from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.admin_world import APP, World, a_registered_world
from update_server.service.access.access import allows
from update_server.service.agents.pseudonyms import hash_of_secret
from update_server.service.errors import BadApiTokenError, BadValueError
from update_server.service.ports import ApiToken, NotFoundError, Role


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_registered_world(tmp_path / "signer")


def generation(world: World) -> int:
    with world.database.reading() as stores:
        return stores.apps.get(APP).generation


def last_action(world: World) -> tuple[str, str]:
    with world.database.reading() as stores:
        (record,) = stores.audit.page(app=APP, before_seq=None, limit=1)
    return record.action, record.actor


def test_each_role_may_do_what_the_ones_before_it_may() -> None:
    roles = list(Role)

    for i, role in enumerate(roles):
        assert [allows(role, needed) for needed in roles] == [j <= i for j in range(len(roles))]


def test_a_token_is_told_once_and_stored_as_a_hash(world: World) -> None:
    tokens = world.services().tokens

    token, secret = tokens.issue(world.caller(Role.ADMIN), "ci", Role.PUBLISHER, APP, None)

    assert secret.startswith("srn_")
    assert token.sha256 == hash_of_secret(secret)
    assert tokens.authenticate(secret) == token
    assert last_action(world) == ("token.issue", "admin-demo")


@pytest.mark.parametrize("secret", ["", "srn_", "srn_wrong", "SRN_", "\ud800"])
def test_a_wrong_secret_is_nobody(secret: str, world: World) -> None:
    with pytest.raises(BadApiTokenError):
        world.services().tokens.authenticate(secret)


def test_a_token_ends_with_its_time(world: World) -> None:
    tokens = world.services().tokens
    _, secret = tokens.issue(world.caller(Role.ADMIN), "ci", Role.VIEWER, APP, 60)
    world.advance(59)
    assert tokens.authenticate(secret).role is Role.VIEWER

    world.advance(1)

    with pytest.raises(BadApiTokenError):
        tokens.authenticate(secret)


def test_a_revoked_token_is_nobody_and_may_be_revoked_again(world: World) -> None:
    tokens = world.services().tokens
    admin = world.caller(Role.ADMIN)
    token, secret = tokens.issue(admin, "ci", Role.VIEWER, APP, None)

    tokens.revoke(admin, token.id)
    tokens.revoke(admin, token.id)

    with pytest.raises(BadApiTokenError):
        tokens.authenticate(secret)
    assert last_action(world) == ("token.revoke", "admin-demo")


def test_a_look_up_that_finds_another_token_authenticates_nobody(world: World) -> None:
    class Careless:
        """A store that ignores case, as some collations do."""

        def token_by_hash(self, _sha256: str) -> ApiToken:
            return ApiToken(
                id="tok_1",
                sha256="a" * 64,
                name="somebody",
                role=Role.ADMIN,
                app=None,
                created_at=world.clock.now(),
            )

    with world.database.transaction() as stores:
        stores.access = Careless()  # type: ignore[assignment]

        class OneLook:
            def reading(self) -> object:
                return self

            def __enter__(self) -> object:
                return stores

            def __exit__(self, *_: object) -> None:
                return None

        tokens = world.services(database=OneLook()).tokens  # type: ignore[arg-type]
        with pytest.raises(BadApiTokenError):
            tokens.authenticate("srn_guess")


def test_a_token_for_an_unknown_app_is_not_made(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.services().tokens.issue(
            world.caller(Role.ADMIN, None), "ci", Role.VIEWER, "ghost", None
        )


def test_tokens_of_another_app_are_neither_seen_nor_revoked(world: World) -> None:
    tokens = world.services().tokens
    everywhere, _ = tokens.issue(world.caller(Role.ADMIN, None), "all", Role.VIEWER, None, None)
    mine = world.caller(Role.ADMIN)

    assert everywhere in tokens.all(None)
    assert everywhere not in tokens.all(APP)
    with pytest.raises(NotFoundError):
        tokens.revoke(mine, everywhere.id)
    assert tokens.authenticate(world.secrets["admin-None"]).app is None


def test_a_group_is_made_once(world: World) -> None:
    groups = world.services().groups

    first, is_new = groups.add(world.caller(), APP, "staff")
    again, is_new_again = groups.add(world.caller(), APP, "staff")

    assert (first, is_new, is_new_again) == (again, True, False)
    assert [group.name for group in groups.all(APP)] == ["staff"]


def test_removing_a_group_tells_the_check_ins(world: World) -> None:
    groups = world.services().groups
    groups.add(world.caller(), APP, "staff")
    before = generation(world)

    groups.remove(world.caller(), APP, "staff")

    assert groups.all(APP) == []
    assert generation(world) == before + 1
    assert last_action(world) == ("group.remove", "operator-demo")
    with pytest.raises(NotFoundError):
        groups.remove(world.caller(), APP, "staff")


def test_a_code_is_told_once_and_stored_as_a_hash(world: World) -> None:
    groups = world.services().groups
    groups.add(world.caller(), APP, "staff")

    code, secret = groups.issue_code(world.caller(), APP, "staff", 3, 3_600)

    assert code.sha256 == hash_of_secret(secret)
    assert (code.uses_left, code.group) == (3, "staff")
    assert code.expires_at == world.clock.now() + timedelta(hours=1)
    with world.database.transaction() as stores:
        assert stores.access.use_code(APP, hash_of_secret(secret), world.clock.now()).uses_left == 2


def test_a_code_needs_its_group(world: World) -> None:
    with pytest.raises(BadValueError) as raised:
        world.services().groups.issue_code(world.caller(), APP, "staff", 1, 60)

    assert raised.value.field == "group"


def test_a_revoked_code_lets_nobody_in(world: World) -> None:
    groups = world.services().groups
    groups.add(world.caller(), APP, "staff")
    code, secret = groups.issue_code(world.caller(), APP, "staff", 1, 60)

    groups.revoke_code(world.caller(), APP, code.id)

    assert groups.codes(APP)[0].revoked_at is not None
    with world.database.transaction() as stores, pytest.raises(NotFoundError):
        stores.access.use_code(APP, hash_of_secret(secret), world.clock.now())
    with pytest.raises(NotFoundError):
        groups.revoke_code(world.caller(), APP, "en_none")


def test_the_log_is_read_in_pages(world: World) -> None:
    groups = world.services().groups
    for name in ("a", "b", "c"):
        groups.add(world.caller(), APP, name)
    audit = world.services().audit

    first, cursor = audit.page(APP, before_seq=None, limit=2)
    second, _ = audit.page(APP, before_seq=cursor, limit=2)

    assert [record.subject for record in (*first, *second)][:3] == ["c", "b", "a"]
    assert audit.page(None, before_seq=2, limit=5)[1] is None
    with pytest.raises(NotFoundError):
        audit.page("ghost", before_seq=None, limit=2)
