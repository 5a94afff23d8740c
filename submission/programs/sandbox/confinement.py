"""Confinement of a process before it runs an untrusted program; none of it can be undone.

Each layer is tried on its own, since containers permit different ones; `confine` returns those that are in force:

- `own user`: not root. A root process becomes nobody (65534), without groups.
- `empty root`: the file tree is one empty folder (chroot: for root, or in a user namespace of its own).
- `no network`: its own network and System V namespaces, without an active interface (`unshare`).
- `limits`: address space, CPU seconds, no bytes into files, no core dump, no further process or thread of an
  unprivileged user, and **no new file descriptor**: RLIMIT_NOFILE 0 alone stops open, socket and memfd_create.
- `no files`: Landlock without any rule: no path can be opened, made, removed or executed (Linux 5.13 and later).
- `system calls`: a seccomp filter (x86-64) permits those for memory, clocks, locks, exit, and for reading and writing
  open descriptors. All others fail with EPERM: fork, exec, open, socket, kill.
- `audit`: Python's audit hook refuses the corresponding events, and its error says what the program tried. On other
  systems it is the main layer; code that rewrites the interpreter's memory gets around it, but not around the others.

Where fewer than LEAST_FILE_LAYERS of FILE_LAYERS hold, `sandbox` refuses to run a program unless it is told otherwise.

Not covered: flaws of the kernel, side channels such as timing, and what is in the process's memory already. All layers
need Linux; elsewhere only `limits` and `audit` are in force.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

NOBODY = 65534
MEGABYTE = 1 << 20
ALL_LAYERS = ("own user", "empty root", "no network", "limits", "no files", "system calls", "audit")
"""The layers in force on a machine that permits all of them."""

FILE_LAYERS = ("empty root", "no files", "system calls")
"""The layers of the kernel that each keep a program from the files of the machine."""
LEAST_FILE_LAYERS = 2
"""How many of these must hold, so that one flaw does not open everything."""

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
"""From Linux's headers: prctl.h, sched.h, and system calls with the same number on all architectures."""

SYSTEM_CALLS = {
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35,
    "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "getrandom": 318,
}  # fmt: skip
"""The system calls that a confined process on x86-64 may make, with their numbers."""


def leave_network() -> bool:
    """Enter new network namespaces, once, before any confined process is forked; returns whether it was permitted."""
    if not sys.platform.startswith("linux"):
        return False
    namespaces = CLONE_NEWNET | CLONE_NEWIPC
    # A process without privileges needs a user namespace of its own for this. Not so root without the privilege: in a
    # user namespace it would take itself for nobody, and still be root outside of it.
    return _permitted(lambda: _call("unshare", namespaces if os.getuid() == 0 else namespaces | CLONE_NEWUSER))


def become_subreaper() -> None:
    """Become the parent of orphaned descendants (PR_SET_CHILD_SUBREAPER; Linux only)."""
    if sys.platform.startswith("linux"):
        _permitted(lambda: _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def confine(megabytes: int, seconds: int, no_network: bool) -> tuple[str, ...]:
    """Give up everything but memory, CPU time and the open descriptors; return the names of the layers in force.

    The process may take `megabytes` of address space beyond what it has, and is killed after `seconds` of CPU time.
    `no_network` is the result of `leave_network`. The working folder must be empty: it becomes the root.
    """
    linux = sys.platform.startswith("linux")
    held = _address_space() if linux else 0
    layers = {
        "empty root": _permitted(lambda: os.chroot(".")),
        "own user": _drop_root(),
        "no network": no_network,
    }
    if linux:
        # After the change of user, which would clear the death signal.
        _permitted(_tie_to_parent)
        layers["no files"] = _permitted(_forbid_files)
    layers["limits"] = _set_limits(held + megabytes * MEGABYTE, seconds)
    if linux and platform.machine() == "x86_64":
        layers["system calls"] = _permitted(_filter_system_calls)
    sys.addaudithook(_audit)
    layers["audit"] = True
    return tuple(name for name in ALL_LAYERS if layers.get(name))


def weakness(layers: Sequence[str]) -> str:
    """Why a program must not run with only these layers in force, as a sentence; "" where it may."""
    held = [name for name in FILE_LAYERS if name in layers]
    if len(held) >= LEAST_FILE_LAYERS:
        return ""
    return (
        f"written programs are not run: of {', '.join(FILE_LAYERS)} this machine permits {', '.join(held) or 'none'}, "
        f"and {LEAST_FILE_LAYERS} must hold; use a Linux or a container that permits chroot, Landlock or seccomp, or "
        "--set programs.unconfined=True if you trust the model that writes them"
    )


def _permitted(attempt: Callable[[], object]) -> bool:
    """Whether the attempt succeeded: False where the system refuses it with an OSError."""
    try:
        attempt()
    except OSError:
        return False
    return True


def _call(name: str, *values: Any) -> int:
    """Call a function of the C library by its name; OSError if it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    whole = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    answer: int = libc[name](*whole)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return answer


def _address_space() -> int:
    """Return the bytes of address space that this process has."""
    # As bytes: reading text may need a codec that can no longer be loaded.
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _drop_root() -> bool:
    """Become nobody if root; returns whether the process is not root."""
    if os.getuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    return os.getuid() != 0


def _tie_to_parent() -> None:
    """Die with the parent, and gain no privilege by exec: the kernel demands the latter for Landlock and seccomp."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _set_limits(space: int, seconds: int) -> bool:
    """Set all resource limits: `space` bytes of address space, CPU `seconds`; returns whether all were accepted."""
    wanted = [
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ]
    # A list, not a generator: all are set even if one fails. A system without such a limit raises ValueError.
    return all([_set_limit(which, most) for which, most in wanted])


def _set_limit(which: int, most: int) -> bool:
    try:
        resource.setrlimit(which, (most, most))
    except (OSError, ValueError):
        return False
    return True


def _forbid_files() -> None:
    """Landlock: restrict every right that this kernel's version knows, and grant none.

    Source: Documentation/userspace-api/landlock.rst of Linux 6.12. Rights on files: 13 in version 1, one more in each
    of versions 2, 3 and 5; two on TCP from version 4; abstract sockets and signals to other processes from version 6.
    """
    version = _call("syscall", LANDLOCK_CREATE_RULESET, None, 0, 1)
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rights = [(1 << files) - 1, *[3] * (version >= 4), *[3] * (version >= 6)]
    ruleset = _call("syscall", LANDLOCK_CREATE_RULESET, struct.pack(f"={len(rights)}Q", *rights), 8 * len(rights), 0)
    try:
        _call("syscall", LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _filter_system_calls() -> None:
    """Install the seccomp filter; source: Documentation/userspace-api/seccomp_filter.rst of Linux."""
    program = ctypes.create_string_buffer(filter_of(SYSTEM_CALLS.values()))
    described = struct.pack("@HP", len(program.raw) // 8, ctypes.addressof(program))
    _call("prctl", PR_SET_SECCOMP, 2, described, 0, 0)


def filter_of(allowed: Iterable[int]) -> bytes:
    """Return a classic BPF program for seccomp: other architectures are killed, system calls not `allowed` fail.

    Each instruction is (code u16, jump if true u8, jump if false u8, constant u32), as in linux/filter.h.
    """
    load, equal, answer = 0x20, 0x15, 0x06
    kill, refuse, permit = 0x80000000, 0x00050001, 0x7FFF0000
    numbers = sorted(allowed)
    # The filter's input has the number of the system call at byte 0, the architecture at byte 4.
    lines = [(load, 0, 0, 4), (equal, 1, 0, 0xC000003E), (answer, 0, 0, kill), (load, 0, 0, 0)]
    lines += [(equal, len(numbers) - k, 0, number) for k, number in enumerate(numbers)]
    lines += [(answer, 0, 0, refuse), (answer, 0, 0, permit)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _audit(event: str, values: tuple[Any, ...]) -> None:
    """Refuse all events but those that ordinary programs raise (mostly dataclasses and named tuples).

    Assigning a code object is refused too. The permitted events are written inside of the function because the program
    could change a global, a default or a closure.
    """
    quiet = event in {
        "import", "compile", "exec", "builtins.id", "object.__getattr__", "object.__setattr__", "object.__delattr__",
        "sys._getframe", "sys.unraisablehook", "code.__new__", "array.__new__", "time.sleep",
    }  # fmt: skip
    if not quiet or (event == "object.__setattr__" and values[1] == "__code__"):
        raise PermissionError(f"{event} is not allowed here")
