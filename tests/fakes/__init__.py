"""In-memory twins of the ports. Each passes the same contract suite as the real adapters."""

from tests.fakes.blobs import FakeBlobs
from tests.fakes.clock import FakeClock, FakeIds
from tests.fakes.database import FakeDatabase
from tests.fakes.dump_files import FakeDumpFiles
from tests.fakes.spool import FakeSpool, FakeSpoolReader

__all__ = [
    "FakeBlobs",
    "FakeClock",
    "FakeDatabase",
    "FakeDumpFiles",
    "FakeIds",
    "FakeSpool",
    "FakeSpoolReader",
]
