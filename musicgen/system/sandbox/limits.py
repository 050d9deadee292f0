"""Limits of memory, time and files of a child process."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ResourceLimits:
    """Limits of one call: address space, processor time, elapsed time, size of a file that it
    writes, size of its answer."""

    memory_mib: int = 2048
    cpu_s: int = 60
    wall_s: float = 60.0
    file_mib: int = 64
    answer_mib: int = 512


def keep_to(limits: ResourceLimits) -> None:
    """Set the soft limits of this process, not the hard ones: the next call may have more."""
    try:
        import resource
    except ImportError:  # Windows: only the parent's limit of elapsed time
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_mib * MIB),
        (resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file_mib * MIB),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(ValueError, OSError):  # some systems define a limit but refuse to set it
            resource.setrlimit(kind, (soft, hard))
