"""Where an app's own crash SDK reports, and what a child of the agent is told of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
from packaging.version import Version

from client_agent.commands.supervise import app_environment
from client_agent.config import AppSettings, Telemetry
from client_agent.reports.dsn import minidump_url, sentry_dsn
from client_agent.values import State
from tests.agent.agent_world import TOKEN, AgentWorld, a_world
from tests.agent.running.test_agent import an_agent
from tests.agent.running.test_agent_loop import begun, wait

V = Version("2.0.0")
KNOWN = State(tokens=MappingProxyType({"2.0.0": "KEY"}), project=7)


def an_app(server: str = "https://updates.example.org") -> AppSettings:
    return AppSettings(
        app="notes", channel="stable", platform="linux-x86_64", server=server, root_metadata=b""
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with a_world(tmp_path) as world:
        yield world


@pytest.mark.parametrize(
    ("server", "dsn"),
    [
        ("https://updates.example.org", "https://KEY@updates.example.org/7"),
        ("http://127.0.0.1:8080", "http://KEY@127.0.0.1:8080/7"),
        ("https://example.org/serinus", "https://KEY@example.org/serinus/7"),
    ],
)
def test_the_token_of_what_runs_is_the_key(server: str, dsn: str) -> None:
    assert sentry_dsn(an_app(server), KNOWN, V, Telemetry.CRASH) == dsn


@pytest.mark.parametrize(
    ("state", "version", "level"),
    [
        (KNOWN, V, Telemetry.HEALTH),
        (KNOWN, V, Telemetry.OFF),
        (KNOWN, None, Telemetry.CRASH),
        (KNOWN, Version("2.1.0"), Telemetry.CRASH),
        (State(project=7), V, Telemetry.CRASH),
        (State(tokens=KNOWN.tokens), V, Telemetry.CRASH),
    ],
)
def test_without_level_token_or_number_there_is_none(
    state: State, version: Version | None, level: Telemetry
) -> None:
    assert sentry_dsn(an_app(), state, version, level) is None


def test_a_minidump_goes_beside_it() -> None:
    url = minidump_url(an_app("https://example.org/serinus"), 7, "KEY")

    assert url == "https://example.org/serinus/api/7/minidump/?sentry_key=KEY"


def test_a_check_in_makes_the_address_known_to_the_next_start_too(world: AgentWorld) -> None:
    world.say("stay", None, "up_to_date", project=7)
    loop = begun(world)
    agent = an_agent(world)
    assert agent.sentry_dsn() is None

    wait(world, loop, 61)

    host = world.server.url.removeprefix("http://")
    assert agent.sentry_dsn() == f"http://{TOKEN}@{host}/7"
    agent.telemetry = "health"
    assert agent.sentry_dsn() is None


def test_a_child_finds_it_unless_somebody_has_said_otherwise(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    monkeypatch.delenv("SENTRY_RELEASE", raising=False)
    monkeypatch.setenv("SERINUS_LAUNCH", "an outer launcher's")
    world.say("stay", None, "up_to_date", project=7)
    loop = begun(world)
    before = app_environment(loop.parts)
    wait(world, loop, 61)

    after = app_environment(loop.parts)
    monkeypatch.setenv("SENTRY_DSN", "https://mine")
    mine = app_environment(loop.parts)

    assert not {"SENTRY_DSN", "SENTRY_RELEASE"} & before.keys()
    assert "SERINUS_LAUNCH" not in before
    assert after["SENTRY_DSN"].endswith("/7")
    assert after["SENTRY_RELEASE"] == "demo@2.0.0"
    assert "SENTRY_RELEASE" not in mine
    assert mine["SENTRY_DSN"] == "https://mine"
    assert os.environ["SENTRY_DSN"] == "https://mine"


def test_what_is_armed_starts_with_the_token_it_was_armed_with(
    world: AgentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    loop = begun(world)
    world.publish("2.1.0")
    world.say("update", "2.1.0", "in_ring", project=7)

    wait(world, loop, 61)

    assert world.state(loop).tokens["2.1.0"] == TOKEN
    assert TOKEN in app_environment(loop.parts)["SENTRY_DSN"]
