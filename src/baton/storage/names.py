"""The one rule for names from the wire that end up in object names, URLs and files (video.md 6.4, 11.1 item 6).

A stored object is named ``<session>/<name>``; a name has one or two parts, as in ``<profile name>/<seq>.ts``. Profile
names are a stranger's free text: ``jobs.naming`` writes them plainly, and whatever still is no name is refused here, by
every store. Pure.
"""

import unicodedata
from urllib.parse import quote

__all__ = [
    "MAX_PARTS",
    "MAX_PART_BYTES",
    "MAX_SESSION_BYTES",
    "object_url",
    "safe_object_name",
    "safe_session_name",
]

MAX_PART_BYTES = 255
"""Longest part of a name in UTF-8, what common file systems allow."""

MAX_PARTS = 2
"""Parts of an object name, so that a whole name stays below 512 bytes."""

MAX_SESSION_BYTES = 128
"""Longest session id; ours have 40 characters."""

_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates (bytes that were no UTF-8) and the two separators that break lines."""


def safe_object_name(name: str) -> str:
    """``name`` itself when it may be used as an object name.

    Raises:
        ValueError: more than two parts; an empty one, ``.`` or ``..``; a backslash, NUL or other control character;
            text that is not Unicode; a part over 255 bytes. The message never repeats the name.
    """
    parts = name.split("/")
    if len(parts) > MAX_PARTS:
        message = f"an object name has at most {MAX_PARTS} parts"
        raise ValueError(message)
    for part in parts:
        _check_part(part, MAX_PART_BYTES)
    return name


def safe_session_name(session_id: str) -> str:
    """``session_id`` itself when it may name a folder.

    Raises:
        ValueError: as for one part of an object name, or over 128 bytes.
    """
    _check_part(session_id, MAX_SESSION_BYTES)
    return session_id


def object_url(base_uri: str, session_id: str, name: str) -> str:
    """``<base>/stream/<session>/<name>`` with every part percent-encoded; an empty base gives a path only."""
    parts = [session_id, *name.split("/")]
    return f"{base_uri}/stream/" + "/".join(quote(part, safe="") for part in parts)


def _check_part(part: str, limit_bytes: int) -> None:
    if part in {"", ".", ".."}:
        message = "a part of an object name is empty or a dot segment"
        raise ValueError(message)
    if "/" in part or "\\" in part or any(unicodedata.category(c) in _FORBIDDEN_CATEGORIES for c in part):
        message = "an object name holds a separator or control character"
        raise ValueError(message)
    if len(part.encode()) > limit_bytes:
        message = f"a part of an object name is longer than {limit_bytes} bytes"
        raise ValueError(message)
