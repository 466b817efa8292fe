"""Every setting of the node, one literal row each: its name, kind, default, help and the field it sets.

Pure. One name serves everywhere: ``max-sessions`` is ``--max-sessions`` on the command line, ``BATON_MAX_SESSIONS``
in the environment and ``max-sessions = 4`` in ``baton.toml``. Names that the reference has are its own in kebab-case,
with its defaults. Rows about money are in ``config.money_flags``; settings that later versions bring are in
``config.later``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from baton.config import addresses, values
from baton.config.devices import device_list
from baton.config.flag import Flag
from baton.config.model import LogFormat
from baton.config.money_flags import MONEY_ROWS
from baton.config.values import BadValueError, Base, Kind, Raw, read_text

__all__ = ["FLAGS", "LOG_LEVELS", "X264_PRESETS"]

LOG_LEVELS = ("error", "warning", "info", "debug")
X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_WARNING_VERBOSITY, _INFO_VERBOSITY, _DEBUG_VERBOSITY = 1, 3, 5


def _level_from_verbosity(word: str) -> str:
    """Also understand the reference's numbers: 0 is errors only, its default 3 is info, above 4 is debug."""
    if not word.isascii() or not word.isdigit() or len(word) > 3:  # noqa: PLR2004 -- three digits are verbosity enough
        return word
    number = int(word)
    if number >= _DEBUG_VERBOSITY:
        return "debug"
    if number >= _INFO_VERBOSITY:
        return "info"
    return "warning" if number >= _WARNING_VERBOSITY else "error"


def _read_network(raw: Raw, _base: Base) -> str:
    name = read_text(raw)
    if name != "offchain":
        message = f"{name!r} is not supported yet by this version; the only network is offchain"
        raise BadValueError(message)
    return name


_MOST_SESSIONS = 1_000_000


def _read_sessions(raw: Raw, base: Base) -> int:
    text = read_text(raw)
    if text == "auto":
        message = "'auto' cannot be used by a node with its own transcoder"
        raise BadValueError(message)
    try:
        return int(str(values.count(1, _MOST_SESSIONS).read(text, base)))
    except BadValueError:
        message = "must be 'auto' or greater than zero"
        raise BadValueError(message) from None


_NETWORK = Kind("network name", _read_network)
_SESSIONS = Kind("number above 0", _read_sessions)

_B = values.boolean()
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_DAY_S = 86_400.0

_ADDRESSES, _VIDEO, _STORE, _ACCESS = "Network and addresses", "Transcoding", "Renditions", "Access"
_KEYS, _LIMITS, _OPS = "Keys", "Limits of the service port", "Running the node"

_ROWS = (
    # Network and addresses.
    Flag("network", "network", _NETWORK, "offchain", "Network the node works in.", _ADDRESSES),
    Flag(
        "data-dir",
        "data_dir",
        values.path(),
        "",
        "Directory of everything the node keeps.",
        _ADDRESSES,
        default_note="~/.baton/<network>",
    ),
    Flag(
        "service-addr",
        "port.service_uri",
        addresses.service_uri(),
        "",
        "Public address that gateways use. `none`: this node takes no work and only advertises --nodes.",
        _ADDRESSES,
        default_note="https://127.0.0.1:8935, with a warning: only this machine can reach it",
    ),
    Flag(
        "http-addr",
        "port.bind",
        addresses.bind(scheme=True),
        "",
        "Where the service port listens. `http://host:port`: cleartext, for use behind a TLS proxy.",
        _ADDRESSES,
        default_note="all interfaces, port of the service address",
    ),
    Flag(
        "cli-addr",
        "management.bind",
        addresses.bind(scheme=False),
        "127.0.0.1:7935",
        "Where the management port listens (health, status, drain, metrics).",
        _ADDRESSES,
    ),
    Flag(
        "nodes",
        "port.nodes",
        addresses.nodes(),
        "",
        "Further instances of this orchestrator, told to gateways.",
        _ADDRESSES,
        default_note="none",
    ),
    Flag(
        "startup-availability-check",
        "port.startup_availability_check",
        _B,
        "true",
        "Call the own service address after the start; a failure warns and is retried.",
        _ADDRESSES,
    ),
    Flag(
        "cert-file",
        "port.certificate_file",
        values.optional_path(),
        "",
        "PEM certificate chain of the service port; reloaded when it changes.",
        _ADDRESSES,
        default_note="a self-signed pair in the data directory",
    ),
    Flag(
        "key-file",
        "port.private_key_file",
        values.optional_path(),
        "",
        "PEM private key that belongs to --cert-file.",
        _ADDRESSES,
    ),
    # Transcoding.
    Flag("transcoder", "video.transcoder", _B, "true", "Transcode on this machine.", _VIDEO),
    Flag(
        "nvidia",
        "engine.nvidia",
        device_list(),
        "",
        "NVIDIA cards to transcode on, numbered as `nvidia-smi -L` lists them.",
        _VIDEO,
        default_note="software only",
    ),
    Flag(
        "test-transcoder",
        "engine.offer_tested",
        _B,
        "true",
        "With cards: offer all that their test proved. False: of that, only what every node must be able to do.",
        _VIDEO,
    ),
    Flag("max-sessions", "video.max_sessions", _SESSIONS, "10", "Streams that may be open at once.", _VIDEO),
    Flag(
        "engine-children",
        "engine.children",
        values.count(1, 256),
        "2",
        "Segments transcoded at the same time, one per child process.",
        _VIDEO,
    ),
    Flag(
        "encoder-preset",
        "engine.preset",
        values.choice(*X264_PRESETS),
        "medium",
        "Speed preset of the software encoders: faster costs quality.",
        _VIDEO,
    ),
    Flag(
        "engine-threads",
        "engine.threads",
        values.count(0, 256),
        "0",
        "Codec threads per rendition; 0 lets the codec decide.",
        _VIDEO,
    ),
    Flag(
        "engine-memory-limit",
        "engine.memory_limit_bytes",
        values.size(256 * _MIB, 1024 * _GIB),
        "4GiB",
        "An engine child that grows beyond this is replaced.",
        _VIDEO,
    ),
    Flag(
        "engine-recycle-after",
        "engine.recycle_after_jobs",
        values.count(1, 1_000_000),
        "500",
        "An engine child is replaced after this many segments.",
        _VIDEO,
    ),
    # Renditions.
    Flag(
        "object-store",
        "storage.object_store",
        addresses.object_store(),
        "",
        "Directory or bucket that keeps renditions instead of memory.",
        _STORE,
        default_note="memory",
    ),
    Flag(
        "media-memory-limit",
        "storage.memory_limit_bytes",
        values.size(16 * _MIB, 1024 * _GIB),
        "2GiB",
        "Bytes of renditions kept, in memory or in the directory; fetched ones go first.",
        _STORE,
    ),
    Flag(
        "media-grace",
        "storage.grace_s",
        values.duration(30, _DAY_S),
        "60s",
        "How long renditions stay once they were fetched, and again once their session ended.",
        _STORE,
    ),
    # Access.
    Flag(
        "auth-webhook-url",
        "access.auth_webhook_url",
        addresses.web_url(),
        "",
        "Asked before a gateway is served.",
        _ACCESS,
        default_note="everybody is served",
    ),
    Flag(
        "auth-webhook-timeout",
        "access.auth_webhook_timeout_s",
        values.duration(0.1, 30),
        "2s",
        "Longest wait for the webhook; then only gateways it let in within 30 minutes are answered.",
        _ACCESS,
    ),
    Flag(
        "verify-signatures",
        "access.verify_signatures",
        _B,
        "false",
        "Demand valid signatures of gateways although there is no chain.",
        _ACCESS,
    ),
    Flag(
        "fetch-private-networks",
        "access.fetch_private_networks",
        _B,
        "false",
        "Let gateways name segments on loopback and private addresses.",
        _ACCESS,
    ),
    # Keys.
    Flag(
        "eth-keystore-path",
        "key.keystore_file",
        values.optional_path(),
        "",
        "Key file, or directory of key files, of the account that signs results.",
        _KEYS,
        default_note="results are not signed; with --eth-acct-addr, keystore/ in the data directory",
    ),
    Flag(
        "eth-acct-addr",
        "key.account_hex",
        values.account(),
        "",
        "Account to use when the keystore holds several.",
        _KEYS,
        default_note="the first by file name",
    ),
    Flag(
        "eth-password",
        "key.password",
        values.plain("text or file"),
        "",
        "Passphrase of the key, or a file that holds it.",
        _KEYS,
        default_note="the empty passphrase",
        secret=True,
        value_or_file=True,
    ),
    *MONEY_ROWS,
    # Limits of the service port.
    Flag(
        "header-timeout",
        "port.limits.header_timeout_s",
        values.duration(1, 300),
        "10s",
        "Time for the handshake and the first request's header.",
        _LIMITS,
    ),
    Flag(
        "body-idle-timeout",
        "port.limits.body_idle_timeout_s",
        values.duration(1, 3600),
        "30s",
        "Longest pause between two parts of a request body.",
        _LIMITS,
    ),
    Flag(
        "idle-timeout",
        "port.limits.idle_timeout_s",
        values.duration(10, _DAY_S),
        "10m",
        "A connection without requests is closed after this.",
        _LIMITS,
    ),
    Flag(
        "max-connections",
        "port.limits.max_connections",
        values.count(1, 1_000_000),
        "2048",
        "Open connections.",
        _LIMITS,
    ),
    Flag(
        "max-connections-per-address",
        "port.limits.max_connections_per_address",
        values.count(1, 1_000_000),
        "512",
        "Open connections of one peer address.",
        _LIMITS,
    ),
    Flag(
        "max-streams-per-connection",
        "port.limits.max_streams_per_connection",
        values.count(1, 65_535),
        "256",
        "Requests at once on one HTTP/2 connection.",
        _LIMITS,
    ),
    Flag(
        "max-header-size",
        "port.limits.max_header_bytes",
        values.size(64 * _KIB, 16 * _MIB),
        "1MiB",
        "Largest request header; payments of gateways need most of it.",
        _LIMITS,
    ),
    # Running the node.
    Flag("monitor", "management.monitor", _B, "false", "Measure, and serve /metrics on the management port.", _OPS),
    Flag("metrics-per-stream", "management.metrics_per_stream", _B, "false", "Tell streams apart in metrics.", _OPS),
    Flag(
        "drain-timeout",
        "lifecycle.drain_timeout_s",
        values.duration(0, _DAY_S),
        "30s",
        "Time that running segments get after SIGTERM.",
        _OPS,
    ),
    Flag(
        "log-format",
        "logs.format",
        values.enumeration(LogFormat),
        "auto",
        "How log lines look; auto is console on a terminal, else JSON.",
        _OPS,
    ),
    Flag(
        "log-level",
        "logs.level",
        values.choice(*LOG_LEVELS, aliases=_level_from_verbosity),
        "info",
        "Least important lines that are logged; the reference's numbers 0 to 6 are understood.",
        _OPS,
        short="v",
    ),
)

FLAGS: Mapping[str, Flag] = MappingProxyType({row.name: row for row in _ROWS})
"""Every setting by name, in the order of help and reference page."""
