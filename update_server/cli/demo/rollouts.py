"""The rollouts of the story: what was started, what became of it, and who started it."""

from __future__ import annotations

from packaging.version import Version

from update_server.cli.demo import ladder
from update_server.cli.demo.fleet import Launch
from update_server.cli.demo.programs import Program
from update_server.cli.demo.stage import Stage


class Rollouts:
    """The rollouts that were started, by version."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ids: dict[Version, str] = {}

    def start(self, program: Program, terms: str = ladder.BY_HAND, *options: str) -> None:
        """Start a rollout of *program* by the ladder file *terms* (``serinus rollout start``)."""
        version = str(program.version)
        file = self._stage.settings.folder / f"ladder-{version}.toml"
        file.write_text(terms, encoding="ascii")
        started = self._stage.publisher.run(
            "rollout", "start", version, "--ladder", str(file), *options
        )
        self._ids[program.version] = started["id"]

    def pull(self, program: Program, replacement: Program) -> None:
        """Withdraw *program* for good, unless the server has done so already."""
        if self._stage.observer().state(self.id_of(program.version)) == "pulled":
            return
        version = str(program.version)
        self._stage.publisher.run(
            "rollout", "pull", version, "--replacement", str(replacement.version),
            "--confirm", version, "--reason", "it harms installs",
        )  # fmt: skip

    def id_of(self, version: Version) -> str:
        """Return the name of the rollout of *version*."""
        return self._ids[version]

    def starts(self, version: Version) -> list[Launch]:
        """Return the starts of *version* that were seen in any install."""
        seen = self._stage.witnessed.values()
        return [start for starts in seen for start in starts if start.version == str(version)]

    def installs_that_started(self, version: Version) -> list[int]:
        """Return the numbers of the installs in which a start of *version* was seen."""
        return [
            number
            for number, starts in self._stage.witnessed.items()
            if any(start.version == str(version) for start in starts)
        ]
