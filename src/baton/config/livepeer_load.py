"""Settings of ``baton livepeer``: the reference's sources, roles and defaults, turned into settings of this node.

Command line, then ``LP_`` variables, then the file of ``-config`` (operator.md 2). What is found goes through the same
checks as the words of ``baton run``, and every problem is told in the spelling that the operator used.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path

from baton.config.flags import FLAGS
from baton.config.livepeer import SPELLINGS, Spelling
from baton.config.livepeer_sources import Heard, Word, read_lp_file, read_lp_variables, read_lp_words
from baton.config.load import Loaded, load_words
from baton.config.model import OFFCHAIN
from baton.config.origin import DEFAULT
from baton.config.sources import Said
from baton.config.values import BadValueError, Base, account, duration
from baton.kernel.errors import ConfigError, ExitCode
from baton.kernel.redaction import printable

__all__ = ["Asked", "Role", "ask", "load_livepeer", "respell", "role_of"]

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_OWN_FOLDER = "baton"
_KEYSTORE = "keystore"
_LONGEST_S = 1e9

_NO_ROLE = (
    "No services enabled; must be at least one of -orchestrator, -transcoder, -aiWorker, -redeemer, -reward or "
    "-initializeRound; this version has -orchestrator -transcoder"
)
_STANDALONE = "-transcoder without -orchestrator, a transcoder that stands alone, is not supported yet by this version"
_NO_WORKER = (
    "Running an orchestrator requires an -orchSecret for standalone mode or -transcoder for orchestrator+transcoder "
    "mode; this version has the latter"
)
_REMOTE_WORKERS = "-orchestrator without -transcoder needs remote transcoders, which this version does not have yet"
_AUTO = "-maxSessions 'auto' cannot be used when both -orchestrator and -transcoder are specified"
_TWO_KINDS = "both -netint and -nvidia arguments specified, this is not supported"


class Role(Enum):
    """What a process of the reference would be, first match first (operator.md 1.1)."""

    REDEEMER = "redeemer"
    REMOTE_SIGNER = "remote signer"
    ORCHESTRATOR = "orchestrator"
    TRANSCODER = "transcoder"
    AI_WORKER = "AI worker"
    GATEWAY = "gateway"
    CHAIN_SERVICE = "chain service"
    NONE = "none"


_ROLE_FLAGS = (
    ("redeemer", Role.REDEEMER),
    ("remoteSigner", Role.REMOTE_SIGNER),
    ("orchestrator", Role.ORCHESTRATOR),
    ("transcoder", Role.TRANSCODER),
    ("aiWorker", Role.AI_WORKER),
    ("broadcaster", Role.GATEWAY),
    ("gateway", Role.GATEWAY),
    ("reward", Role.CHAIN_SERVICE),
    ("initializeRound", Role.CHAIN_SERVICE),
)


def role_of(switched_on: Iterable[str]) -> Role:
    """The role that the switches which are on ask for."""
    on = frozenset(switched_on)
    return next((role for name, role in _ROLE_FLAGS if name in on), Role.NONE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What all sources said together: the strongest word for each flag, and what this run is to do."""

    words: Mapping[str, Word]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    wants_help: bool = False
    wants_version: bool = False
    check: bool = False
    config_file: Path | None = None

    def text(self, name: str) -> str:
        """The word for a flag, or its default."""
        word = self.words.get(name)
        return word.text if word is not None else SPELLINGS[name].default or ""

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.text(name) in _TRUE


def ask(args: Sequence[str], *, environ: Mapping[str, str], home: Path, directory: Path) -> Asked:
    """Read all sources of the words ``args`` after the command. Nothing is judged beyond their form."""
    line, variables = read_lp_words(args), read_lp_variables(environ)
    named = line.words.get("config") or variables.words.get("config")
    path, file = None, Heard()
    if named is not None and "\0" in named.text:
        file = Heard(problems=("-config must be a path",))
    elif named is not None and named.text:
        path = Base(home, directory).resolve(named.text)
        file = read_lp_file(path)
    words: dict[str, Word] = {}
    for source in (line, variables, file):
        said = {SPELLINGS[name].setting for name in words}
        # Of two spellings of one setting in one source the last counts, and a stronger source beats both.
        latest = {SPELLINGS[name].setting: (name, word) for name, word in source.words.items()}
        words |= {name: word for setting, (name, word) in latest.items() if setting not in said}
    return Asked(
        words,
        (*line.problems, *file.problems),
        variables.warnings,
        wants_help=line.wants_help,
        wants_version="version" in words and words["version"].text in _TRUE,
        check=line.check,
        config_file=path,
    )


def load_livepeer(asked: Asked, *, home: Path, directory: Path) -> Loaded:
    """Settings of the node that the flags ask for.

    Raises:
        ConfigError: with every problem found, in the reference's spelling.
    """
    problems = [*asked.problems, *_role_problems(asked), *_joint_problems(asked)]
    words: dict[str, Said] = {}
    for name, word in asked.words.items():
        row = SPELLINGS[name]
        problem = _misfit(row, word)
        if problem is not None:
            problems.append(problem)
        elif row.works:
            words[row.setting] = Said(_ours(row, word.text), word.origin, directory)
    _place_data(words, home=home, directory=directory)
    if words.get("transcoder", Said("true", DEFAULT, directory)).raw == "false":
        del words["transcoder"]  # the role has said what is wrong
    if asked.text("maxSessions") == "auto":
        words.pop("max-sessions", None)  # likewise
    try:
        loaded = load_words(
            words, home=home, directory=directory, problems=tuple(problems), config_file=asked.config_file
        )
    except ConfigError as error:
        # Two kinds of cards is the one mistake whose exit code scripts of operators may know (operator.md 4).
        exit_code = ExitCode.FAILED if _TWO_KINDS in error.problems else ExitCode.CONFIG
        raise ConfigError(tuple(respell(problem) for problem in error.problems), exit_code=exit_code) from None
    warnings = (*asked.warnings, *_old_spellings(asked), *map(respell, loaded.warnings))
    return Loaded(loaded.settings, loaded.provenance, warnings, loaded.config_file)


def _role_problems(asked: Asked) -> list[str]:
    """Roles that are not there; those with a flag of their own are refused by it."""
    role = role_of(name for name, _ in _ROLE_FLAGS if asked.is_on(name))
    if role is Role.NONE:
        return [_NO_ROLE]
    if role is Role.TRANSCODER:
        return [_STANDALONE]
    if role is not Role.ORCHESTRATOR or asked.is_on("transcoder") or asked.is_on("aiWorker"):
        return []
    return [_REMOTE_WORKERS if asked.text("orchSecret") or asked.text("aiModels") else _NO_WORKER]


def _joint_problems(asked: Asked) -> list[str]:
    """Flags that exclude one another (operator.md 4)."""
    problems = []
    if asked.text("maxSessions") == "auto":
        together = asked.is_on("orchestrator") and asked.is_on("transcoder")
        problems.append(_AUTO if together else "-maxSessions 'auto' needs remote transcoders, which are not there yet")
    if asked.text("netint") and asked.text("nvidia"):
        problems.append(_TWO_KINDS)
    return problems


def _misfit(row: Spelling, word: Word) -> str | None:
    """Why a word cannot be used, or None."""
    if row.switch and word.text not in _TRUE | _FALSE:
        return f"invalid boolean value {printable(word.text, limit=80)!r} for -{row.name} from {word.origin}"
    if row.works or row.no_effect or row.name in {"orchestrator", "config", "version"} or _is_default(row, word.text):
        return None
    where = "" if word.origin.where == f"-{row.name}" else f"; it is given by {word.origin}"
    return f"-{row.name} {row.refusal}{where}"


def _is_default(row: Spelling, text: str) -> bool:
    """Whether a word asks for nothing beyond what happens without it."""
    default = row.default
    if default is None or row.unset_matters:
        return False
    if row.switch:
        return (text in _TRUE) == (default in _TRUE)
    return text == default or (default != "" and _same_amount(text, default))


def _same_amount(one: str, other: str) -> bool:
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        pass
    read, base = duration(0, _LONGEST_S).read, Base(Path("/"), Path("/"))
    try:
        return read(one, base) == read(other, base)
    except BadValueError:
        return False


def _ours(row: Spelling, text: str) -> str:
    return str(text in _TRUE).lower() if row.switch else text


def _place_data(words: dict[str, Said], *, home: Path, directory: Path) -> None:
    """Our files go into a folder of our own inside the reference's data directory; its keystore stays its keystore."""
    given = words.get("data-dir")
    if given is not None and "\0" in str(given.raw):
        return  # reading it says so
    base = Base(home, directory)
    if given is not None and str(given.raw).strip():
        place, origin = base.resolve(str(given.raw).strip()), given.origin
    else:
        network = str(words["network"].raw).strip() if "network" in words else FLAGS["network"].default
        place, origin = home / ".lpData" / (Path(network).name or FLAGS["network"].default), DEFAULT
    words["data-dir"] = Said(str(place / _OWN_FOLDER), origin, directory)
    path = words.get("eth-keystore-path")
    if path is not None and path.raw:
        return
    reason = _why_a_key(words, base)
    if reason is not None:
        words["eth-keystore-path"] = Said(str(place / _KEYSTORE), reason.origin, directory)


def _why_a_key(words: Mapping[str, Said], base: Base) -> Said | None:
    """The word that asks for the key in the reference's keystore: an account, or a network with a chain."""
    wanted, network = words.get("eth-acct-addr"), words.get("network")
    try:
        if wanted is not None and account().read(wanted.raw, base):
            return wanted
        if network is not None and FLAGS["network"].kind.read(network.raw, base) != OFFCHAIN:
            return network
    except BadValueError:
        pass  # reading it says so
    return None


def _old_spellings(asked: Asked) -> list[str]:
    warnings = []
    for name in asked.words:
        row = SPELLINGS[name]
        if row.instead:
            warnings.append(f"-{name} is deprecated; use -{row.instead}")
        elif row.no_effect:
            warnings.append(f"-{name} has no effect")
    return warnings


_OUR_OPTION = re.compile(r"(?<![\w'\"/-])--(no-)?([a-z][a-z0-9-]*)")


def respell(sentence: str) -> str:
    """A sentence about our options, said about the reference's flags."""
    by_setting = {row.setting: name for name, row in SPELLINGS.items() if not row.instead}

    def flag(match: re.Match[str]) -> str:
        negation, setting = match.groups()
        name = by_setting.get(setting)
        if name is None:
            return match[0]
        return f"-{name}=false" if negation else f"-{name}"

    return _OUR_OPTION.sub(flag, sentence)
