"""The file and the environment as sources of settings: what they say, with the place of each word, and what is wrong.

Reads ``baton.toml`` once; everything else is pure. Unknown names are problems, not warnings: a misspelt limit that is
silently ignored is a limit nobody has.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from baton.config.argv import unknown_name
from baton.config.flags import FLAGS
from baton.config.later import later_reason
from baton.config.origin import Origin, Source
from baton.config.values import Raw
from baton.kernel.redaction import printable

__all__ = ["CONFIG_VARIABLE", "Layer", "Said", "read_environment", "read_file"]

CONFIG_VARIABLE = "BATON_CONFIG"
"""Names the file, like ``--config``."""

_PREFIX = "BATON_"
_OUR_OWN_PREFIXES = ("BATON_TEST_", "BATON_DEMO_")
"""Variables of tests and tools, which are not settings of a node."""

_LARGEST_FILE_BYTES = 1 << 20
_BY_VARIABLE = {flag.variable: name for name, flag in FLAGS.items()}


@dataclass(frozen=True, slots=True)
class Said:
    """One value as a source gave it, where, and the directory its relative paths start from."""

    raw: Raw
    origin: Origin
    directory: Path


@dataclass(frozen=True, slots=True)
class Layer:
    """Everything one source said, by setting name, and its problems."""

    values: Mapping[str, Said] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_environment(environ: Mapping[str, str], *, directory: Path) -> Layer:
    """Settings named ``BATON_*``. An empty variable counts as not set."""
    values: dict[str, Said] = {}
    problems: list[str] = []
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(_PREFIX) or variable == CONFIG_VARIABLE or variable.startswith(_OUR_OWN_PREFIXES):
            continue
        name = _BY_VARIABLE.get(variable)
        if name is not None:
            if text:
                values[name] = Said(text, Origin(Source.ENVIRONMENT, variable), directory)
            continue
        ours = variable.removeprefix(_PREFIX).lower().replace("_", "-")
        reason = later_reason(ours)
        if reason is not None:
            problems.append(f"environment variable {variable}: --{ours} {reason}")
            continue
        meant = FLAGS.get(unknown_name(ours, known=FLAGS))
        hint = f"; did you mean {meant.variable}?" if meant else ""
        problems.append(f"unknown environment variable {printable(variable, limit=120)}{hint}")
    return Layer(values, tuple(problems))


def read_file(path: Path, *, in_data_dir: bool) -> Layer:
    """Settings of a TOML file. ``in_data_dir``: it was found there, so it cannot say where "there" is."""
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE_BYTES + 1)
    except OSError as problem:
        return Layer(problems=(f"configuration file {path}: {problem.strerror or problem}",))
    if len(content) > _LARGEST_FILE_BYTES:
        return Layer(problems=(f"configuration file {path} is larger than 1 MiB",))
    try:
        text = content.decode("utf-8")
        tree = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        return Layer(problems=(f"configuration file {path} is not valid TOML: {printable(str(problem), limit=200)}",))
    return _file_layer(tree, text, path, in_data_dir=in_data_dir)


def _file_layer(tree: Mapping[str, object], text: str, path: Path, *, in_data_dir: bool) -> Layer:
    values: dict[str, Said] = {}
    problems: list[str] = []
    for key, value in tree.items():
        where = _place(path, text, key)
        if isinstance(value, dict):
            problems.append(f"{where}: unknown section [{printable(key, limit=80)}]; settings stand without sections")
            continue
        if key not in FLAGS:
            problems.append(f"{where}: {_unknown_key(key)}")
            continue
        if in_data_dir and key in {"data-dir", "network"}:
            problems.append(f"{where}: {key} decides where this file is looked for; give it by --{key} or use --config")
            continue
        raw = _raw(value)
        if raw is None:
            problems.append(f"{where}: {key} must be a text, a number, true or false, or a list of texts")
            continue
        values[key] = Said(raw, Origin(Source.FILE, where), path.parent)
    return Layer(values, tuple(problems))


def _unknown_key(key: str) -> str:
    reason = later_reason(key)
    if reason is not None:
        return f"{key} {reason}"
    meant = unknown_name(key, known=FLAGS)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"unknown setting {printable(key, limit=80)}{hint}"


def _place(path: Path, text: str, key: str) -> str:
    """``file:line`` of a key; the file alone when the key is written in an unusual way."""
    pattern = re.compile(rf"^\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[\]=.]", re.MULTILINE)
    match = pattern.search(text)
    return f"{path}:{text.count(chr(10), 0, match.end()) + 1}" if match else str(path)


def _raw(value: object) -> Raw | None:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
