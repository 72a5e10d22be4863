"""Sightings of crash signatures in memory, each for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from tests.fakes.state import State
from update_server.service.ports.signatures import LOOK_BACK, MAX_NEW_A_DAY, OTHER, Run, Sighting


class FakeSignatures:
    """See signature_ports.Signatures."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(self, sightings: Sequence[Sighting]) -> Sequence[str]:
        self._state.write()
        names = [one.comparable for one in sightings]
        for place, one in sorted(enumerate(sightings), key=lambda numbered: numbered[1].at):
            comparable = one.comparable
            begins = not self._runs(one, comparable)
            if begins and self._begun(one) >= MAX_NEW_A_DAY:
                comparable = OTHER
            names[place] = comparable
            self._state.sightings[len(self._state.sightings)] = (comparable, one)
        return names

    def _of_version(self, one: Sighting) -> list[tuple[str, Sighting]]:
        place = (one.app, one.channel, one.version)
        return [
            (comparable, other)
            for comparable, other in self._state.sightings.values()
            if (other.app, other.channel, other.version) == place
        ]

    def _runs(self, one: Sighting, comparable: str) -> bool:
        """Return whether a run of *comparable* is going on."""
        return any(
            name == comparable and one.at - other.at < LOOK_BACK
            for name, other in self._of_version(one)
        )

    def _begun(self, one: Sighting) -> int:
        """Return how many runs began on the version on that day."""
        begun, last = 0, dict[str, datetime]()
        for name, other in self._of_version(one):
            begins = name not in last or other.at - last[name] >= LOOK_BACK
            begun += begins and other.at.date() == one.at.date()
            last[name] = other.at
        return begun

    def known(
        self, app: str, channel: str, *, versions: Sequence[str], published_at: datetime
    ) -> frozenset[str]:
        since = published_at - LOOK_BACK
        return frozenset(
            comparable
            for comparable, one in self._state.sightings.values()
            if (one.app, one.channel) == (app, channel)
            and one.at < published_at
            and (one.version in versions or one.at >= since)
        )

    def runs(
        self, app: str, channels: Collection[str], comparables: Collection[str]
    ) -> Sequence[Run]:
        found: list[Run] = []
        last: dict[tuple[str, str, str], Run] = {}
        for comparable, one in sorted(
            self._state.sightings.values(), key=lambda sighting: sighting[1].at
        ):
            if one.app != app or one.channel not in channels or comparable not in comparables:
                continue
            place = (one.channel, one.version, comparable)
            run = last.get(place)
            if run is not None and one.at - run.last_at < LOOK_BACK:
                found.remove(run)
                run = replace(run, last_at=one.at)
            else:
                run = Run(
                    channel=one.channel,
                    version=one.version,
                    comparable=comparable,
                    first_at=one.at,
                    last_at=one.at,
                )
            last[place] = run
            found.append(run)
        return sorted(found, key=lambda one: (one.channel, one.version, one.first_at))

    def titles(self, app: str, channel: str, comparables: Iterable[str]) -> Mapping[str, str]:
        wanted = set(comparables)
        found: dict[str, str] = {}
        for comparable, one in self._state.sightings.values():
            if (one.app, one.channel) == (app, channel) and comparable in wanted:
                found.setdefault(comparable, OTHER if comparable == OTHER else one.title)
        return found

    def expire(self, *, seen_before: datetime) -> None:
        self._state.write()
        kept = {
            number: (comparable, one)
            for number, (comparable, one) in self._state.sightings.items()
            if one.at >= seen_before or self._later(comparable, one, seen_before)
        }
        self._state.sightings = dict(enumerate(kept.values()))

    def _later(self, comparable: str, one: Sighting, seen_before: datetime) -> bool:
        """Return whether the run of a sighting goes on beyond an instant."""
        times = sorted(
            other.at
            for name, other in self._of_version(one)
            if name == comparable and other.at >= one.at
        )
        last = one.at
        for at in times:
            if at - last >= LOOK_BACK:
                break
            last = at
        return last >= seen_before
