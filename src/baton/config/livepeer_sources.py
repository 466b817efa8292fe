"""What the reference's three sources say: its command line, ``LP_`` variables and its configuration file.

Reads the file once; everything else is pure. Values stay text; which of them count is ``config.livepeer_load``'s.
Go's flag syntax and the file's rules are operator.md 2. Go stops at the first word that is no flag and ignores the rest
in silence; here such a word is a problem and reading goes on.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from baton.config.argv import kebab
from baton.config.livepeer import SPELLINGS, variable_of
from baton.config.origin import Origin, Source
from baton.kernel.redaction import printable

__all__ = ["Heard", "Word", "read_lp_file", "read_lp_variables", "read_lp_words"]

_PREFIX = "LP_"
_LARGEST_FILE_BYTES = 1 << 20
_HELP = frozenset({"h", "help"})
_CHECK = "check"
_BOOLEANS = frozenset({"1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"})
_OUR_PREFIX = "BATON_"
_OF_TESTS = ("BATON_TEST_", "BATON_DEMO_")
_BY_VARIABLE = {
    # Deprecated spellings first, so that of two with one variable (dataDir, datadir) the other one stays.
    variable_of(name): name
    for name, _row in sorted(SPELLINGS.items(), key=lambda item: not item[1].instead)
}


@dataclass(frozen=True, slots=True)
class Word:
    """The text a source gave for a flag, and where."""

    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything one source said, by flag of ``SPELLINGS``."""

    words: Mapping[str, Word] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    wants_help: bool = False
    check: bool = False


@dataclass(slots=True)
class _Scan:
    waiting: list[str]
    words: dict[str, Word]
    problems: list[str]
    wants_help: bool = False
    check: bool = False


def read_lp_words(args: Sequence[str]) -> Heard:
    """The command line in Go's syntax: ``-name value``, ``-name=value``, two dashes for one, switches alone."""
    scan = _Scan(list(reversed(args)), {}, [])
    while scan.waiting:
        word = scan.waiting.pop()
        if word == "--":
            scan.problems += [_stray(rest) for rest in reversed(scan.waiting)]
            break
        if len(word) < len("-x") or not word.startswith("-"):
            scan.problems.append(_stray(word))
            continue
        body = word[2:] if word.startswith("--") else word[1:]
        if not body or body[0] in "-=":
            scan.problems.append(f"bad flag syntax: {printable(word, limit=80)}")
            continue
        name, equals, inline = body.partition("=")
        _take(scan, name, inline if equals else None)
    return Heard(scan.words, tuple(scan.problems), wants_help=scan.wants_help, check=scan.check)


def _take(scan: _Scan, name: str, value: str | None) -> None:
    row = SPELLINGS.get(name)
    if row is None:
        _take_other(scan, name, value)
        return
    if value is None and row.switch:
        value = "true"
        if scan.waiting and scan.waiting[-1] in _BOOLEANS:
            given = scan.waiting.pop()
            scan.problems.append(f"-{name} {given}: a switch takes its value after an equals sign, -{name}={given}")
    elif value is None and not scan.waiting:
        scan.problems.append(f"flag needs an argument: -{name}")
        return
    elif value is None:
        value = scan.waiting.pop()
    scan.words.pop(name, None)  # so that the last of two spellings of a setting stands last
    scan.words[name] = Word(value or "", Origin(Source.FLAG, f"-{name}"))


def _take_other(scan: _Scan, name: str, value: str | None) -> None:
    if name in _HELP:
        scan.wants_help = True
        return
    if name == _CHECK and value is None:
        scan.check = True
        return
    scan.problems.append(f"unknown flag -{printable(name, limit=80)}{_hint(name)}")
    if value is None and scan.waiting and not scan.waiting[-1].startswith("-"):
        meant = SPELLINGS.get(_meant(name))
        if meant is None or not meant.switch:
            scan.waiting.pop()  # it belongs to the unknown flag, and may be a secret


def _stray(word: str) -> str:
    return f"unexpected argument {printable(word, limit=80)!r}"


def _meant(name: str) -> str:
    """The flag that ``name`` probably means: another case, our own spelling, or the nearest; or empty."""
    ours = kebab(name)
    by_ours = {row.setting: known for known, row in SPELLINGS.items() if not row.instead}
    if ours in by_ours:
        return by_ours[ours]
    by_lower = {known.lower(): known for known in SPELLINGS}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.72)
    return by_lower[close[0]] if close else ""


def _hint(name: str) -> str:
    meant = _meant(name)
    return f"; did you mean -{meant}?" if meant else ""


def read_lp_variables(environ: Mapping[str, str]) -> Heard:
    """Variables named ``LP_*``. An empty one counts as not set, an unknown one is told and ignored."""
    words: dict[str, Word] = {}
    warnings: list[str] = []
    for variable in sorted(environ):
        text = environ[variable]
        if variable.startswith(_OUR_PREFIX) and not variable.startswith(_OF_TESTS):
            warnings.append(
                f"environment variable {printable(variable, limit=120)} is not read here, LP_ variables are"
            )
        if not variable.startswith(_PREFIX) or not text:
            continue
        name = _BY_VARIABLE.get(variable)
        if name is not None:
            words[name] = Word(text, Origin(Source.ENVIRONMENT, variable))
            continue
        close = difflib.get_close_matches(variable, _BY_VARIABLE, n=1, cutoff=0.72)
        hint = f"; did you mean {close[0]}?" if close else ""
        warnings.append(f"unknown environment variable {printable(variable, limit=120)} is ignored{hint}")
    return Heard(words, warnings=tuple(warnings))


def read_lp_file(path: Path) -> Heard:
    """The file of ``-config``: a key and a value per line, ``#`` for comments, a key alone means true."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE_BYTES + 1)
        if len(content) > _LARGEST_FILE_BYTES:
            return Heard(problems=(f"Error parsing config: {path} is larger than 1 MiB",))
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return Heard(problems=(f"Error parsing config: {path} is not UTF-8 text",))
    except OSError as problem:
        return Heard(problems=(f"Error parsing config: {path}: {problem.strerror or problem}",))
    words: dict[str, Word] = {}
    problems: list[str] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, space, value = line.partition(" ")
        value = value.strip().partition(" #")[0].strip() if space else "true"
        if name not in SPELLINGS or name == "config":
            reason = "-config cannot stand in its own file" if name == "config" else _unknown_key(name)
            problems.append(f"Error parsing config: {path}:{number}: {reason}")
            continue
        words.pop(name, None)
        words[name] = Word(value, Origin(Source.FILE, f"{path}:{number}"))
    return Heard(words, tuple(problems))


def _unknown_key(name: str) -> str:
    meant = _meant(name)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"unknown setting {printable(name, limit=80)}{hint}"
