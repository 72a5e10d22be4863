"""Durable queues of contacts and events, one per web process, read by the digest.

``writer`` is the web process's side, ``reader`` the digest's, ``records`` what lies between.
"""

from update_server.spool.reader import FileSpoolReader
from update_server.spool.writer import FileSpool, SpoolLostError

__all__ = ["FileSpool", "FileSpoolReader", "SpoolLostError"]
