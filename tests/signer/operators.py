"""Operators with passwords, in the world of the signer's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes.passwords import QUICK_PASSWORDS
from tests.signer.signer_world import SignerWorld
from tests.signing.world import APP
from update_server.service.ports import Role
from update_server.service.ports.approvals import render_password
from update_server.service.ports.operators import Operator

PASSWORD = "correct horse battery staple"


def add_operator(world: SignerWorld, name: str, **changes: Any) -> str:
    """Add an operator; return what approves by their password."""
    password = changes.pop("plain", PASSWORD)
    operator = Operator(
        id=f"op_{name}",
        name=name,
        role=Role.OPERATOR,
        app=APP,
        created_at=world.clock.now(),
        password=QUICK_PASSWORDS.hashed(password),
        password_set_at=world.clock.now(),
    )
    with world.database.transaction() as stores:
        stores.operators.add(replace(operator, **changes))
    return render_password(name, password)


def change_operator(world: SignerWorld, name: str, **changes: Any) -> None:
    """Change an operator."""
    with world.database.transaction() as stores:
        stores.operators.update(replace(stores.operators.get(f"op_{name}"), **changes))


def set_password(world: SignerWorld, name: str, password: str) -> str:
    """Set an operator's password; return what approves by it."""
    change_operator(
        world,
        name,
        password=QUICK_PASSWORDS.hashed(password),
        password_set_at=world.clock.now(),
    )
    return render_password(name, password)
