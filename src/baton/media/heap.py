"""The memory that an engine child keeps between segments, so that the next one need not ask the kernel for it again.

Decoded pictures and the tables of encoders are megabytes each. By default the C library gives such pieces back as soon
as they are free and gets them again, zeroed page by page, for the next segment: one fifteenth of all CPU time of a
720p ladder. A child therefore keeps what it frees, in one arena for all its threads and in large pages where the system
has them, and returns it when it is at rest or keeps more than it should.
"""

import ctypes

__all__ = ["MOST_KEPT_BYTES", "REST_AFTER_S", "Heap", "heap_environment", "kept_bytes"]

REST_AFTER_S = 5.0
"""A child without a job for so long returns what it does not use. Live segments come every two seconds."""

MOST_KEPT_BYTES = 512 << 20
"""More free memory than this is returned after each job: 4K ladders leave that much."""

_SHARE_OF_LIMIT = 8
"""A child that rests with more than half of its limit is replaced; what it keeps in vain shall not be the reason."""


def kept_bytes(memory_limit_bytes: int) -> int:
    """How much free memory a child with this limit may keep between jobs."""
    return min(MOST_KEPT_BYTES, memory_limit_bytes // _SHARE_OF_LIMIT)


def heap_environment(most_kept_bytes: int) -> dict[str, str]:
    """What the C library must be told before a process begins. Others than glibc do not look at it."""
    tunables = {
        # Threads of renditions come and go; each in an arena of its own would leave its memory to nobody.
        "arena_max": 1,
        # 32 MiB is the most that the library takes: smaller pieces come from the heap, where they can stay.
        "mmap_threshold": 32 << 20,
        "trim_threshold": most_kept_bytes,
        "hugetlb": 1,
    }
    return {"GLIBC_TUNABLES": ":".join(f"glibc.malloc.{name}={value}" for name, value in tunables.items())}


class _Usage(ctypes.Structure):
    """``struct mallinfo2`` of glibc; ``fordblks`` is the bytes that are free and kept."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


class Heap:
    """This process's heap. Nothing is kept and nothing done where the C library is not glibc 2.33 or newer."""

    def __init__(self, *, most_kept_bytes: int) -> None:
        """Looks up the library's functions, before a cell closes."""
        self._most_kept_bytes = most_kept_bytes
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        self._usage = getattr(library, "mallinfo2", None)
        if self._usage is not None:
            self._usage.restype = _Usage

    def free_bytes(self) -> int:
        """Bytes in free pieces, those whose pages were returned among them; 0 where nobody tells."""
        return int(self._usage().fordblks) if self._usage is not None else 0

    def after_job(self) -> None:
        """A job is done: return what is kept if it is too much."""
        if self.free_bytes() > self._most_kept_bytes:
            self.return_free()

    def return_free(self) -> None:
        """Return everything that is free to the system."""
        if self._trim is not None:
            self._trim(0)
