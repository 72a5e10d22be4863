"""What becomes of mutated payloads, manifests and deltas.

    python -m tests.agent.mutations --count 10000 --seed 1

What was accepted is spelled as a manifest again, from the disk and by other code than the
agent's. It must be the signed one, byte by byte.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from client_agent.errors import AgentError, DeltaError, PayloadError
from client_agent.platforms.linux import Linux
from client_agent.versions.build import BuildOrder, build_tree
from tests.agent.memory import over_bare_bytes
from tests.agent.mutated import BASE, Case, Cases, order_of

MAX_SECONDS = 5.0
MAX_PEAK_BYTES = 64 * 1024**2


class Quiet(Linux):
    """Linux that takes no time to be durable: nothing here outlives the run."""

    def sync_file(self, _descriptor: int) -> None:
        pass

    def sync_dir(self, _folder: Path) -> None:
        pass

    def sync_file_system(self, _descriptor: int) -> bool:
        return True

    def drop_cache(self, _descriptor: int) -> None:
        pass


@dataclass(slots=True, kw_only=True)
class MutationCounts:
    """What became of the cases. ``accepted_other`` must be 0.

    ``peak_bytes`` is over a bare interpreter, and only told of a process that did nothing else.
    """

    cases: int = 0
    accepted_same: int = 0
    accepted_other: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    crashed: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    max_seconds: float = 0.0
    peak_bytes: int | None = None

    def told(self) -> dict[str, object]:
        """Return all of it for JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {**values, "passed": self.passed}

    @property
    def passed(self) -> bool:
        """Whether nothing but the signed content was accepted, in time and in memory."""
        return (
            not self.accepted_other
            and not self.crashed
            and self.max_seconds <= MAX_SECONDS
            and (self.peak_bytes or 0) <= MAX_PEAK_BYTES
        )


class Builder:
    """Builds cases in *sandbox*, where nothing else may appear."""

    def __init__(self, sandbox: Path) -> None:
        self._sandbox = sandbox
        self._platform = Quiet()
        self.base = sandbox / "base"
        self.base.mkdir()
        self._build(Case(part=BASE.payload, order=order_of(BASE.manifest)), self.base)

    def run(self, cases: Cases, count: int) -> MutationCounts:
        """Build *count* cases, of each kind in turn."""
        counts = MutationCounts()
        kinds = list(cases.kinds)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            case = cases.kinds[kind]()
            started = time.perf_counter()
            self._count(case, counts)
            counts.max_seconds = max(counts.max_seconds, time.perf_counter() - started)
            counts.kinds[kind] += 1
            counts.cases += 1
        assert spelled(self.base, BASE.manifest) == BASE.manifest
        return counts

    def _count(self, case: Case, counts: MutationCounts) -> None:
        folder = self._sandbox / "case"
        folder.mkdir()
        try:
            self._build(case, folder)
            counts.accepted_same += 1
        except AgentError as error:
            kinds = PayloadError if case.order.base is None else DeltaError
            outcome = counts.refused if isinstance(error, kinds) else counts.crashed
            outcome[f"{error.category}/{error.code}"] += 1
        except AssertionError:
            counts.accepted_other += 1
        except Exception as error:  # noqa: BLE001 - whatever else comes is a fault, and counted
            counts.crashed[type(error).__name__] += 1
        shutil.rmtree(folder)
        shutil.rmtree(self._sandbox / "damaged", ignore_errors=True)
        for path in self._sandbox.iterdir():
            if path.name != "base":  # something got out of its folder
                counts.accepted_other += 1
                path.unlink() if not path.is_dir() else shutil.rmtree(path)

    def _build(self, case: Case, folder: Path) -> None:
        """Build the case; fail when anything but the signed tree comes of it."""
        order = self._damaged(case) if case.damage else case.order
        build_tree(io.BytesIO(case.part), order, folder, self._platform, lambda _a, _b: None)
        signed = (folder / ".serinus/manifest").read_bytes()
        assert hashlib.sha256(signed).hexdigest() == order.manifest_sha256
        assert spelled(folder, signed) == signed

    def _damaged(self, case: Case) -> BuildOrder:
        """Return the case's order, from a copy of the base whose files have changed."""
        folder = self._sandbox / "damaged"
        shutil.copytree(self.base, folder, symlinks=True)
        for path, content in case.damage.items():
            (folder / path).chmod(0o755)
            (folder / path).write_bytes(content)
        assert case.order.base is not None
        return replace(case.order, base=replace(case.order.base, folder=str(folder)))


def spelled(folder: Path, signed: bytes) -> bytes:
    """Return the manifest that the tree in *folder* has, with the *signed* header line."""
    lines = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name in {".serinus", ".serinus/manifest"}:
            continue
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            line = f"l\t{path.readlink()}\t{name}"
        elif stat.S_ISREG(mode):
            content = path.read_bytes()
            kind = "755" if mode & 0o111 else "644"
            line = f"f\t{kind}\t{len(content)}\t{hashlib.sha256(content).hexdigest()}\t{name}"
        elif not any(path.iterdir()):
            line = f"d\t{name}"
        else:
            continue
        lines.append((os.fsencode(name), os.fsencode(line)))
    return b"\n".join([signed.split(b"\n", 1)[0], *(line for _, line in sorted(lines)), b""])


def run_mutations(count: int, seed: int) -> MutationCounts:
    """Build *count* mutated parts in this process."""
    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(Path(folder))
        return builder.run(Cases(builder.base, seed), count)


def main(arguments: list[str] | None = None) -> int:
    """Run in a process of its own, so that its memory can be told; print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    counts = run_mutations(asked.count, asked.seed)
    counts.peak_bytes = over_bare_bytes()
    sys.stdout.write(json.dumps(counts.told()) + "\n")
    return 0 if counts.passed else 1


if __name__ == "__main__":
    sys.exit(main())
