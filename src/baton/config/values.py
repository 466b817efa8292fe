"""Kinds of setting values: how text of a flag, an environment variable or a TOML value becomes a typed value.

Pure. A reader takes what a source gave (``Raw``) and returns the value in the unit of its field, or raises
``BadValueError`` with a reason that completes the sentence "--name ...".
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from baton.kernel.redaction import redact_url

__all__ = [
    "BadValueError",
    "Base",
    "Kind",
    "Raw",
    "account",
    "boolean",
    "choice",
    "count",
    "duration",
    "enumeration",
    "optional_path",
    "path",
    "patterns",
    "plain",
    "read_text",
    "size",
]

Raw = str | int | float | bool | tuple[str, ...]
"""A value as a source gives it: text everywhere, native types from TOML."""

E = TypeVar("E", bound=Enum)


class BadValueError(ValueError):
    """A value that does not fit its setting; ``whole`` when the reason already names the setting."""

    def __init__(self, reason: str, *, whole: bool = False) -> None:
        """``reason`` completes "--name ..." unless ``whole``."""
        super().__init__(reason)
        self.reason = reason
        self.whole = whole


@dataclass(frozen=True, slots=True)
class Base:
    """What relative paths are relative to: the operator's home for ``~``, else a directory."""

    home: Path
    directory: Path

    def resolve(self, text: str) -> Path:
        """An absolute path without dot segments; links are kept as they are."""
        if text == "~" or text.startswith("~/"):
            return Path(os.path.normpath(self.home / text[2:]))
        return Path(os.path.normpath(self.directory / text))


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is described, read and shown."""

    label: str
    read: Callable[[Raw, Base], object]
    is_boolean: bool = False
    show: Callable[[str], str] = str


def read_text(raw: Raw) -> str:
    """The text of a source value; numbers print as themselves, lists and booleans are not text."""
    if isinstance(raw, str):
        return raw.strip()
    if isinstance(raw, bool | tuple):
        message = "must be a text"
        raise BadValueError(message)
    return str(raw)


_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def _read_boolean(raw: Raw, _base: Base) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    message = "must be true or false"
    raise BadValueError(message)


def boolean() -> Kind:
    """True or false; ``--name`` and ``--no-name`` on the command line."""
    return Kind("true or false", _read_boolean, is_boolean=True)


def count(least: int, most: int) -> Kind:
    """A whole number from ``least`` to ``most``."""
    label = f"{least} to {most}"

    def read(raw: Raw, _base: Base) -> int:
        text = read_text(raw)
        message = f"must be a whole number from {label}"
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise BadValueError(message)
        value = int(text)
        if not least <= value <= most:
            raise BadValueError(message)
        return value

    return Kind(f"number, {label}", read)


_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_PLAIN_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def _duration_s(text: str) -> float | None:
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _DURATION_UNITS_S[unit] for number, unit in parts)


def duration(least_s: float, most_s: float) -> Kind:
    """Seconds as a float, written ``30s``, ``1m30s``, ``500ms`` or as a plain number of seconds."""

    def read(raw: Raw, _base: Base) -> float:
        seconds = _duration_s(read_text(raw))
        if seconds is None or not math.isfinite(seconds) or not least_s <= seconds <= most_s:
            message = f"must be a duration from {least_s:g}s to {most_s:g}s, such as 30s, 1m30s or 500ms"
            raise BadValueError(message)
        return seconds

    return Kind(f"duration, {least_s:g}s to {most_s:g}s", read)


_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-z]{0,3})")


def _size_text(n: int) -> str:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n % factor == 0 and n:
            return f"{n // factor}{unit}"
    return str(n)


def size(least_bytes: int, most_bytes: int) -> Kind:
    """Bytes, written ``4GiB``, ``512MB`` or as a plain number."""

    def read(raw: Raw, _base: Base) -> int:
        match = _SIZE.fullmatch(read_text(raw).lower())
        factor = _SIZE_UNITS.get(match[2]) if match else None
        value = round(float(match[1]) * factor) if match and factor else -1
        if not least_bytes <= value <= most_bytes:
            span = f"{_size_text(least_bytes)} to {_size_text(most_bytes)}"
            message = f"must be a size from {span}, such as 512MiB or 4GiB"
            raise BadValueError(message)
        return value

    return Kind(f"size, {_size_text(least_bytes)} to {_size_text(most_bytes)}", read)


def choice(*words: str, aliases: Callable[[str], str] = str) -> Kind:
    """One of ``words``; ``aliases`` may translate other spellings first."""
    listed = ", ".join(words)

    def read(raw: Raw, _base: Base) -> str:
        word = aliases(read_text(raw).lower())
        if word not in words:
            message = f"must be one of {listed}"
            raise BadValueError(message)
        return word

    return Kind(f"one of {listed}", read)


def enumeration(members: type[E]) -> Kind:
    """One member of an enum, by its value."""
    words = choice(*(str(member.value) for member in members))

    def read(raw: Raw, base: Base) -> E:
        return members(words.read(raw, base))

    return Kind(words.label, read)


def plain(label: str = "text") -> Kind:
    """Text as it is, without surrounding white space."""
    return Kind(label, lambda raw, _base: read_text(raw), show=redact_url)


_LONGEST_NAME_BYTES = 255
_LONGEST_PATH_BYTES = 3800
"""What file systems hold, with room for names below a directory."""


def _fits(found: Path) -> bool:
    whole = os.fsencode(found)
    return len(whole) <= _LONGEST_PATH_BYTES and all(len(name) <= _LONGEST_NAME_BYTES for name in whole.split(b"/"))


def path() -> Kind:
    """A file or directory name; must not be empty, nor longer than file systems hold."""

    def read(raw: Raw, base: Base) -> Path:
        text = read_text(raw)
        if not text or "\0" in text:
            message = "must be a path"
            raise BadValueError(message)
        found = base.resolve(text)
        if not _fits(found):
            message = "must be a path that a file system can hold (names of at most 255 bytes)"
            raise BadValueError(message)
        return found

    return Kind("path", read)


def optional_path() -> Kind:
    """A file or directory name, or empty for none."""
    required = path()

    def read(raw: Raw, base: Base) -> object:
        return required.read(raw, base) if read_text(raw) else None

    return Kind("path", read)


def patterns() -> Kind:
    """A comma list of absolute paths, the last part of each possibly with ``*`` and ``?``; empty items are skipped."""

    def read(raw: Raw, _base: Base) -> tuple[str, ...]:
        items = raw if isinstance(raw, tuple) else tuple(read_text(raw).split(","))
        found = tuple(dict.fromkeys(item.strip() for item in items if item.strip()))
        for item in found:
            folder, _, name = item.rpartition("/")
            if not item.startswith("/") or "\0" in item or not name or set(folder) & set("*?[") or "**" in name:
                message = f"has {item!r}, which is no absolute path with at most a * in its last part"
                raise BadValueError(message)
        return found

    return Kind("comma list of paths", read)


_ACCOUNT = re.compile(r"(0x)?[0-9a-fA-F]{40}")


def account() -> Kind:
    """An account address: 40 hex digits with or without ``0x``; empty or all zeros for none. Kept in lower case."""

    def read(raw: Raw, _base: Base) -> str:
        text = read_text(raw)
        if not text:
            return ""
        if not _ACCOUNT.fullmatch(text):
            message = "must be an account address (0x and 40 hex digits)"
            raise BadValueError(message)
        digits = text[-40:].lower()
        return f"0x{digits}" if digits.strip("0") else ""

    return Kind("account address", read)
