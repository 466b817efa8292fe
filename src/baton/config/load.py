"""Settings from their four sources: defaults < ``baton.toml`` < environment < command line.

Everything is read and checked before anything starts, every problem is reported at once, and each value in force keeps
its origin. The file is ``--config``, else ``BATON_CONFIG``, else ``baton.toml`` in the data directory when it is there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from baton.config.addresses import SERVICE_PORT, BindRequest, Endpoint, is_unspecified, uri_endpoint
from baton.config.argv import CommandLine, read_command_line
from baton.config.checks import certificate_problems, find_key_file, together_problems, warnings_about
from baton.config.flag import Flag
from baton.config.flags import FLAGS
from baton.config.model import OFFCHAIN, BindAddress, Settings
from baton.config.money_checks import money_problems, money_warnings
from baton.config.origin import DEFAULT, Origin, Provenance, Source
from baton.config.sources import CONFIG_VARIABLE, Layer, Said, read_environment, read_file
from baton.config.values import BadValueError, Base, Raw
from baton.kernel.errors import ConfigError
from baton.kernel.redaction import HIDDEN, printable

__all__ = ["Loaded", "ManagementTarget", "load", "load_management", "load_words"]

_MANAGEMENT_HOST, _MANAGEMENT_PORT = "127.0.0.1", 7935
_MANAGEMENT_NAMES = ("network", "data-dir", "cli-addr")
_LARGEST_SECRET_FILE_BYTES = 1 << 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Valid settings and how they came to be."""

    settings: Settings
    provenance: tuple[Provenance, ...]
    """Every setting, in the order of the table, with its value fit to be shown."""
    warnings: tuple[str, ...] = ()
    config_file: Path | None = None

    @property
    def changed(self) -> tuple[Provenance, ...]:
        """Settings that some source gave."""
        return tuple(row for row in self.provenance if row.origin.source is not Source.DEFAULT)


@dataclass(frozen=True, slots=True)
class ManagementTarget:
    """How a command finds the node of this machine: where its management port is and where its token lies."""

    bind: BindAddress
    data_dir: Path


def load(args: Sequence[str] | CommandLine, *, environ: Mapping[str, str], home: Path, directory: Path) -> Loaded:
    """Settings of ``baton run`` for the words ``args`` after the command.

    Raises:
        ConfigError: with every problem found.
    """
    line = args if isinstance(args, CommandLine) else read_command_line(args)
    said, problems = _from_sources(line, environ, home, directory)
    return _load(said, [*line.problems, *problems])


def load_words(
    words: Mapping[str, Said], *, home: Path, directory: Path, problems: Sequence[str] = (), config_file: Path | None
) -> Loaded:
    """Settings from words that somebody else found, one for each setting that was given.

    Raises:
        ConfigError: with ``problems`` and every problem found here.
    """
    return _load(_Said((words,), home=home, directory=directory, config_file=config_file), list(problems))


def _load(said: "_Said", problems: list[str]) -> Loaded:
    values, bad = _read_values(said, FLAGS)
    problems += bad
    settings, bad = _assemble(values)
    problems += bad
    if settings is not None:
        problems += [*together_problems(settings), *money_problems(settings)]
    if problems or settings is None:
        raise ConfigError(tuple(dict.fromkeys(printable(problem) for problem in problems)))
    given = said.of("service-addr")
    return Loaded(
        settings,
        _provenance(said, settings),
        (
            *warnings_about(settings, service_addr_given=given is not None and given.raw != ""),
            *money_warnings(settings),
        ),
        said.config_file,
    )


def load_management(
    args: Sequence[str] | CommandLine, *, environ: Mapping[str, str], home: Path, directory: Path
) -> ManagementTarget:
    """Only what ``baton status`` and its kind need; problems of other settings are the node's business.

    Raises:
        ConfigError: an option that is unknown here, or one of the few settings is wrong.
    """
    line = args if isinstance(args, CommandLine) else read_command_line(args, names=_MANAGEMENT_NAMES)
    said, _problems_of_the_node = _from_sources(line, environ, home, directory)
    values, bad = _read_values(said, _MANAGEMENT_NAMES)
    problems = [*line.problems, *bad]
    if problems:
        raise ConfigError(tuple(problems))
    bind = cast("BindRequest", values["cli-addr"]).complete(host=_MANAGEMENT_HOST, port=_MANAGEMENT_PORT)
    return ManagementTarget(bind, cast("Path", values["data-dir"]))


class _Said:
    """What all sources say, strongest first, once the file is found."""

    def __init__(
        self, layers: Sequence[Mapping[str, Said]], *, home: Path, directory: Path, config_file: Path | None = None
    ) -> None:
        """``layers`` are the sources' words, strongest first."""
        self.home = home
        self.directory = directory
        self.config_file = config_file
        self._layers = layers

    def default_data_dir(self) -> Path:
        network = self.of("network")
        name = network.raw if network is not None else FLAGS["network"].default
        return self.home / ".baton" / Path(str(name).strip() or "offchain").name

    def of(self, name: str) -> Said | None:
        """The strongest word about a setting."""
        return next((layer[name] for layer in self._layers if name in layer), None)

    def effective(self, flag: Flag) -> Said:
        """The strongest word, or the default."""
        if flag.name == "data-dir" and self.of("data-dir") is None:
            return Said(str(self.default_data_dir()), DEFAULT, self.directory)
        return self.of(flag.name) or Said(flag.default, DEFAULT, self.directory)

    def base(self, said: Said) -> Base:
        """What relative paths of a value start from."""
        return Base(self.home, said.directory)


def _from_sources(
    line: CommandLine, environ: Mapping[str, str], home: Path, directory: Path
) -> tuple[_Said, tuple[str, ...]]:
    """What command line, environment and file say, and the problems of the last two."""
    flags = {name: Said(text, Origin(Source.FLAG, FLAGS[name].option), directory) for name, text in line.values.items()}
    environment = read_environment(environ, directory=directory)
    layers = (flags, environment.values)
    named = line.config if line.config is not None else environ.get(CONFIG_VARIABLE) or None
    file, layer = _find_file(named, _Said(layers, home=home, directory=directory))
    said = _Said((*layers, layer.values), home=home, directory=directory, config_file=file)
    return said, (*environment.problems, *layer.problems)


def _find_file(named: str | None, said: _Said) -> tuple[Path | None, Layer]:
    """The configuration file and its words; where it is may depend on what the stronger sources said."""
    if named is not None:
        if not named or "\0" in named:
            return None, Layer(problems=("--config must be a path",))
        path = Base(said.home, said.directory).resolve(named)
        return path, read_file(path, in_data_dir=False)
    place = said.of("data-dir")
    try:
        place = place or Said(str(said.default_data_dir()), DEFAULT, said.directory)
        data_dir = FLAGS["data-dir"].kind.read(place.raw, said.base(place))
    except BadValueError:
        return None, Layer()
    path = cast("Path", data_dir) / "baton.toml"
    try:
        found = path.is_file()
    except OSError:  # a directory that we may not enter: whoever uses it says so
        found = False
    return (path, read_file(path, in_data_dir=True)) if found else (None, Layer())


def _read_values(said: _Said, names: Iterable[str]) -> tuple[dict[str, object], list[str]]:
    """Typed values by name, without those that are wrong, and the problems of those."""
    values: dict[str, object] = {}
    problems: list[str] = []
    for name in names:
        flag, word = FLAGS[name], said.effective(FLAGS[name])
        try:
            raw = _from_file(word.raw, said.base(word)) if flag.value_or_file else word.raw
            values[name] = flag.kind.read(raw, said.base(word))
        except BadValueError as problem:
            sentence = problem.reason if problem.whole else f"--{name} {problem.reason}"
            problems.append(f"{sentence}; got {_shown(flag, word.raw)!r} from {word.origin}")
    return values, problems


def _from_file(raw: Raw, base: Base) -> Raw:
    """The content of the file that a value-or-file setting names, trimmed; else the value itself (operator.md 2)."""
    if not isinstance(raw, str) or not raw or "\0" in raw:
        return raw
    file = base.resolve(raw)
    try:
        if not file.is_file():
            return raw
        content = _read_bounded(file)
        text = content.decode("utf-8").strip()
    except (OSError, ValueError) as problem:
        # Too long for a file name, or no permission to look: then it is the value. A file that is there but cannot
        # be read is an error, since its path is certainly not what was meant.
        if isinstance(problem, PermissionError | UnicodeDecodeError):
            message = "names a file that cannot be read"
            raise BadValueError(message) from None
        return raw
    if len(content) > _LARGEST_SECRET_FILE_BYTES:
        message = "names a file that is too large"
        raise BadValueError(message)
    return text if content else raw


def _read_bounded(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_LARGEST_SECRET_FILE_BYTES + 1)


def _assemble(values: Mapping[str, object]) -> tuple[Settings | None, list[str]]:
    """The settings tree, its gaps filled; None when a value is missing because it was wrong."""
    by_target: dict[str, object] = {FLAGS[name].target: value for name, value in values.items()}
    problems: list[str] = []
    if {"cert-file", "key-file"} <= values.keys():
        problems += certificate_problems(
            cast("Path | None", values["cert-file"]), cast("Path | None", values["key-file"])
        )
    is_onchain = values.get("network", OFFCHAIN) != OFFCHAIN
    if {"eth-keystore-path", "eth-acct-addr", "data-dir"} <= values.keys():
        file, bad = find_key_file(
            cast("Path | None", values["eth-keystore-path"]),
            account=str(values["eth-acct-addr"]),
            data_dir=cast("Path", values["data-dir"]),
            is_needed=is_onchain,
        )
        by_target["key.keystore_file"] = file
        problems += bad
    if len(values) < len(FLAGS):
        return None, problems
    listen = cast("BindRequest", values["http-addr"])
    uri = _own_uri(listen) if values["service-addr"] is None else str(values["service-addr"])
    port = uri_endpoint(uri).port if uri else None
    by_target["access.verify_signatures"] = is_onchain or values["verify-signatures"]
    by_target["port.service_uri"] = uri
    by_target["port.bind"] = listen.complete(host="", port=port or SERVICE_PORT)
    by_target["management.bind"] = cast("BindRequest", values["cli-addr"]).complete(
        host=_MANAGEMENT_HOST, port=_MANAGEMENT_PORT
    )
    return _build(Settings, by_target, ""), problems


def _own_uri(listen: BindRequest) -> str:
    """What an off-chain node calls itself when it is not told: we ask no third party for our public address."""
    host = "127.0.0.1" if is_unspecified(listen.host) else listen.host
    return f"{'https' if listen.tls else 'http'}://{Endpoint(host, listen.port or SERVICE_PORT)}"


def _build(cls: type[T], values: Mapping[str, object], prefix: str) -> T:
    """An instance of a settings class from dotted field names."""
    hints = get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for item in fields(cast("Any", cls)):
        name = prefix + item.name
        section = hints[item.name]
        nested = name not in values and is_dataclass(section)
        arguments[item.name] = _build(cast("type[Any]", section), values, f"{name}.") if nested else values[name]
    return cls(**arguments)


def _provenance(said: _Said, settings: Settings) -> tuple[Provenance, ...]:
    bind = settings.port.bind
    worked_out = {
        "data-dir": str(settings.data_dir),
        "service-addr": settings.port.service_uri,
        "verify-signatures": str(settings.access.verify_signatures).lower(),
        "http-addr": str(Endpoint(bind.host, bind.port)) if bind.host else f"all interfaces, port {bind.port}",
    }
    rows: list[Provenance] = []
    for flag in FLAGS.values():
        word = said.effective(flag)
        shown = _shown(flag, word.raw)
        if word.origin.source is Source.DEFAULT:
            shown = worked_out.get(flag.name, shown) or f"({flag.default_note or 'none'})"
        rows.append(Provenance(flag.name, shown, word.origin))
    return tuple(rows)


def _shown(flag: Flag, raw: Raw) -> str:
    """A source's value fit to be shown: secrets hidden, credentials cut from URLs, harmless characters only."""
    if flag.secret:
        return HIDDEN if raw not in ("", ()) else ""
    if isinstance(raw, bool):
        return str(raw).lower()
    text = ",".join(raw) if isinstance(raw, tuple) else str(raw)
    return printable(flag.kind.show(text), limit=300)
