"""Durable queues of contacts and events, one per web process, read by the digest.

``writer`` is the web process's side, ``reader`` the digest's, ``records`` what lies between;
``dump_files`` keeps what is too large for a record.
"""

from update_server.spool.dump_files import DumpFolder
from update_server.spool.reader import FileSpoolReader
from update_server.spool.writer import FileSpool, SpoolLostError

__all__ = ["DumpFolder", "FileSpool", "FileSpoolReader", "SpoolLostError"]
