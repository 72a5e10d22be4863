"""Valid values of what is kept of crashes. A test shows only the field that matters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.store.values import NOW, ROLLOUT
from update_server.service.ports.crashes import Cell, CrashCount, CrashGroup, Reported, Sample

CANDIDATE = Cell(rollout=ROLLOUT, ring="1%", arm="candidate")
CONTROL = Cell(rollout=ROLLOUT, ring="1%", arm="control")


def a_report(install: str = "1", **changes: Any) -> Reported:
    report = Reported(
        app="demo",
        version="2.1.0",
        signature="aa",
        report_key=install.encode(),
        at=NOW,
        cell=CANDIDATE,
        channel="stable",
        platform="linux-x86_64",
        os="Linux 6.1",
    )
    return replace(report, **changes)


def a_group(signature: str = "aa", **changes: Any) -> CrashGroup:
    group = CrashGroup(
        app="demo",
        signature=signature,
        key=signature,
        family="ff",
        title="ValueError in notes:save",
        parts=("ValueError", "notes:save"),
        kind="python",
        first_at=NOW,
        last_at=NOW,
    )
    return replace(group, **changes)


def a_sample(sample_id: str = "e1", **changes: Any) -> Sample:
    sample = Sample(
        app="demo",
        version="2.1.0",
        signature="aa",
        report_key=b"1",
        id=sample_id,
        at=NOW,
        body={"exception": {"type": "ValueError"}},
    )
    return replace(sample, **changes)


def a_count(**changes: Any) -> CrashCount:
    count = CrashCount(
        signature="aa",
        version="2.1.0",
        arm="candidate",
        handled=False,
        installs=1,
        reports=1,
        first_at=NOW,
        last_at=NOW,
    )
    return replace(count, **changes)
