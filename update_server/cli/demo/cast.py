"""Who plays in the story: two published versions of a program, and two that are broken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from update_server.cli.demo import programs
from update_server.cli.demo.damage import write_damaged, write_silent
from update_server.cli.demo.programs import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The program's versions. ``bad`` really crashes; ``dies_by`` is the signal's name.

    ``silent`` takes its agent down with it before anybody can be told.
    """

    older: Program
    newer: Program
    bad: Program
    dies_by: str
    silent: Program

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, in order."""
        return tuple(p.version for p in (self.older, self.newer, self.bad, self.silent))


def find_cast(folder: Path | None, into: Path) -> Cast:
    """Return the cast: from *folder*, else from the package index; files are made in *into*.

    Raises:
        CliError: There are no two versions, or the newer one cannot be damaged.
    """
    if folder is None:
        older, newer = programs.from_index(into)
    else:
        older, newer = programs.from_folder(folder.absolute())
    bad = _broken(newer, newer.version, into)
    dies_by = write_damaged(newer.path, bad.path)
    silent = _broken(newer, bad.version, into)
    write_silent(silent.path)
    return Cast(older=older, newer=newer, bad=bad, dies_by=dies_by, silent=silent)


def _broken(newer: Program, after: Version, into: Path) -> Program:
    version = programs.next_version(after)
    path = into / str(version) / newer.name
    path.parent.mkdir(parents=True)
    return Program(version=version, path=path, says="")
