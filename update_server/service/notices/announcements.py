"""What people are told of rollouts: the words of each case.

The tail after the sentence says what was done, what remains, and what comes next. Every number of
installs stands by itself or with what it is a part of; no share does.

Not here: when people are told (``service.notices.news``), and to whom
(``service.notices.deliver``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from update_server.evidence.settings import Metric
from update_server.evidence.words import count, e_value, noun, ring, span
from update_server.service.notices.message_text import (
    MOST_OF_NAME,
    MOST_OF_REASON,
    Part,
    Said,
    compose,
    head,
    minute,
)
from update_server.service.notices.plain_text import plain
from update_server.service.notices.scene import NewSignature, Scene
from update_server.service.notices.subjects import counted, subject

_TITLE = 80
_MOST_OF_PART: Final = 2  # a signature is named where it makes up at least a half
_SILENT: Final = frozenset({Metric.SILENCE, Metric.LATER_SILENCE})


def in_words(say: Callable[[], Said], scene: Scene, word: str, sentence: str) -> Said:
    """Return what *say* says; where that fails, at least what happened.

    What cannot be put into words, a record of an older version say, must keep nobody from pausing.
    """
    try:
        return say()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return _said(word.upper(), scene, sentence, [Part(f"See {scene.more}")])


# --- stopped ------------------------------------------------------------------------------


def paused(scene: Scene, record: Mapping[str, Any] | None, sentence: str = "") -> Said:
    """Return what is said of a pause: of the judge's with its *record* and *sentence*."""
    told = sentence or _by_person("Paused", scene)
    parts = [*_of_evidence(scene, record)]
    is_silent = record is not None and record["cause_metric"] in _SILENT
    still = "" if is_silent else f"; {_still_run(scene)}"
    parts.append(Part(f"No further install is offered {scene.version}{still}."))
    people = "a person" if scene.people == 1 else f"{count(scene.people)} people"
    parts.append(Part(f"It stays paused until it is pulled, or resumed by {people}: {scene.more}"))
    return _said("PAUSED", scene, told, parts, counted(record) if record else "")


def pulled(scene: Scene, record: Mapping[str, Any] | None, sentence: str = "") -> Said:
    """Return what is said of a pull: where installs are sent, and who may not hear of it."""
    told = sentence or _by_person("Pulled", scene)
    if scene.back_to is None:
        stay = f"There is no version to give them: {_still_run(scene)}, until a newer one is"
        return _said("PULLED", scene, told, [Part(f"{stay} started: {scene.more}")])
    are = "is" if scene.running == 1 else "are"
    unheard = ""
    if scene.unheard:
        have = "has" if scene.unheard == 1 else "have"
        unheard = f"; {count(scene.unheard)} of them {have} not checked in for a day"
    given = (
        f"{_installs(scene.running)} {are} being given {scene.back_to} at "
        f"{'its' if scene.running == 1 else 'their'} next check-in{unheard}: {scene.more}"
    )
    return _said("PULLED", scene, told, [Part(given)], counted(record) if record else "")


def held(scene: Scene, record: Mapping[str, Any], platform: str, sentence: str) -> Said:
    """Return what is said of the one platform that the judge keeps back."""
    told = plain(platform, MOST_OF_NAME)
    parts = [
        Part(f"No further install on {told} is offered {scene.version}; others still are."),
        Part("It is held back until a person ends that: serinus hold list"),
    ]
    return _said("HELD", scene, sentence, parts, counted(record))


def advised(scene: Scene, record: Mapping[str, Any], why: str) -> Said:
    """Return what is said of a pause or a pull that was found, and not made."""
    verb = str(record["verdict"])
    parts = [
        Part(f"Nothing was done: {plain(why, MOST_OF_REASON)}."),
        Part(
            f"{scene.version} is still offered, and {_still_run(scene)}: "
            f"serinus rollout {verb} {scene.version}"
        ),
    ]
    return _said(f"{verb.upper()} ADVISED", scene, str(record["sentence"]), parts, counted(record))


def suspended(scene: Scene, record: Mapping[str, Any]) -> Said:
    """Return what is said when the judge trusts no number."""
    frozen = f"Exposure stays at ring {ring(scene.ring)}."
    if record["suspended_by"] == "telemetry_lag":
        ends = f"No automatic promote or pull until it has caught up: {scene.more}"
    else:
        ends = (
            "No automatic promote or pull until a person ends this: "
            f"serinus rollout resume {scene.version}"
        )
    return _said("SUSPENDED", scene, str(record["sentence"]), [Part(frozen), Part(ends)])


# --- waiting ------------------------------------------------------------------------------


def no_verdict(scene: Scene, record: Mapping[str, Any], seconds: float) -> Said:
    """Return what is said when for so long nothing could be said of a release."""
    installs = _installs(int(record["exposed_installs"]))
    parts = [
        Part(f"So it has been for {span(seconds)}.", lesser=True),
        Part(
            f"It stays in ring {ring(scene.ring)} ({installs}). Nothing is known to be wrong, and "
            f"nothing is known to be right: {scene.more}"
        ),
    ]
    return _said("NO VERDICT", scene, str(record["sentence"]), parts, installs)


def silent(scene: Scene, record: Mapping[str, Any]) -> Said:
    """Return what is said when nothing is received from anyone."""
    parts = [
        Part("Either no install reaches this server, or it takes in nothing of what they send."),
        Part(f"Until it does nothing is promoted or pulled by it, and {_still_run(scene)}."),
        Part("Look at the server first: serinus doctor"),
    ]
    return _said("TELEMETRY SILENT", scene, str(record["sentence"]), parts)


def new_signature(scene: Scene, found: NewSignature) -> Said:
    """Return what is said of a crash that no version before had, and that does not pause it yet."""
    title = plain(scene.title or found.id, _TITLE)
    told = (
        f'New crash "{title}" in {scene.version} at ring {ring(scene.ring)}: '
        f"{count(found.candidate)} of {_installs(found.candidates)} offered it had it, against "
        f"{count(found.control)} of {count(found.controls)} held back."
    )
    below = (
        f"That does not pause it (e-value {e_value(found.log_e)}; crashes of this kind pause at "
        f"{e_value(found.needed)}): serinus rollout decisions {scene.version}"
    )
    counts = (
        f"{count(found.candidate)}/{count(found.candidates)} "
        f"vs {count(found.control)}/{count(found.controls)}"
    )
    return _said("NEW CRASH", scene, told, [Part(below)], counts)


# --- going on -----------------------------------------------------------------------------


def started(scene: Scene) -> Said:
    """Return what is said of a rollout that begins."""
    return _said("STARTED", scene, _by_person("Started", scene), _reached(scene))


def promoted(scene: Scene, sentence: str = "") -> Said:
    """Return what is said of a step that opens, by the judge's *sentence* or a person."""
    told = sentence or _by_person("Promoted", scene, "to")
    return _said("PROMOTED", scene, told, _reached(scene))


def resumed(scene: Scene) -> Said:
    """Return what is said of a rollout that goes on."""
    return _said("RESUMED", scene, _by_person("Resumed", scene), _reached(scene))


def completed(scene: Scene) -> Said:
    """Return what is said of a release that everybody is offered for good."""
    parts = [
        Part(f"{count(scene.running)} of {_installs(scene.of)} on {scene.channel} run it."),
        Part(f"From now on it is what installs of a bad release are given: {scene.more}"),
    ]
    return _said("COMPLETED", scene, _by_person("Completed", scene), parts)


def superseded(scene: Scene) -> Said:
    """Return what is said of a rollout that makes way for another one."""
    still = f"No further install is offered {scene.version}; {_still_run(scene)}."
    return _said("SUPERSEDED", scene, _by_person("Superseded", scene), [Part(still)])


def taken_back(scene: Scene, state: str) -> Said:
    """Return what is said of a wish that the signer refused, or nobody can approve any more."""
    because = f": {plain(scene.reason, MOST_OF_REASON)}" if scene.reason else ""
    told = _ended(f"Took back what was asked for {scene.version}{because}")
    stands = f"It is {state} at ring {ring(scene.ring)}: {scene.more}"
    return _said("TAKEN BACK", scene, told, [Part(stands)])


# --- words --------------------------------------------------------------------------------


def _said(word: str, scene: Scene, sentence: str, tail: Sequence[Part], counts: str = "") -> Said:
    beginning = head(scene.app, scene.channel, scene.at, scene.by)
    return Said(
        subject=subject(word, scene.app, scene.where, counts),
        text=compose(beginning, sentence, tail),
        sentence=sentence,
    )


def _of_evidence(scene: Scene, record: Mapping[str, Any] | None) -> list[Part]:
    """Return what else is to be known of the evidence behind a pause."""
    if record is None or record["jackknife"] is None:
        return []
    parts = []
    cause, bad = record["cause_metric"], record["candidate"]["events"]
    if cause in _SILENT:
        others = max(0, scene.running - bad)
        run = "runs" if others == 1 else "run"
        parts.append(Part("They may not start any more, and a pull may not reach them."))
        parts.append(Part(f"{count(others)} {noun(others, 'other')} still {run} {scene.version}."))
    top = record["top_signatures"][0] if record["top_signatures"] else None
    if cause == Metric.CRASH and top and top["candidate"] * _MOST_OF_PART >= bad:
        title = plain(scene.title or top["id"], _TITLE)
        are = "is" if top["candidate"] == 1 else "are"
        parts.append(
            Part(
                f'{count(top["candidate"])} of the {count(bad)} {are} the new crash "{title}".',
                lesser=True,
            )
        )
    if _hangs_on_one_network(record):
        left = record["jackknife"]["log_e_without_one_network"]
        value = "0" if left is None else e_value(left)
        parts.append(
            Part(
                f"Without the reports of one network it would not stand (e-value {value}): "
                "possibly forged; a pull needs a person."
            )
        )
    return parts


def _hangs_on_one_network(record: Mapping[str, Any]) -> bool:
    left = record["jackknife"]["log_e_without_one_network"]
    needed = record["log_e_by_metric"][record["cause_metric"]]["needed"]
    return left is None or left < needed


def _reached(scene: Scene) -> list[Part]:
    reach = scene.reach
    if reach is None:
        return [Part(f"See {scene.more}")]
    may = f"{count(reach.installs)} of {_installs(reach.of)} may now get it"
    if reach.after_ring is None:
        return [Part(f"{may}; this is the last step of its ladder: {scene.more}")]
    next_ring = f"next ring {ring(reach.after_ring)}"
    if reach.not_before is not None:
        next_ring += f", not before {minute(reach.not_before)}"
    return [Part(f"{may}; {next_ring}.")]


def _by_person(did: str, scene: Scene, at: str = "at") -> str:
    because = f": {plain(scene.reason, MOST_OF_REASON)}" if scene.reason.strip() else ""
    return _ended(f"{did} {scene.version} {at} ring {ring(scene.ring)}{because}")


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!", "…")) else f"{sentence}."


def _still_run(scene: Scene) -> str:
    return f"{_installs(scene.running)} still {'runs' if scene.running == 1 else 'run'} it"


def _installs(number: int) -> str:
    return f"{count(number)} {noun(number, 'install')}"
