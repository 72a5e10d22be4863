"""The real kernel32 and registry. Nothing here runs anywhere but on Windows."""

import sys

if sys.platform == "win32":  # pragma: no cover - needs Windows
    import ctypes
    import msvcrt
    import winreg
    from ctypes import wintypes

    _REPLACE_EXISTING = 1
    _WRITE_THROUGH = 8
    _FAIL_IMMEDIATELY = 1
    _EXCLUSIVE = 2
    _LOCKED_BYTE = 1 << 30  # locks are mandatory here: keep them off the content
    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMITS = 9

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    class _Limits(ctypes.Structure):
        _fields_ = (
            ("per_process_time", ctypes.c_int64),
            ("per_job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("minimum_set", ctypes.c_size_t),
            ("maximum_set", ctypes.c_size_t),
            ("active_processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
            ("counters", ctypes.c_uint64 * 6),
            ("memory", ctypes.c_size_t * 4),
        )

    class _PowerStatus(ctypes.Structure):
        _fields_ = (
            ("ac_line", ctypes.c_ubyte),
            ("battery_flag", ctypes.c_ubyte),
            ("battery_percent", ctypes.c_ubyte),
            ("system_flag", ctypes.c_ubyte),
            ("battery_life_seconds", wintypes.DWORD),
            ("battery_full_seconds", wintypes.DWORD),
        )

    class Kernel32:
        """The calls by ctypes."""

        def __init__(self) -> None:
            self._dll = ctypes.WinDLL("kernel32", use_last_error=True)
            self._dll.CreateJobObjectW.restype = wintypes.HANDLE

        def move(self, source: str, target: str, *, replace: bool) -> None:
            flags = _WRITE_THROUGH | (_REPLACE_EXISTING if replace else 0)
            if not self._dll.MoveFileExW(source, target, flags):
                raise ctypes.WinError(ctypes.get_last_error())

        def lock(self, descriptor: int, *, shared: bool) -> bool:
            handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
            flags = _FAIL_IMMEDIATELY | (0 if shared else _EXCLUSIVE)
            where = _Overlapped(offset=_LOCKED_BYTE)
            return bool(self._dll.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(where)))

        def contain(self, process: int) -> int:
            job = self._dll.CreateJobObjectW(None, None)
            limits = _Limits(flags=_KILL_ON_JOB_CLOSE)
            size = ctypes.sizeof(limits)
            if not (
                self._dll.SetInformationJobObject(
                    wintypes.HANDLE(job), _EXTENDED_LIMITS, ctypes.byref(limits), size
                )
                and self._dll.AssignProcessToJobObject(
                    wintypes.HANDLE(job), wintypes.HANDLE(process)
                )
            ):
                raise ctypes.WinError(ctypes.get_last_error())
            return int(job)

        def drive_type(self, root: str) -> int:
            return int(self._dll.GetDriveTypeW(root))

        def registry(self, key: str, name: str) -> str | int | None:
            try:
                with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:
                    value: str | int = winreg.QueryValueEx(opened, name)[0]
                    return value
            except OSError:
                return None

        def internet_setting(self, name: str) -> str | int | None:
            key = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"
            try:
                with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                    value: str | int = winreg.QueryValueEx(opened, name)[0]
                    return value
            except OSError:
                return None

        def power(self) -> tuple[int, int]:
            status = _PowerStatus()
            if not self._dll.GetSystemPowerStatus(ctypes.byref(status)):
                raise ctypes.WinError(ctypes.get_last_error())
            return status.ac_line, status.battery_percent
