"""Open files of the process: each connection is one, and an accept without a free one stalls the whole port."""

import resource
from typing import Final

__all__ = ["connections_within", "room_for_connections"]

_OTHER_FILES: Final = 512
"""What the rest of the node opens: database, engines, segments on disk, connections of our own."""

_LEAST: Final = 16


def room_for_connections(wanted: int) -> int:
    """How many connections the port may hold, at most ``wanted``; raises the process's soft limit towards it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft not in {resource.RLIM_INFINITY, target} and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return wanted if soft == resource.RLIM_INFINITY else connections_within(soft, wanted)


def connections_within(files: int, wanted: int) -> int:
    """The connections that fit into a limit of ``files`` beside everything else, at most ``wanted``."""
    return min(wanted, max(_LEAST, files - _OTHER_FILES))
