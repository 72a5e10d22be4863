"""The acts of the demo, in order, and what each must end in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from rollout.model import Release
from update_server.cli.demo import ladder, verdict
from update_server.cli.demo.brake import ENOUGH_INSTALLS, Brake
from update_server.cli.demo.cast import Cast, find_cast
from update_server.cli.demo.fleet import InstallFolder, Look
from update_server.cli.demo.people import People, nobody_looks
from update_server.cli.demo.programs import Program
from update_server.cli.demo.rollouts import Rollouts
from update_server.cli.demo.saving import Saving, saving_on
from update_server.cli.demo.stage import CHANNEL, Looks, Stage
from update_server.cli.demo.verdict import Verdict
from update_server.cli.errors import CliError

_DIGEST_SECONDS = 1.0  # within which the server has counted what agents told it
_START_EVERY_SECONDS = 0.2  # forty Pythons that start at once would stall the server


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act as it went: its name, what came of it, and how long it took."""

    name: str
    text: str
    seconds: float
    ok: bool

    def document(self) -> dict[str, Any]:
        """Return the step for the JSON document."""
        seconds = round(self.seconds, 1)
        return {"name": self.name, "ok": self.ok, "text": self.text, "seconds": seconds}


Act = tuple[str, str, Callable[[], str]]
"""An act's name, its title, and what plays it."""


class Story:
    """The demo's story. ``tell`` it; what happened is in ``steps`` even when it failed."""

    def __init__(
        self,
        stage: Stage,
        folder: Path | None,
        show_pages: Callable[[People], object] = nobody_looks,
    ) -> None:
        self._stage = stage
        self._folder = folder
        self._show_pages = show_pages
        self._rollouts = Rollouts(stage)
        self._count = 1
        self.brake = Brake(stage, self._rollouts)
        self.steps: list[Step] = []
        self.verdict: Verdict | None = None
        self.saving: Saving | None = None
        self.offered_after_pull: int | None = None

    def tell(self) -> None:
        """Play all acts.

        Raises:
            CliError: An act did not end as it must; it is the last of ``steps``.
        """
        cast = self._find_cast()  # the titles of the other acts name its versions
        acts = self._acts(cast)
        self._count = 1 + len(acts)
        for name, title, play in acts:
            self._act(name, title, play)

    def _acts(self, cast: Cast) -> list[Act]:
        """Return the acts after the first: name, title, and what plays it."""
        count = self._stage.settings.installs
        older, newer, bad, _ = (str(version) for version in cast.versions)
        return [
            ("workspace", "make a workspace: trust root, keys, policy", self._make_workspace),
            ("server", "start the server's processes", self._start_server),
            ("people", "let people sign in to the pages", self._invite_people),
            ("publish_older", f"sign and publish {older}", lambda: self._publish(cast.older)),
            (
                "install_older",
                f"{count} empty installs get {older} by the signed road",
                lambda: self._install(cast.older),
            ),
            (
                "publish_newer",
                f"sign and publish {newer}",
                lambda: self._publish(cast.newer, cast.older),
            ),
            *(
                (
                    f"ring_{ring}",
                    f"open {newer} to ring {ladder.title(ring)}",
                    lambda ring=ring: self._open(cast.newer, ring),
                )
                for ring in ladder.RINGS
            ),
            (
                "deltas",
                f"count what the delta from {older} to {newer} saved",
                lambda: self._count_bytes(cast.newer),
            ),
            (
                "publish_damaged",
                f"sign and publish {bad}, which dies by {cast.dies_by}",
                lambda: self._publish(cast.bad, cast.newer),
            ),
            *(self._stopped_by_the_server(cast) if self._has_enough else self._by_hand(cast)),
            ("verdict", "look into every install's folder", lambda: self._judge(cast)),
        ]

    @property
    def _has_enough(self) -> bool:
        return self._stage.settings.installs >= ENOUGH_INSTALLS

    def _stopped_by_the_server(self, cast: Cast) -> list[Act]:
        newer, bad, silent = (str(version) for version in cast.versions[1:])
        return [
            (
                "crash",
                f"{bad} goes straight to ring {ladder.title(ladder.GENERAL[0][0])}",
                lambda: self.brake.crash(cast),
            ),
            ("pull", f"{bad} is withdrawn; {newer} replaces it", lambda: self._pull(cast)),
            ("after_pull", f"ask for {bad} as every install", lambda: self._after_pull(cast)),
            (
                "publish_silent",
                f"sign and publish {silent}, which takes its agent down and reports nothing",
                lambda: self._publish(cast.silent, cast.newer),
            ),
            ("silence", f"{silent} goes the same way", lambda: self.brake.silence(cast)),
            ("repair", "start the agents that it took down", lambda: self.brake.repair(cast)),
        ]

    def _by_hand(self, cast: Cast) -> list[Act]:
        """Return what happens in a fleet that is too small for evidence."""
        newer, bad = str(cast.newer.version), str(cast.bad.version)
        return [
            ("crash", f"ring {ladder.INTERNAL} takes {bad}", lambda: self._crash(cast)),
            ("pause", f"pause {bad}", lambda: self._pause(cast)),
            ("pull", f"pull {bad}; {newer} replaces it", lambda: self._pull(cast)),
            ("after_pull", f"ask for {bad} as every install", lambda: self._after_pull(cast)),
        ]

    def _act(self, name: str, title: str, play: Callable[[], str]) -> None:
        clock = self._stage.clock
        began = clock.monotonic()
        text, ok = "interrupted", False
        try:
            self._stage.screen.say(f"[{len(self.steps) + 1}/{self._count}] {title}")
            text, ok = play(), True
        except CliError as error:
            text = error.detail
            raise
        finally:
            seconds = clock.monotonic() - began
            self.steps.append(Step(name=name, text=text, seconds=seconds, ok=ok))
        self._stage.screen.say(f"      {text} ({seconds:.1f} s)")

    # --- the acts ------------------------------------------------------------------------

    def _find_cast(self) -> Cast:
        found: list[Cast] = []

        def find() -> str:
            cast = find_cast(self._folder, self._stage.settings.folder / "programs")
            found.append(cast)
            older, newer, bad, silent = cast.versions
            return (
                f"{cast.newer.name} {older} and {newer}; {bad} is {newer} damaged, and dies by"
                f" {cast.dies_by}; {silent} kills whoever starts it"
            )

        self._act("programs", "find two versions of a real program, and break two more", find)
        return found[0]

    def _make_workspace(self) -> str:
        self._stage.make_workspace()
        return f"in {self._stage.publisher.workspace}"

    def _start_server(self) -> str:
        self._stage.start_server()
        return f"agents: {self._stage.public_url}  people: {self._stage.admin_url}"

    def _invite_people(self) -> str:
        people = self._stage.invite_people()
        self._show_pages(people)
        return people.sentence()

    def _publish(self, program: Program, back_to: Program | None = None) -> str:
        stage, version = self._stage, str(program.version)
        way_back = ("--rollback-to", str(back_to.version)) if back_to else ()
        artifact = f"{stage.platform}={program.path}"
        stage.publisher.run("release", "publish", version, "--artifact", artifact, *way_back)
        release = self._release(program)
        stage.follow(release)
        return f"{release.artifact.tree_bytes / 1e6:.1f} MB, {release.artifact.manifest_sha256[:8]}"

    def _install(self, program: Program) -> str:
        stage = self._stage
        stage.make_installs()
        version = str(program.version)
        self._rollouts.start(program)
        last = ladder.RINGS[-1]
        stage.publisher.run(
            "rollout", "promote", version, "--ring", last, "--override", "--yes",
            "--reason", "the first release has nobody to protect",
        )  # fmt: skip
        for install in stage.installs:
            stage.start_agent(install)
            stage.glance()
            stage.clock.sleep(_START_EVERY_SECONDS)
        stage.wait(f"every install on {version}", _all_on(program.version))
        # Deltas are made from what installs say they run, and these have only just begun to.
        observer = stage.observer()
        stage.wait(
            f"a check-in from {version}", lambda _: observer.knows_installs_on(program.version)
        )
        return f"{len(stage.installs)} installs run {version}"

    def _open(self, program: Program, ring: str) -> str:
        stage = self._stage
        if ring == ladder.INTERNAL:
            self._rollouts.start(program)
        else:
            stage.publisher.run("rollout", "promote", str(program.version), "--yes")
        release = self._release(program)
        inside = self._inside(release, ring)

        def reached(looks: Looks) -> bool:
            return all(looks[number].version == program.version for number in inside)

        what = f"the {len(inside)} installs of ring {ring} on {program.version}"
        looks = stage.wait(what, reached)
        early = [
            install.name
            for install in stage.installs
            if install.number not in inside and _has(looks[install.number], program.version)
        ]
        if early:
            raise CliError("wrong_ring", f"{early[0]} got {program.version} before its ring opened")
        return f"{len(inside)} of {len(stage.installs)} installs run {program.version}"

    def _count_bytes(self, program: Program) -> str:
        looks = self._stage.look().values()
        self.saving = saving = saving_on(program.version, looks)
        if saving.installs:
            took = f"{saving.installs} of {len(looks)} installs took the delta"
            return f"{took}: {saving.sentence()}"
        # Of programs that a person brings, two versions may have little in common.
        if self._folder is not None and not self._release(program).deltas:
            return f"no delta to {program.version} was worth publishing"
        raise CliError("no_delta", f"no install took a delta to {program.version}")

    def _crash(self, cast: Cast) -> str:
        stage, bad = self._stage, cast.bad.version
        self._rollouts.start(cast.bad)

        def fell_back(looks: Looks) -> bool:
            return all(
                bad in looks[install.number].banned
                and looks[install.number].version == cast.newer.version
                for install in stage.installs
                if install.internal
            )

        stage.wait(f"ring {ladder.INTERNAL} back on its own", fell_back)
        seen = [start for start in self._rollouts.starts(bad) if start.signal]
        return (
            f"installs that tried it, fell back to {cast.newer.version} by themselves and barred"
            f" it: {stage.settings.internal}; deaths by signal that were seen: {len(seen)}"
        )

    def _pause(self, cast: Cast) -> str:
        reason = "--reason", "crashes at start"
        self._stage.publisher.run("rollout", "pause", str(cast.bad.version), *reason)
        return "offered to no further install"

    def _pull(self, cast: Cast) -> str:
        stage, version = self._stage, str(cast.bad.version)
        if not self._has_enough:
            observer, rollout = stage.observer(), self._rollouts.id_of(cast.bad.version)

            def reported(_: Looks) -> bool:
                return observer.reached(rollout, "offered") >= stage.settings.internal

            stage.wait("the reports of the offers there", reported)
        since = stage.clock.now()
        self._rollouts.pull(cast.bad, cast.newer)
        if self._has_enough:
            self._wait_for_late_reports(cast.bad.version, since)
        return f"{version} is withdrawn for good"

    def _wait_for_late_reports(self, version: Version, since: datetime) -> None:
        """Wait until offers made before *since* are reported, lest they be taken for later ones."""
        stage = self._stage
        observer, rollout = stage.observer(), self._rollouts.id_of(version)

        def told(looks: Looks) -> bool:
            started = len(self._rollouts.installs_that_started(version))
            return observer.reached(rollout, "offered") >= started and all(
                look.checked_at and look.checked_at > since for look in looks.values()
            )

        stage.wait("the reports of the offers before it", told)

    def _after_pull(self, cast: Cast) -> str:
        stage = self._stage
        observer, rollout = stage.observer(), self._rollouts.id_of(cast.bad.version)
        outsider = stage.outsider()
        before = observer.reached(rollout, "offered")
        started = {start.launch_id for start in self._rollouts.starts(cast.bad.version)}
        answers: list[str | None] = []
        since = stage.clock.now()

        def all_have_asked(looks: Looks) -> bool:
            answers.extend(outsider.check_in(self._request(each)) for each in stage.installs)
            return all(look.checked_at and look.checked_at > since for look in looks.values())

        stage.wait("a check-in of every agent", all_have_asked)
        stage.clock.sleep(_DIGEST_SECONDS)
        offered = answers.count(str(cast.bad.version))
        after = observer.reached(rollout, "offered")
        newly = {start.launch_id for start in self._rollouts.starts(cast.bad.version)} - started
        self.offered_after_pull = offered + max(0, after - before) + len(newly)
        if self.offered_after_pull:
            raise CliError("offered", f"{cast.bad.version} was offered after it was pulled")
        return (
            f"every agent has checked in since, and {len(answers)} more check-ins were answered,"
            f" none with {cast.bad.version}"
        )

    def _judge(self, cast: Cast) -> str:
        stage = self._stage
        stage.wait(f"every install on {cast.newer.version}", _all_on(cast.newer.version))
        signed = stage.signed(cast.versions)
        stage.stop_agents()
        self.verdict = found = self._verdict(cast, signed)
        if found.problems:
            raise CliError("bad_verdict", f"{len(found.problems)} problems: {found.problems[0]}")
        if found.installs != {str(cast.newer.version): len(stage.installs)}:
            raise CliError("bad_verdict", f"the installs are on {dict(found.installs)}")
        return f"all {len(stage.installs)} installs run {cast.newer.version}, as it was signed"

    # --- what acts share -----------------------------------------------------------------

    def _release(self, program: Program) -> Release:
        found = self._stage.signed([program.version])
        if program.version not in found:
            raise CliError("not_signed", f"{program.version} is not among the signed releases")
        return found[program.version]

    def _inside(self, release: Release, ring: str) -> set[int]:
        """Return the numbers of the installs in *ring* or one that opened before it."""
        stage = self._stage
        stage.follow(release)
        opened = ladder.RINGS[: ladder.RINGS.index(ring) + 1]
        return {
            install.number
            for install in stage.installs
            if stage.ring(install, install.look()) in opened
        }

    def _request(self, install: InstallFolder) -> dict[str, Any]:
        """Return what the install would ask if it had no memory of failures."""
        identity = install.identity()
        return {
            "install_id": identity["install_id"],
            "version": str(install.look().version),
            "channel": CHANNEL,
            "platform": self._stage.platform,
            "agent": "serinus-demo/1",
            "enrolments": [each["credential"] for each in identity.get("enrolments", ())],
        }

    def _verdict(self, cast: Cast, signed: Mapping[Version, Release]) -> Verdict:
        return verdict.judge(
            self._stage.installs,
            self._stage.witnessed,
            signed,
            {program.version: program.says for program in (cast.older, cast.newer)},
        )


def _all_on(version: Version) -> Callable[[Looks], bool]:
    return lambda looks: all(look.version == version for look in looks.values())


def _has(look: Look, version: Version) -> bool:
    return version in {look.version, look.pending}
