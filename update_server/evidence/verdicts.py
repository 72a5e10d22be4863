"""What the judge says of a rollout: one of five verdicts, or that it can say nothing.

Not here: how a verdict is reached (``judge``), and how it is put into words (``sentences``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Verdict(StrEnum):
    """What should be done with the rollout now."""

    CONTINUE = "continue"
    PROMOTE = "promote"
    PAUSE = "pause"
    PULL = "pull"
    SUSPEND = "suspend"


class NoVerdict(StrEnum):
    """What is missing for a verdict. Not having one is never a sign of health."""

    NO_CONTACTS = "no_contacts"
    NO_CONTROL = "no_control"
    ONE_ARM_EMPTY = "one_arm_empty"
    INTAKE_GAP = "intake_gap"
    TOO_FEW_INSTALLS = "too_few_installs"
    COHORT_NOT_MATURED = "cohort_not_matured"
    NOTHING_TO_COME = "nothing_to_come"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What records and sentences call things.

    ``previous`` is the version that controls run; ``replacement`` the one that a pull gives.
    Either is empty where there is not one.
    """

    app: str
    channel: str
    version: str
    rollout: str
    previous: str = ""
    replacement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something that the next step waits for: a stable word, and a sentence for people."""

    code: str
    sentence: str


_NO_RECORD: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict of one tick, None where there is none.

    ``cause`` is the metric or guard behind a pause or pull. ``hold`` names the platform that
    alone carries it, to be kept back instead of a pause where the verdict is ``continue``.
    ``carry_out`` is true once for each decision that the server may carry out by itself;
    ``record`` holds the decision's record, and is empty when nothing was decided anew.
    """

    verdict: Verdict | None = None
    no_verdict: NoVerdict | None = None
    cause: str | None = None
    hold: str | None = None
    carry_out: bool = False
    waits_for: tuple[Wait, ...] = ()
    record: Mapping[str, Any] = field(default_factory=lambda: _NO_RECORD)
