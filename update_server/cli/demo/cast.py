"""Who plays in the story: two published versions of a program, and one that is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from update_server.cli.demo import programs
from update_server.cli.demo.damage import write_damaged
from update_server.cli.demo.programs import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """The program's versions. ``bad`` really crashes; ``dies_by`` is the signal's name."""

    older: Program
    newer: Program
    bad: Program
    dies_by: str

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, in order."""
        return (self.older.version, self.newer.version, self.bad.version)


def find_cast(folder: Path | None, into: Path) -> Cast:
    """Return the cast: from *folder*, else from the package index; files are made in *into*.

    Raises:
        CliError: There are no two versions, or the newer one cannot be damaged.
    """
    if folder is None:
        older, newer = programs.from_index(into)
    else:
        older, newer = programs.from_folder(folder.absolute())
    third = programs.next_version(newer.version)
    path = into / str(third) / newer.name
    path.parent.mkdir(parents=True)
    dies_by = write_damaged(newer.path, path)
    bad = Program(version=third, path=path, says="")
    return Cast(older=older, newer=newer, bad=bad, dies_by=dies_by)
