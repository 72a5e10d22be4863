"""What the machine asks of the policy, and the events that answer."""

from __future__ import annotations

from collections.abc import Callable

from client_agent.config import Apply
from client_agent.consent.permission import Permission
from client_agent.consent.policy import Defer, UpdateInfo, Verdict
from client_agent.errors import AgentError, Code, PolicyError
from client_agent.machine import effects as do
from client_agent.machine import events as on
from client_agent.machine.values import Edition, Fault
from client_agent.running.parts import Parts
from client_agent.running.telling import Telling
from client_agent.values import State
from rollout.model import Action, Assignment, Reason, Release


class Asking:
    """Asks for one agent. *failed* notes an error and returns it as a fault."""

    def __init__(
        self, parts: Parts, telling: Telling, failed: Callable[[AgentError], Fault]
    ) -> None:
        self._parts = parts
        self._failed = failed
        self._permission = Permission(parts.policy, parts.postponed, parts.clock, telling.once)
        self.apply = parts.settings.apply
        self.is_forced = False
        """Whether a person insists: then nobody is asked."""

        self.deferred: Defer | None = None
        """Why the last thing that was asked for has to wait, if it has to."""

    def download(self, effect: do.AskDownload) -> on.Event:
        """Ask whether the plan's bytes may be fetched now."""
        goal, plan = effect.goal, effect.plan
        error = unreadable(goal.release, self._parts.installation.state.read())
        if error is not None:
            return on.DownloadFailed(fault=self._failed(error))
        info = UpdateInfo(
            version=str(goal.version),
            action=goal.action,
            urgent=goal.reason is Reason.MUST_REACH,
            download_bytes=self._parts.downloader.missing_bytes(plan.target_of(goal)),
            delta=plan.delta is not None,
            waits_since=self._parts.postponed.of(goal.edition).since,
        )
        return self._answer(goal.edition, info, self._permission.to_download)

    def apply_now(self, edition: Edition, assignment: Assignment | None) -> on.Event:
        """Ask whether the next start may have *edition*, which *assignment* gave."""
        if self.apply is Apply.PRE_DOWNLOAD:
            self.deferred = None
            return on.Deferred()
        given = assignment if assignment and assignment.version == edition.version else None
        info = UpdateInfo(
            version=str(edition.version),
            action=given.action if given else Action.UPDATE,
            urgent=given is not None and given.reason is Reason.MUST_REACH,
            waits_since=self._parts.postponed.of(edition).since,
        )
        return self._answer(edition, info, self._permission.to_apply)

    def _answer(
        self, edition: Edition, info: UpdateInfo, ask: Callable[[Edition, UpdateInfo], Verdict]
    ) -> on.Event:
        verdict = None if self.is_forced else ask(edition, info)
        self.deferred = verdict if isinstance(verdict, Defer) else None
        return on.Allowed() if self.deferred is None else on.Deferred(until=self.deferred.until)


def unreadable(release: Release, state: State) -> AgentError | None:
    """Return what is wrong when *release* could not read the app's data as it is now.

    A newer release that says nothing of schemas is taken to read what older ones wrote; an
    older one is not.
    """
    data, reads = state.data_schema, release.reads_schema_max
    if data is None or (reads is not None and reads >= data):
        return None
    is_newer = state.current is None or release.version >= state.current.version
    if reads is None and is_newer:
        return None
    detail = f"{release.version} reads schema {reads}, the data has {data}"
    return PolicyError(Code.DATA_SCHEMA, detail)
