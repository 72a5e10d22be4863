"""Reports that were set aside: the rules that do so must treat both arms alike.

A rule sets a report aside without looking at the arm, so an install that it hits is a candidate
with the design share's probability, as an entrant is. Where that fails one arm's reports are
missing, and what is left is no fair comparison. One process for each rule, over the installs that
it hits for the first time, each at the share of the stage in which that was; over all stages, until
a person ends the suspension. Of one network only the first few of a stage count, in either arm.

It takes few: 10 to 12 candidates and next to no control, in steps up to 10 %.
"""

from __future__ import annotations

from math import log

from update_server.evidence.design import share_of
from update_server.evidence.facts import Rule, SetAside
from update_server.evidence.srm import LOG_SUSPEND, add_entrant, empty_srm, log_e_srm
from update_server.evidence.state import Aside, State
from update_server.evidence.tick import Tick

LOG_UNEQUAL = LOG_SUSPEND + log(len(Rule))
"""The log e-value at which to stop judging: all rules together ever get there 1 time in 1,000."""

_MARK = "aside:"


def count_aside(tick: Tick, fact: SetAside) -> None:
    """Count the install of *fact*, if this rule hits it for the first time while it takes part."""
    member = tick.counted(fact.install)
    mark = f"{_MARK}{fact.rule}"
    if member is None or member.internal or fact.at <= member.since or mark in member.had:
        return
    member.had.add(mark)
    tick.changed[fact.install] = member
    if not _is_believed(tick, mark, member.network):
        return
    share = share_of(tick.stage)
    found = tick.state.asides.setdefault(fact.rule, Aside(vector=empty_srm()))
    add_entrant(found.vector, candidate=member.candidate, share=share)
    found.installs.add(candidate=member.candidate)
    found.due += share


def _is_believed(tick: Tick, mark: str, network: bytes) -> bool:
    """Whether one more install of *network* counts: as many do in a stage as of its crashes.

    Else whoever owns a dozen candidates in one room could suspend, without a pause being in reach.
    """
    cap = tick.settings.network_cap
    if not cap or not network:
        return True
    events, name = tick.stage.network_events, f"{mark}:{network.hex()}"
    events[name] = events.get(name, 0) + 1
    return events[name] <= cap


def unequal_rule(state: State) -> Rule | None:
    """Return the rule that most surely hits one arm more than the other; None if none does."""
    found = {rule: log_e_srm(each.vector) for rule, each in state.asides.items()}
    rule = max(sorted(found), key=found.__getitem__, default=None)
    return None if rule is None or found[rule] < LOG_UNEQUAL else Rule(rule)
