"""Looks at some installs of a rollout: what each told, and what it told since."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    false,
    func,
    not_,
    or_,
    select,
)

from rollout.model import Arm, Rollout, RolloutState
from rollout.versions import render_version
from update_server.service.ports import FunnelCell, Phase
from update_server.service.ports.arrivals import LevelCount
from update_server.service.ports.pulls import PullCounts
from update_server.service.ports.recounts import Slice
from update_server.store.folding import DOWNLOADED, INSTALLED, LIFE, OFFERED, STEP_BITS
from update_server.store.tables import contact_counts, contacts, progress

_p, _c = progress.c, contacts.c
_same_install = and_(_c.app == _p.app, _c.install_key == _p.install_key)


def slice_of(
    connection: Connection,
    rollout: Rollout,
    silent_before: datetime,
    after: bytes | None,
    most: int,
) -> Slice:
    """Return what installs are whose progress is known."""
    here, last = _range(connection, _p.install_key, _p.rollout == rollout.id, after, most)
    last_at = func.coalesce(_c.at, _p.last_at)
    counted = {
        "installs": func.count(),
        "silent": _count(and_(has_step(LIFE), last_at < silent_before)),
        "running": _count(and_(_runs(rollout), _c.channel == rollout.channel)),
        **(_pull_counts(rollout) if rollout.state is RolloutState.PULLED else {}),
    }
    by = (_p.ring, _p.arm, _c.telemetry)
    rows = connection.execute(
        select(*by, *(count.label(name) for name, count in counted.items()))
        .select_from(progress.outerjoin(contacts, _same_install))
        .where(here)
        .group_by(*by)
    ).all()
    silent, levels = Counter[tuple[str, Arm]](), Counter[tuple[str, str]]()
    pull = PullCounts()
    for row in rows:
        arm = Arm(row.arm) if row.arm is not None else Arm.CANDIDATE
        if arm is not Arm.CONTROL:
            silent[row.ring or "", arm] += row.silent
        if row.arm is not None and row.telemetry is not None:
            levels[row.arm, row.telemetry] += row.installs
        if rollout.state is RolloutState.PULLED:
            pull += PullCounts(**{name: getattr(row, name) for name in _pull_counts(rollout)})
    return Slice(
        last=last,
        silent=tuple(
            FunnelCell(ring=ring, arm=arm, step="silent", installs=installs)
            for (ring, arm), installs in sorted(silent.items())
            if installs
        ),
        levels=tuple(
            LevelCount(arm=arm, level=level, installs=installs)
            for (arm, level), installs in sorted(levels.items())
        ),
        pull=pull,
        running=sum(row.running for row in rows),
    )


def slice_beside(connection: Connection, rollout: Rollout, after: bytes | None, most: int) -> Slice:
    """Return what the app's installs are that run the release, and of which no more is known."""
    here, last = _range(connection, _c.install_key, _c.app == rollout.app, after, most)
    followed = exists().where(_p.rollout == rollout.id, _p.install_key == _c.install_key)
    found = connection.execute(
        select(_count(_c.at >= rollout.changed_at).label("heard"), func.count().label("all")).where(
            here, _c.channel == rollout.channel, _runs(rollout), not_(followed)
        )
    ).one()
    pull = PullCounts(
        offered=found.all,
        downloaded=found.all,
        installed=found.all,
        still_on=found.heard,
        unreachable=found.all - found.heard,
    )
    return Slice(last=last, pull=pull, running=found.all)


def running(connection: Connection, rollout: Rollout) -> int:
    """Return how many installs were last seen on the release of a rollout."""
    c = contact_counts.c
    found = select(func.coalesce(func.sum(c.installs), 0)).where(
        c.app == rollout.app,
        c.channel == rollout.channel,
        c.version == render_version(rollout.version),
    )
    return int(connection.execute(found).scalar_one())


def has_step(bits: int) -> ColumnElement[bool]:
    """Return whether an install reached one of the steps in *bits*."""
    return _p.steps.op("&")(bits) != 0


def _range(
    connection: Connection,
    key: ColumnElement[bytes],
    mine: ColumnElement[bool],
    after: bytes | None,
    most: int,
) -> tuple[ColumnElement[bool], bytes | None]:
    """Return what finds the next installs by the order of their keys, and the last key if any."""
    rest = mine if after is None else and_(mine, key > after)
    end = select(key).where(rest).order_by(key).offset(most - 1).limit(2)
    match connection.execute(end).scalars().all():
        case [last, _]:
            return and_(rest, key <= last), bytes(last)
    return rest, None


def _pull_counts(pulled: Rollout) -> dict[str, ColumnElement[int]]:
    """Return what counts the installs of a rollout that was pulled at its last change."""
    runs_it = _runs(pulled)
    installed = or_(has_step(INSTALLED), runs_it)
    # What it told since its last check-in is about this release: it was on it then.
    seen_elsewhere = func.coalesce(_c.at >= _p.last_at, false())
    went_back = or_(seen_elsewhere, has_step(STEP_BITS[Phase.ROLLED_BACK]))
    replaced = and_(installed, not_(runs_it), went_back)
    on_it = and_(installed, or_(runs_it, not_(went_back)))
    heard = or_(func.coalesce(_c.at >= pulled.changed_at, false()), _p.last_at >= pulled.changed_at)
    counted = {
        "offered": or_(has_step(OFFERED), runs_it),
        "downloaded": or_(has_step(DOWNLOADED), runs_it),
        "installed": installed,
        "replaced": replaced,
        "rolled_back": and_(replaced, _runs_replacement(pulled)),
        "still_on": and_(on_it, heard),
        "unreachable": and_(on_it, not_(heard)),
    }
    return {name: _count(met) for name, met in counted.items()}


def _runs(rollout: Rollout) -> ColumnElement[bool]:
    return func.coalesce(_c.version == render_version(rollout.version), false())


def _runs_replacement(pulled: Rollout) -> ColumnElement[bool]:
    if pulled.replacement is None:
        return false()
    return func.coalesce(_c.version == render_version(pulled.replacement), false())


def _count(met: Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((met, 1), else_=0)), 0)
