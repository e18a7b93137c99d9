"""What a worker gives up before it reads its first file: the network, starting programs, and leaving core dumps.

Some formats name other files or URLs. The lists in :mod:`~videollm.video.opening` keep FFmpeg from following them; this
is the second wall, for libraries that take no such lists (decord) and for formats of the future. It is no wall
against code that has taken over the process: that may still read what its user may read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4  # without it, older kernels slow the process down against speculation
_ALLOW, _DENY = 0x7FFF0000, 0x00050000 | errno.EACCES
_LOAD, _IS, _IS_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of the kernel's packet filter
_CALL_NUMBER, _CALL_ABI = 0, 4  # where they stand in what the filter sees
_OTHER_CALLS = 0x40000000  # the x32 numbers, a second set of the same calls

# By machine: the ABI's mark, the call that installs a filter, and those refused: socket, execve, execveat,
# io_uring_setup (a ring makes sockets without calling).
_MACHINES = {
    "x86_64": (0xC000003E, 317, (41, 59, 322, 425)),
    "aarch64": (0xC00000B7, 277, (198, 221, 281, 425)),
}


def confine() -> bool:
    """Confines this process for good; needs no privileges, and must be called before it has a second thread.

    Returns:
        Whether the kernel now refuses the network and programs. It does so on Linux on x86-64 and ARM64 unless
        a container forbids filters; elsewhere only FFmpeg's own lists hold.
    """
    # A crash is reported by its signal; gigabytes of decoded pictures need not be written to a disk as well.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    machine = _MACHINES.get(os.uname().machine)
    if sys.platform != "linux" or machine is None or sys.maxsize < 1 << 32:
        return False
    abi, install, refused = machine
    program = _program(abi, refused)
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("@HP", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    # The kernel takes filters only from processes that cannot gain privileges any more.
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        return False
    installed = libc.syscall(
        ctypes.c_long(install),
        ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_ulong(_SECCOMP_FILTER_FLAG_SPEC_ALLOW),
        header,
    )
    return bool(installed == 0)


def _program(abi: int, refused: tuple[int, ...]) -> list[bytes]:
    """Returns the filter: calls of another ABI and those refused fail with "permission denied", all others pass."""
    tests = [_instruction(_IS, number, len(refused) + 1 - place) for place, number in enumerate(refused)]
    return [
        _instruction(_LOAD, _CALL_ABI),
        _instruction(_IS, abi, 0, len(refused) + 3),
        _instruction(_LOAD, _CALL_NUMBER),
        *tests,
        _instruction(_IS_AT_LEAST, _OTHER_CALLS, 1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _DENY),
    ]


def _instruction(code: int, value: int, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if_true, skip_if_false, value)
