"""Bytes by key: the blob stores of ``service.ports``."""

from update_server.blobs.local import LocalBlobs

__all__ = ["LocalBlobs"]
