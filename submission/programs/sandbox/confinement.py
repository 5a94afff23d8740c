"""What a process gives up, for good, before it runs a program that nobody has read.

Each layer is tried on its own, since containers permit different ones; `confine` says which of them hold:

- `own user`: not root. A root process becomes nobody (65534), without groups.
- `empty root`: the file tree is one empty folder (chroot; for root, or in a user namespace of our own).
- `no network`: network and System V namespaces of its own, without an interface that is up (`unshare`).
- `limits`: address space, CPU seconds, no bytes into files, no core dump, no further process or thread of an
  unprivileged user, and **no new file descriptor**: RLIMIT_NOFILE 0 alone ends open, socket and memfd_create.
- `no files`: Landlock without one rule: no path can be opened, made, removed or executed (Linux 5.13 and later).
- `system calls`: a seccomp filter lets through what memory, clocks, locks and the end of a process need, and
  reading and writing what is open already (x86-64). All else fails with EPERM: fork, exec, open, socket, kill.
- `audit`: Python's own hook refuses the events behind such things. It names what a program tried, and it is all
  there is on other systems; code that rewrites the interpreter's memory gets around it, the layers above it not.

Not covered: flaws of the kernel, side channels such as timing, and what the process holds in its memory already.
Linux is meant; elsewhere `limits` and `audit` remain.
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
from collections.abc import Callable
from typing import Any

NOBODY = 65534
MEGABYTE = 1 << 20
WHOLE = ("own user", "empty root", "no network", "limits", "no files", "system calls", "audit")
"""The layers of a machine that permits all of them."""

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
"""Of Linux's headers: prctl.h, sched.h, and system calls that have one number on all architectures."""

SYSTEM_CALLS = {
    "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13,
    "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35,
    "getpid": 39, "exit": 60, "gettimeofday": 96, "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "getrandom": 318,
}  # fmt: skip
"""What a confined process on x86-64 may still ask of the kernel."""


def isolate() -> bool:
    """Leave the machine's network, once, before any confined process is forked; whether it was permitted."""
    if not sys.platform.startswith("linux"):
        return False
    apart = CLONE_NEWNET | CLONE_NEWIPC
    # Only a privileged process may do this as it is, any other user inside a user namespace of his own. Root without
    # the privilege stays where it is: in such a namespace it would look like nobody, and be root outside of it.
    return _permitted(lambda: _call("unshare", apart if os.getuid() == 0 else apart | CLONE_NEWUSER))


def adopt() -> None:
    """Become the parent of whatever a confined process may leave behind (where the system can do that)."""
    if sys.platform.startswith("linux"):
        _permitted(lambda: _call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def confine(megabytes: int, seconds: int, apart: bool) -> tuple[str, ...]:
    """Give up everything but memory, CPU time and the open descriptors; the names of the layers that hold.

    `megabytes` may be taken beyond what the process holds; after `seconds` of CPU time it is killed; `apart` is
    what `isolate` told. The working folder must be an empty one: it becomes the root.
    """
    linux = sys.platform.startswith("linux")
    held = _address_space() if linux else 0
    layers = {
        "empty root": _permitted(lambda: os.chroot(".")),
        "own user": _own_user(),
        "no network": apart,
    }
    if linux:
        # Not before the change of user, which would take its death signal away.
        _permitted(_bound)
        layers["no files"] = _permitted(_without_files)
    layers["limits"] = _limited(held + megabytes * MEGABYTE, seconds)
    if linux and platform.machine() == "x86_64":
        layers["system calls"] = _permitted(_filtered)
    sys.addaudithook(_audit)
    layers["audit"] = True
    return tuple(name for name in WHOLE if layers.get(name))


def _permitted(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _call(name: str, *values: Any) -> int:
    """A function of the C library, by name; OSError where it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    whole = [ctypes.c_long(value) if isinstance(value, int) else value for value in values]
    answer: int = libc[name](*whole)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return answer


def _address_space() -> int:
    # As bytes: a codec that is not loaded yet might be out of reach by now.
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _own_user() -> bool:
    if os.getuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    return os.getuid() != 0


def _bound() -> None:
    """Die with the parent, and gain no privilege by executing a file, without which the layers below are refused."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limited(space: int, seconds: int) -> bool:
    wanted = [
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ]
    # All of them are tried, whichever fails; a system that has no such limit answers with ValueError.
    return all([_set(which, most) for which, most in wanted])


def _set(which: int, most: int) -> bool:
    try:
        resource.setrlimit(which, (most, most))
    except (OSError, ValueError):
        return False
    return True


def _without_files() -> None:
    """Landlock: handle every right there is in this kernel's version of it, and grant none.

    Source: Documentation/userspace-api/landlock.rst of Linux 6.12. Rights on files: 13 in version 1, then one more
    in versions 2, 3 and 5; two on TCP from version 4; from 6 on, abstract sockets and signals to other processes.
    """
    version = _call("syscall", LANDLOCK_CREATE_RULESET, None, 0, 1)
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rights = [(1 << files) - 1, *[3] * (version >= 4), *[3] * (version >= 6)]
    ruleset = _call("syscall", LANDLOCK_CREATE_RULESET, struct.pack(f"={len(rights)}Q", *rights), 8 * len(rights), 0)
    try:
        _call("syscall", LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _filtered() -> None:
    """Install the filter of system calls; source: Documentation/userspace-api/seccomp_filter.rst of Linux."""
    program = ctypes.create_string_buffer(filter_of(SYSTEM_CALLS.values()))
    described = struct.pack("@HP", len(program.raw) // 8, ctypes.addressof(program))
    _call("prctl", PR_SET_SECCOMP, 2, described, 0, 0)


def filter_of(allowed: Any) -> bytes:
    """Classic BPF for seccomp: other architectures are killed, these system calls pass, all others give EPERM.

    Each instruction is (code u16, jump if true u8, if false u8, constant u32), as linux/filter.h has it.
    """
    load, equal, answer = 0x20, 0x15, 0x06
    kill, refuse, permit = 0x80000000, 0x00050001, 0x7FFF0000
    numbers = sorted(allowed)
    # The architecture is at byte 4 of what a filter sees, the number of the call at byte 0.
    lines = [(load, 0, 0, 4), (equal, 1, 0, 0xC000003E), (answer, 0, 0, kill), (load, 0, 0, 0)]
    lines += [(equal, len(numbers) - k, 0, number) for k, number in enumerate(numbers)]
    lines += [(answer, 0, 0, refuse), (answer, 0, 0, permit)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _audit(event: str, values: tuple[Any, ...]) -> None:
    """Let pass what ordinary programs raise (dataclasses and named tuples most of it), but no change of a code object.

    The events stand in the code itself: a global, a default or a closure could be changed by the program.
    """
    quiet = event in {
        "import", "compile", "exec", "builtins.id", "object.__getattr__", "object.__setattr__", "object.__delattr__",
        "sys._getframe", "sys.unraisablehook", "code.__new__", "array.__new__", "time.sleep",
    }  # fmt: skip
    if not quiet or (event == "object.__setattr__" and values[1] == "__code__"):
        raise PermissionError(f"{event} is not allowed here")
