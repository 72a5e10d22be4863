"""Nothing that people can type, set or meet is missing in the documentation."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import click
import pytest

from client_agent import config as agent_config
from client_agent import settings_file
from rollout.model import Detail, Reason
from tests.cli_reference import FILE, agent_commands, render
from tests.command_tree import commands
from update_server.cli.main import cli as root
from update_server.cli.policy import STANDARD
from update_server.config import _ELSEWHERE, Config
from update_server.config_dashboard import Dashboard, Oidc
from update_server.service.telemetry.ingest import RejectCode
from update_server.web.errors import _HTTP_CODES, TABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in (
        "",
        "docs",
        "docs/adr",
        "client_agent",
        "deploy/*",
        "examples",
        "examples/*",
        "tests/vectors",
    )
    for page in ROOT.glob(f"{folder}/*.md".lstrip("/"))
)
_BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def codes_in(page: str) -> set[str]:
    """Return everything that a page sets as code, word by word."""
    return set(_INLINE.findall(text_of(page)))


# --- the command line ------------------------------------------------------------------------


def test_the_copy_of_the_help_texts_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == render(), "run `make docs`"


def test_every_command_and_option_is_in_it() -> None:
    text = text_of("docs/cli.md")
    for path, command in commands(root):
        assert f"\n## {path}\n" in text
        for option in command.params:
            for name in option.opts if isinstance(option, click.Option) else ():
                assert name in text
    for name, actions in agent_commands().items():
        assert f"\n## serinus-agent {name}\n" in text
        for action in actions:
            assert all(option in text for option in action.option_strings)


KNOWN = dict(commands(root))
OPTIONS = {
    path: {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    | {"--help", "-h"}
    for path, command in KNOWN.items()
}
AGENT_OPTIONS = {
    f"serinus-agent {name}": {text for action in actions for text in action.option_strings}
    for name, actions in agent_commands().items()
}


def written_commands() -> Iterator[tuple[str, str]]:
    """Yield each command of ours that a page tells people to type."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
        lines += _INLINE.findall(_BLOCK.sub("", text))
        for line in lines:
            for part in re.split(r"\s*(?:&&|;|\||\s&$)\s*", line.strip().removeprefix("$ ")):
                if re.match(r"serinus(-agent)? [a-z]", part) and page != FILE:
                    yield str(page.relative_to(ROOT)), part.partition("  #")[0]


@pytest.mark.parametrize(("page", "command"), sorted(set(written_commands())))
def test_every_command_in_a_page_exists_with_its_options(page: str, command: str) -> None:
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    options = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--"}
    known = AGENT_OPTIONS if words[0] == "serinus-agent" else OPTIONS
    size = next((size for size in (4, 3) if " ".join(words[:size]) in known), 2)
    path = " ".join(words[:size])
    assert path in known, f"{page}: {command}"
    if isinstance(KNOWN.get(path), click.Group) and len(words) > size and words[size].isalpha():
        assert set(re.split(r"\W", words[size])) <= set(getattr(KNOWN[path], "commands", {}))
    if not isinstance(KNOWN.get(path), click.Group):
        assert options <= known[path], f"{page}: {command}"


def test_no_block_of_commands_stops_whoever_pastes_it() -> None:
    for page in ("README.md", "docs/runbook.md"):
        lines = [line for block in _BLOCK.findall(text_of(page)) for line in block.splitlines()]
        assert not [line for line in lines if re.match(r"serinus rollout watch", line)]
        serving = [line for line in lines if re.match(r"serinus serve\b", line)]
        assert all(line.partition("#")[0].rstrip().endswith(" &") for line in serving)


def test_the_ladder_is_told_as_the_standard_policy_has_it() -> None:
    steps = [step["exposure_bp"] for step in STANDARD["ramp"] if "exposure_bp" in step]
    shares = ".*".join(f"{share / 100:g} %" for share in steps)
    for page in ("README.md", "docs/runbook.md"):
        assert re.search(f"internal.*{shares}", text_of(page), re.DOTALL)


def test_the_readme_says_where_the_commands_are() -> None:
    text = text_of("README.md")
    for words in (
        "`serinus`",
        "`serinus-agent`",
        "`.venv/bin`",
        "`pip install '.[server]'`",
        "`pip install .`",
    ):
        assert words in text


def test_every_target_of_make_in_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for page in PAGES:
        for words in re.findall(
            r"(?:^|`)make ([a-z ]+?)(?: #|`|$| ARGS|  )", page.read_text(), re.MULTILINE
        ):
            assert set(words.split()) <= targets, f"{page.name}: make {words}"


# --- settings --------------------------------------------------------------------------------


def section(page: str, title: str) -> str:
    """Return the text under a heading, up to the next one."""
    _, found, rest = text_of(page).partition(f"\n{title}\n")
    assert found, f"{page} has no section {title}"
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]


def keys_of(title: str) -> set[str]:
    """Return the keys of the table under a heading of the settings page."""
    return set(re.findall(r"^\| `(\w+)` \|", section("docs/settings.md", title), re.MULTILINE))


def test_every_setting_of_the_server_is_documented_and_no_other() -> None:
    of_server = {field.name for field in fields(Config)} - set(_ELSEWHERE)
    assert keys_of("### [server]") == of_server
    assert keys_of("### [telemetry]") == {"tee"}
    of_pages = {field.name for field in fields(Dashboard)} - {"oidc"}
    assert keys_of("### [dashboard]") == of_pages
    assert keys_of("### [dashboard.oidc]") == {field.name for field in fields(Oidc)}


def test_every_setting_of_the_publisher_is_documented_and_no_other() -> None:
    assert keys_of("### [publisher]") == {"server", "app", "channel"}
    assert keys_of("### [keys]") == {"root", "publisher", "targets", "policy", "releases"}


def test_every_key_of_the_agents_settings_is_documented_and_no_other() -> None:
    read: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(text_of("client_agent/settings_file.py"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=table), attr="text" | "choice" | "whole"
                                   | "flag" | "real" | "texts" | "numbers"),
                args=[ast.Constant(value=str(key)), *_],
            ):  # fmt: skip
                read.setdefault("app" if table == "table" else table, set()).add(key)
            case ast.Call(
                func=ast.Name(id="_named"), args=[ast.Name(), ast.Constant(value=str(key)), *_]
            ):
                read.setdefault("app", set()).add(key)
            case ast.Call(
                func=ast.Attribute(
                    value=ast.Subscript(
                        value=ast.Name(id="tables"), slice=ast.Constant(value=str(table))
                    )
                ),
                args=[ast.Constant(value=str(key)), *_],
            ):
                read.setdefault(table, set()).add(key)

    assert set(read) == {"app", *settings_file._TABLES}
    for table, keys in read.items():
        assert keys_of(f"### [{table}]") == keys
    # The keys are those of the values: none was read and forgotten.
    names = {field.name for field in dataclasses.fields(agent_config.Settings)}
    assert names - {"app", "network", "policy", "health", "crash"} <= set().union(*read.values())


# --- errors and reasons ----------------------------------------------------------------------

SOURCES = [
    file for folder in ("update_server", "signing") for file in (ROOT / folder).rglob("*.py")
]
_CODED = {
    "CliError": 0,
    "UsageError": 0,
    "SubmissionError": 0,
    "SignerRefusedError": 0,
    "CeremonyError": 0,
    "TrustError": 0,
    "PlanError": 0,
}


@cache
def first_texts() -> dict[str, set[str]]:
    """Return, by the name of what is called in the sources, the first texts it is given."""
    found: dict[str, set[str]] = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id=name) | ast.Attribute(attr=name),
                    args=[ast.Constant(value=str(text)), *_],
                ):
                    found.setdefault(name, set()).add(text)
    return found


def raised(error: str) -> set[str]:
    """Return the first text that each call of *error* in the sources is given."""
    return first_texts().get(error, set())


def codes_of_the_server() -> set[str]:
    codes = {row.code for row in TABLE if row.code is not None}
    kinds = {f"unknown_{kind.replace(' ', '_')}" for kind in (*raised("NotFoundError"), *sought())}
    return codes | kinds | set(_HTTP_CODES.values()) | {str(code) for code in RejectCode}


def sought() -> Iterator[str]:
    """Yield what the stores look for, and say by name when it is missing."""
    for file in (ROOT / "update_server" / "store").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="one"), args=[_, _, ast.Constant(value=str(kind)), _]
                ):
                    yield kind


def codes_of_classes() -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text_of("signing/errors.py"))):
        match node:
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                found.add(code)
    return found


def all_codes() -> set[str]:
    coded = {code for error in _CODED for code in raised(error)}
    return codes_of_the_server() | coded | codes_of_classes() | {"internal"}


def test_every_code_is_documented() -> None:
    assert all_codes() <= codes_in("docs/errors.md")


def test_no_other_code_is_documented() -> None:
    cells = re.findall(r"^\| (`[^|]*`) \|", text_of("docs/errors.md"), re.MULTILINE)
    told = {code for cell in cells for code in _INLINE.findall(cell)}

    assert told - all_codes() == {"http_<status>"}


def test_every_reason_and_detail_is_documented() -> None:
    assert {*Reason, *Detail} <= codes_in("docs/protocol.md")


# --- metrics ---------------------------------------------------------------------------------


def test_every_metric_is_documented_and_no_other() -> None:
    told = set()
    for file in (ROOT / "update_server" / "web" / "admin" / "metrics").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(name)) if re.fullmatch(r"serinus_\w+", name):
                    told.add(name)
    rows = re.findall(r"^\| `(serinus_\w+)` \|", text_of("docs/metrics.md"), re.MULTILINE)

    assert told
    assert sorted(rows) == sorted(told)


def test_every_alert_is_documented_and_no_other() -> None:
    rules = re.findall(r"- alert: (\w+)$", text_of("deploy/grafana/alerts.yaml"), re.MULTILINE)
    told = re.findall(r"\b(Serinus[A-Z]\w+)", text_of("docs/metrics.md"))

    assert sorted(told) == sorted(rules)


# --- links -----------------------------------------------------------------------------------


def anchors_of(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors_of(target), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        if page.is_dir():
            waiting += page.glob("*.md")
        elif page.suffix == ".md":
            text = page.read_text(encoding="utf-8")
            links = [link.partition("#")[0] for link in _LINK.findall(text)]
            waiting += [(page.parent / link).resolve() for link in links if ":" not in link]

    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= seen
