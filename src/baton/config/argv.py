"""The command line of a node: options in, named texts and every problem out.

Pure. All problems of one line are found in one pass: unknown options with a suggestion, options of the reference that
later versions bring, missing values and stray words. Spelling of the reference (``-serviceAddr``) is recognised and
answered with ours.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from baton.config.flag import Flag
from baton.config.flags import FLAGS
from baton.config.later import LATER, is_later_switch, later_reason
from baton.kernel.redaction import printable

__all__ = ["CommandLine", "kebab", "read_command_line", "unknown_name"]

_META_VALUES = ("config",)
_META_SWITCHES = ("check", "help")
_SHORTS = {"h": "help", **{flag.short: flag.name for flag in FLAGS.values() if flag.short}}
_REFERENCE_SPELLING = re.compile(r"-[A-Za-z][A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was said: texts by setting name, then the words about this run itself."""

    values: Mapping[str, str]
    problems: tuple[str, ...] = ()
    config: str | None = None
    check: bool = False
    wants_help: bool = False


def kebab(name: str) -> str:
    """A name in our spelling: ``serviceAddr``, ``ticketEV`` and ``SERVICE_ADDR`` all come out in kebab-case."""
    if name.isupper():
        name = name.lower()
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1-\2", spaced).replace("_", "-").lower()


def unknown_name(name: str, *, known: Iterable[str]) -> str:
    """The known name that ``name`` probably means, or empty."""
    candidates = (*known, *LATER)
    ours = kebab(name)
    if ours in candidates:
        return ours
    close = difflib.get_close_matches(ours, candidates, n=1, cutoff=0.72)
    return close[0] if close else ""


@dataclass(slots=True)
class _Scan:
    words: list[str]
    values: dict[str, str]
    problems: list[str]
    config: str | None = None
    check: bool = False
    wants_help: bool = False


def read_command_line(args: Sequence[str], *, names: Iterable[str] = FLAGS) -> CommandLine:
    """Read ``args``, the words after the command's name. ``names`` are the settings this command knows."""
    known = {name: FLAGS[name] for name in names}
    scan = _Scan(list(reversed(args)), {}, [])
    while scan.words:
        word = scan.words.pop()
        if word == "--":
            scan.problems.extend(f"unexpected argument {printable(rest)!r}" for rest in reversed(scan.words))
            break
        if word.startswith("--"):
            _long(scan, word, known)
        elif word.startswith("-") and len(word) > 1:
            _short(scan, word, known)
        else:
            scan.problems.append(f"unexpected argument {printable(word)!r}")
    return CommandLine(scan.values, tuple(scan.problems), scan.config, scan.check, scan.wants_help)


def _long(scan: _Scan, word: str, known: Mapping[str, Flag]) -> None:
    name, equals, inline = word[2:].partition("=")
    value = inline if equals else None
    flag = known.get(name)
    negated = known.get(name.removeprefix("no-")) if name.startswith("no-") else None
    if flag is not None and flag.kind.is_boolean:
        scan.values[name] = "true" if value is None else value
    elif flag is not None:
        _take(scan, name, value)
    elif negated is not None and negated.kind.is_boolean and value is None:
        scan.values[negated.name] = "false"
    elif name in _META_VALUES or name in _META_SWITCHES:
        _meta(scan, name, value)
    else:
        _refuse(scan, name, value, known)


def _short(scan: _Scan, word: str, known: Mapping[str, Flag]) -> None:
    name = _SHORTS.get(word[1])
    if name == "help" and len(word) == len("-h"):
        scan.wants_help = True
    elif name in known and (len(word) == len("-v") or not _REFERENCE_SPELLING.fullmatch(word)):
        _take(scan, str(name), word[2:].removeprefix("=") or None)
    else:
        given, equals, inline = word[1:].partition("=")
        _refuse(scan, given, inline if equals else None, known, dash="-")


def _take(scan: _Scan, name: str, value: str | None) -> None:
    if value is None:
        if not scan.words:
            scan.problems.append(f"--{name} needs a value")
            return
        value = scan.words.pop()
    scan.values[name] = value


def _meta(scan: _Scan, name: str, value: str | None) -> None:
    if name in _META_VALUES:
        if value is None and not scan.words:
            scan.problems.append(f"--{name} needs a value")
            return
        scan.config = scan.words.pop() if value is None else value
    elif value is not None:
        scan.problems.append(f"--{name} takes no value")
    elif name == "check":
        scan.check = True
    else:
        scan.wants_help = True


def _refuse(scan: _Scan, name: str, value: str | None, known: Mapping[str, Flag], *, dash: str = "--") -> None:
    """Say why an option cannot be used, and step over the value that belongs to it."""
    ours = name.removeprefix("no-") if is_later_switch(name.removeprefix("no-")) else name
    reason = later_reason(ours)
    meant = unknown_name(name, known=known)
    if reason is not None and dash == "--":
        scan.problems.append(f"--{ours} {reason}")
        takes_value = not is_later_switch(ours)
    else:
        why_not = later_reason(meant)
        hint = f"; --{meant} {why_not}" if why_not else f"; did you mean --{meant}?" if meant else ""
        scan.problems.append(f"unknown option {dash}{printable(name, limit=80)}{hint}")
        flag = known.get(meant)
        takes_value = (flag is None or not flag.kind.is_boolean) and not is_later_switch(meant)
    if takes_value and value is None and scan.words and not scan.words[-1].startswith("-"):
        scan.words.pop()
