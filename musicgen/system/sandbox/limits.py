"""What a child process may use, and how it keeps to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ResourceLimits:
    """What one call may use: address space, seconds of processor and of clock, size of a file it
    writes, size of its answer."""

    memory_mib: int = 2048
    cpu_s: int = 60
    wall_s: float = 60.0
    file_mib: int = 64
    answer_mib: int = 512


def keep_to(limits: ResourceLimits) -> None:
    """Set the soft limits of this process; hard ones stay, so that the next call may have more."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
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
        with suppress(ValueError, OSError):  # some systems know a limit by name only
            resource.setrlimit(kind, (soft, hard))
