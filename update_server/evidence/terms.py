"""Settings as JSON-able values, for the wire and for storing, and as a ladder file writes them.

What is not said is as published (``settings.STANDARD``). What is not known is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import fsum
from types import MappingProxyType
from typing import Any

from rollout.documents.policies import MAX_STEPS
from update_server.evidence.fisher import SHARES
from update_server.evidence.ratio import MARGINS
from update_server.evidence.reading import Table, TermsError
from update_server.evidence.settings import (
    DAY,
    STANDARD,
    Ceilings,
    Gate,
    May,
    Measured,
    Metric,
    Settings,
)
from update_server.evidence.windows import read_windows, render_window

MAX_MEASURED = 8
MAX_WRITTEN_GATES = 16
MAX_GATES = MAX_WRITTEN_GATES + MAX_STEPS  # each step may have one of its own
MAX_CHECK_INS = 10
TESTS = ("exceedance", "betting")

_YEAR = 365 * DAY
_MONTH = 30 * DAY
_SLACK = 1e-9
_SMALLEST_CEILING, _LARGEST_CEILING = 0.0001, 0.9
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

# What a setting is called in a ladder file, where that is not its field's name.
_WRITTEN = {"speed": "unsafe_speed", "pull_log_factor": "pull_factor"}

_NUMBERS: Mapping[str, tuple[float, float]] = {
    "alpha": (0.0001, 0.1),
    "alpha_noninferiority": (0.001, 0.2),
    "pull_log_factor": (1, 1e9),
    "pull_lower_ratio": (1, 1_024),
    "silence_gaps": (1, 20),
    "cohort_installs": (1, 10_000),
    "floor_rate_a_day": (0.000_001, 0.1),
    "baseline_silence": (0.001, 0.9),
    "no_verdict_alert_soaks": (0.1, 100),
    "speed": (1, 1_000_000),
}
_WHOLE: Mapping[str, tuple[int, int]] = {
    "minimum_installs": (1, 1_000_000),
    "minimum_check_ins": (0, MAX_CHECK_INS),
    "budget": (0, 100),
    "budget_up_to_bp": (0, 10_000),
    "network_cap": (0, 1_000_000),
    "pull_margin": (1, 1_000),
    "offers_per_minute": (0, 1_000_000),
}
_FLAGS = ("timeout_promotes", "history_pauses")
_BECAUSE = {"minimum_check_ins": "no more check-ins are remembered"}
_DURATIONS: Mapping[str, tuple[float, float]] = {
    "minimum_age": (0, _YEAR),
    "outcome": (1, _MONTH),
    "silence_minimum": (1, _MONTH),
    "cohort": (1, _MONTH),
    "timeout": (1, _YEAR),
}


def settings_to_json(settings: Settings) -> dict[str, Any]:
    """Return *settings* as values that JSON has, every one of them."""
    whole = {name: getattr(settings, name) for name in (*_NUMBERS, *_WHOLE, *_FLAGS)}
    durations = {f"{name}_seconds": getattr(settings, f"{name}_seconds") for name in _DURATIONS}
    return {
        **whole,
        **durations,
        "weights": {metric.value: settings.weights.get(metric, 0.0) for metric in Metric},
        "measured": [_fields(measured) for measured in settings.measured],
        "gates": [_fields(gate) for gate in settings.gates],
        "ceilings": _fields(settings.ceilings),
        "automatic": sorted(may.value for may in settings.automatic),
        "windows": [render_window(window) for window in settings.windows],
    }


def settings_from_json(value: Any) -> Settings:
    """Return the settings that ``settings_to_json`` made into *value*.

    What is missing is as published: a later version of this code may know more settings.

    Raises:
        TermsError: A value is wrong, or not known at all.
    """
    table = Table(value, written=False)
    settings = read_settings(table)
    table.end()
    return settings


def read_settings(table: Table) -> Settings:
    """Return the settings in *table*; whether it has others too is for the caller to look at.

    Raises:
        TermsError: A value is wrong.
    """
    simple: dict[str, Any] = {}
    for field, (low, high) in _NUMBERS.items():
        name = _WRITTEN.get(field, field) if table.written else field
        simple[field] = table.number(name, getattr(STANDARD, field), low, high)
    for name, (least, most) in _WHOLE.items():
        because = _BECAUSE.get(name, "")
        simple[name] = table.whole(name, getattr(STANDARD, name), least, most, because=because)
    for name, (low, high) in _DURATIONS.items():
        field = f"{name}_seconds"
        simple[field] = table.seconds(name, getattr(STANDARD, field), low, high)
    for name in _FLAGS:
        simple[name] = table.flag(name, default=getattr(STANDARD, name))
    weights, measured = _weights(table)
    return Settings(
        **simple,
        weights=weights,
        measured=measured,
        gates=_gates(table),
        ceilings=_ceilings(table.table("ceilings")),
        automatic=frozenset(table.words("automatic", May))
        if table.has("automatic")
        else STANDARD.automatic,
        windows=read_windows(table),
    )


def _weights(table: Table) -> tuple[Mapping[str, float], tuple[Measured, ...]]:
    """Return the metrics' weights, and the measured metrics with theirs: together at most 1."""
    metrics = table.table("metrics" if table.written else "weights")
    weights: dict[str, float] = {m: metrics.number(m, STANDARD.weights[m], 0, 1) for m in Metric}
    metrics.end()
    measured = STANDARD.measured
    if table.has("measured"):
        measured = tuple(_measured(each) for each in table.tables("measured", MAX_MEASURED))
    names = [each.name for each in measured]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise TermsError((*table.path, "measured", index, "name"), f"{name} stands there twice")
    total = fsum([*weights.values(), *(each.weight for each in measured)])
    if total > 1 + _SLACK:
        told = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
        told += "".join(f", {each.name} {each.weight:g}" for each in measured)
        blamed = metrics.path if table.has(str(metrics.path[-1])) else (*table.path, "measured")
        raise TermsError(
            blamed, f"the weights sum to {total:g}, over 1: {told}; lower some, 0 is off"
        )
    return MappingProxyType(weights), measured


def _measured(table: Table) -> Measured:
    name = table.text("name")
    if _NAME.fullmatch(name) is None:
        raise table.refuse("name", "must be lower-case letters, digits and _, 1 to 64")
    measured = Measured(
        name=name,
        weight=table.number("weight", None, 0, 1),
        higher_is_worse=table.flag("higher_is_worse", default=True),
        test=table.choice("test", TESTS[0], TESTS),
        advisory=table.flag("advisory", default=False),
    )
    table.end()
    return measured


def _gates(table: Table) -> tuple[Gate, ...]:
    if not table.has("gates"):
        return STANDARD.gates
    gates: list[Gate] = []
    for each in table.tables("gates", MAX_WRITTEN_GATES if table.written else MAX_GATES):
        up_to_bp = each.whole("up_to_bp", None, 0, 10_000)
        usual = STANDARD.gate_for(up_to_bp)
        gate = Gate(
            up_to_bp=up_to_bp,
            margin=each.one_of("margin", usual.margin, MARGINS),
            silence=each.one_of("silence", usual.silence, SHARES),
        )
        each.end()
        if gates and up_to_bp <= gates[-1].up_to_bp:
            raise each.refuse("up_to_bp", "must be above that of the gate before")
        gates.append(gate)
    if not gates or gates[-1].up_to_bp != STANDARD.gates[-1].up_to_bp:
        raise table.refuse(
            "gates", "the last one must have up_to_bp = 10000, or none is the last's"
        )
    return tuple(gates)


def _ceilings(table: Table) -> Ceilings:
    usual = STANDARD.ceilings
    shares = {
        name: table.number(name, getattr(usual, name), _SMALLEST_CEILING, _LARGEST_CEILING)
        for name in Ceilings.__dataclass_fields__
        if name != "failed_starts"
    }
    failed_starts = table.whole("failed_starts", usual.failed_starts, 1, 1_000)
    table.end()
    return Ceilings(**shares, failed_starts=failed_starts)


def _fields(value: Measured | Gate | Ceilings) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
