"""Every setting of the node, one literal row each: its name, kind, default, help and the field it sets.

Pure. One name serves everywhere: ``max-sessions`` is ``--max-sessions`` on the command line, ``BATON_MAX_SESSIONS``
in the environment and ``max-sessions = 4`` in ``baton.toml``. Names that the reference has are its own in kebab-case,
with its defaults. Rows about money are in ``config.money_flags``; settings that later versions bring are in
``config.later``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from baton.config import addresses, node_values, values
from baton.config.devices import device_list
from baton.config.encoding_flags import ENCODING
from baton.config.flag import TRANSCODING, Flag
from baton.config.model import LogFormat, SandboxMode
from baton.config.money_flags import CHAIN, PRICES
from baton.config.record_flags import RECORD

__all__ = ["FLAGS", "LOG_LEVELS"]


LOG_LEVELS = ("error", "warning", "info", "debug")
_B = values.boolean()
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_DAY_S = 86_400.0

_ADDRESSES, _STORE, _ACCESS = "Network and addresses", "Renditions", "Access"
_VIDEO = TRANSCODING
_KEYS, _LIMITS, _OPS = "Keys", "Limits of the service port", "Running the node"

_ROWS = (
    # Network and addresses.
    Flag("network", "network", node_values.network(), "offchain", "Network the node works in.", _ADDRESSES),
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
    Flag(
        "max-sessions", "video.max_sessions", node_values.sessions(), "10", "Streams that may be open at once.", _VIDEO
    ),
    Flag(
        "engine-children",
        "engine.children",
        values.count(1, 256),
        "2",
        "Segments transcoded at the same time, one per child process.",
        _VIDEO,
    ),
    *ENCODING,
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
    Flag(
        "engine-sandbox",
        "engine.sandbox",
        values.enumeration(SandboxMode),
        "auto",
        "Keep engine children from files, network and processes. `auto`: as far as the kernel can. `require`: or end.",
        _VIDEO,
    ),
    Flag(
        "engine-paths",
        "engine.paths",
        values.patterns(),
        "",
        "Device nodes and folders that engine children may use besides, like `/dev/dri`.",
        _VIDEO,
        default_note="the nodes of the cards that a child works on",
    ),
    Flag(
        "max-sessions-per-device",
        "engine.sessions_per_device",
        values.count(0, 1_000_000),
        "0",
        "Streams at work on one device; 0 sets no limit beside --max-sessions.",
        _VIDEO,
    ),
    Flag(
        "max-load-per-device",
        "engine.load_per_device_px_per_s",
        node_values.megapixels(),
        "0",
        "Requested pixels per second on one device, in millions; 0 sets no limit.",
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
        "Demand valid signatures of gateways off-chain too; on a chain they always must be valid.",
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
    *CHAIN,
    *PRICES,
    *RECORD,
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
        values.choice(*LOG_LEVELS, aliases=node_values.level_from_verbosity),
        "info",
        "Least important lines that are logged; the reference's numbers 0 to 6 are understood.",
        _OPS,
        short="v",
    ),
)

FLAGS: Mapping[str, Flag] = MappingProxyType({row.name: row for row in _ROWS})
"""Every setting by name, in the order of help and reference page."""
