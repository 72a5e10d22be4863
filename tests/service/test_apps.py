from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.admin_world import APP, World, a_world
from update_server.service.ports import NotFoundError, Role, UnavailableError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path / "signer")


def test_an_app_comes_with_its_online_keys(world: World) -> None:
    apps = world.services().apps

    known, is_new = apps.add(world.caller(Role.ADMIN, None), APP, ["stable"], ["linux-x86_64"])

    assert is_new
    assert known.app.registered is False
    assert set(known.online_keys) >= {"rollout", "snapshot", "timestamp"}
    assert all("keyid" in key for key in known.online_keys.values())
    assert apps.get(APP) == known


def test_taking_in_again_gives_the_same_answer(world: World) -> None:
    apps = world.services().apps
    admin = world.caller(Role.ADMIN, None)
    first, _ = apps.add(admin, APP, ["stable"], ["linux-x86_64"])

    again, is_new = apps.add(admin, APP, ["stable"], ["linux-x86_64"])

    assert (again, is_new) == (first, False)
    with world.database.reading() as stores:
        assert len(stores.audit.page(app=APP, before_seq=None, limit=9)) == 1


def test_taking_in_again_adds_what_is_new(world: World) -> None:
    apps = world.services().apps
    admin = world.caller(Role.ADMIN, None)
    apps.add(admin, APP, ["stable"], ["linux-x86_64"])

    apps.add(admin, APP, ["beta", "stable"], ["macos-arm64"])

    (app,) = apps.all()
    assert app.channels == ("stable", "beta")
    assert app.platforms == ("linux-x86_64", "macos-arm64")


def test_keys_that_could_not_be_made_are_made_by_the_next_call(world: World) -> None:
    class Down:
        def new_app(self, _app: str) -> Any:
            raise UnavailableError("no answer")

    admin = world.caller(Role.ADMIN, None)
    with pytest.raises(UnavailableError):
        world.services(signer=Down()).apps.add(  # type: ignore[arg-type]
            admin, APP, ["stable"], ["linux-x86_64"]
        )

    known, is_new = world.services().apps.add(admin, APP, ["stable"], ["linux-x86_64"])

    assert not is_new
    assert known.online_keys


def test_only_ones_own_app_is_listed(world: World) -> None:
    apps = world.services().apps
    admin = world.caller(Role.ADMIN, None)
    for name in ("demo", "other"):
        apps.add(admin, name, ["stable"], ["linux-x86_64"])

    assert [app.name for app in apps.all()] == ["demo", "other"]
    assert [app.name for app in apps.all("other")] == ["other"]
    with pytest.raises(NotFoundError):
        apps.get("ghost")
