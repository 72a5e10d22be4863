"""What the use-cases need from the world, as Protocols that the adapters satisfy.

Stores take and return values and never commit: ``Database.transaction`` does, when its
block ends without an error. Getters never write. Errors that a port may raise stand here.
"""

from update_server.service.ports.access import (
    Access,
    ApiToken,
    Enrolment,
    EnrolmentCode,
    Group,
    Role,
)
from update_server.service.ports.apps import App, Apps
from update_server.service.ports.audit import Audit, AuditRecord
from update_server.service.ports.blobs import Blobs
from update_server.service.ports.database import Database, Stores
from update_server.service.ports.errors import (
    BusyError,
    ChangedError,
    DigestMismatchError,
    ExistsError,
    LeaseLostError,
    NotFoundError,
    OffsetMismatchError,
    PortError,
    ReadOnlyError,
    SignerRefusedError,
    UnavailableError,
)
from update_server.service.ports.releases import (
    Journal,
    JournalRow,
    Releases,
    StoredDocument,
    StoredRelease,
    StoredTarget,
)
from update_server.service.ports.rollouts import Rollouts, StoredHold
from update_server.service.ports.signer import SignedState, Signer
from update_server.service.ports.spool import Spool, SpoolReader
from update_server.service.ports.telemetry import (
    Checkpoint,
    Contact,
    Event,
    FunnelCell,
    Phase,
    SeenInstall,
    Telemetry,
)
from update_server.service.ports.world import Clock, Ids

__all__ = [
    "Access",
    "ApiToken",
    "App",
    "Apps",
    "Audit",
    "AuditRecord",
    "Blobs",
    "BusyError",
    "ChangedError",
    "Checkpoint",
    "Clock",
    "Contact",
    "Database",
    "DigestMismatchError",
    "Enrolment",
    "EnrolmentCode",
    "Event",
    "ExistsError",
    "FunnelCell",
    "Group",
    "Ids",
    "Journal",
    "JournalRow",
    "LeaseLostError",
    "NotFoundError",
    "OffsetMismatchError",
    "Phase",
    "PortError",
    "ReadOnlyError",
    "Releases",
    "Role",
    "Rollouts",
    "SeenInstall",
    "SignedState",
    "Signer",
    "SignerRefusedError",
    "Spool",
    "SpoolReader",
    "StoredDocument",
    "StoredHold",
    "StoredRelease",
    "StoredTarget",
    "Stores",
    "Telemetry",
    "UnavailableError",
]
