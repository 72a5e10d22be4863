"""Signing upon the server's newest state, and again when somebody came first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import chdir
from datetime import UTC, datetime

import pytest
from securesystemslib.signer import Signer

from signing.ceremony import sign_policy
from signing.state import RepositoryState
from tests.cli.cli_world import Cli
from update_server.cli.command import Session
from update_server.cli.console import Console
from update_server.cli.errors import CliError
from update_server.cli.policy import policy_document
from update_server.cli.signing import submit

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Racer:
    """Signs a policy; meanwhile somebody else hands one in, so many times."""

    def __init__(self, cli: Cli, times: int) -> None:
        self._cli = cli
        self._left = times

    def sign(self, state: RepositoryState, signers: Sequence[Signer]) -> dict[str, bytes]:
        document = policy_document("notes", "stable", datetime.now(UTC), {})
        signed = sign_policy(state, {"stable": document}, signers, datetime.now(UTC))
        if self._left:
            self._left -= 1
            self._cli.json("app", "policy", "policy.toml", "--yes")
        return dict(signed)


def submitted(cli: Cli, racer: Racer, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    for name, value in cli.variables.items():
        monkeypatch.setenv(name, value)
    with chdir(cli.folder):
        return submit(Session(Console()), ("policy", "targets"), racer.sign)


def test_a_stale_base_is_signed_again(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = submitted(cli, Racer(cli, 2), monkeypatch)

    assert answer["admitted"] == ["policy"]
    assert cli.json("app", "show")["versions"]["policy"] == 4
    assert capsys.readouterr().err.count("somebody else published meanwhile") == 2


def test_a_crowd_is_given_up_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CliError) as refused:
        submitted(cli, Racer(cli, 100), monkeypatch)

    assert refused.value.code == "stale_base"
