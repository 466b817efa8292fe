"""The node's settings as frozen values, one section per subsystem. Pure; validated by ``config.load`` before use.

Units live in names. Every field here is set by exactly one row of ``config.flags``.
"""

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path

from baton.kernel.amounts import PriceText
from baton.kernel.devices import NO_DEVICES, DeviceSelection

__all__ = [
    "OFFCHAIN",
    "AccessSettings",
    "BindAddress",
    "ChainSettings",
    "EngineSettings",
    "GatewayPrice",
    "KeySettings",
    "LifecycleSettings",
    "LogFormat",
    "LogSettings",
    "ManagementSettings",
    "MoneySettings",
    "PaymentSettings",
    "PortLimits",
    "PortSettings",
    "PriceText",
    "SandboxMode",
    "Settings",
    "StorageSettings",
    "VideoSettings",
]

OFFCHAIN = "offchain"
"""The network that is none: no chain, no prices, no payments."""


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where a listener binds. An empty host means all interfaces; ``tls`` False is cleartext with h2c."""

    host: str
    port: int
    tls: bool = True


@dataclass(frozen=True, slots=True)
class PortLimits:
    """What a stranger may take of the service port (video.md 1.1, 11.1 item 12)."""

    header_timeout_s: float = 10.0
    """Time to finish the handshake and the first request's header."""
    body_idle_timeout_s: float = 30.0
    """A request body may pause this long between two chunks."""
    idle_timeout_s: float = 600.0
    """A connection without requests is closed after this."""
    max_connections: int = 2048
    max_connections_per_address: int = 512
    max_streams_per_connection: int = 256
    max_header_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class PortSettings:
    """The public side: what we call ourselves and where we listen."""

    service_uri: str
    """Advertised base URI without trailing slash; empty means this node takes no work itself."""
    bind: BindAddress
    nodes: tuple[str, ...] = ()
    certificate_file: Path | None = None
    private_key_file: Path | None = None
    startup_availability_check: bool = True
    limits: PortLimits = PortLimits()


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Streams and how many of them."""

    transcoder: bool = True
    max_sessions: int = 10


class SandboxMode(Enum):
    """Whether engine children are put into a cell."""

    AUTO = "auto"
    """As far as the kernel can."""
    REQUIRE = "require"
    """Completely, or the node does not start."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Engine children of this machine."""

    children: int = 2
    """Segments transcoded at the same time, one per child process."""
    preset: str = "medium"
    """Speed preset of the software encoders."""
    threads: int = 0
    """Codec threads per rendition; 0 lets the codec decide."""
    buffer_s: float = 1.0
    """How many seconds of its bitrate a rendition's rate buffer holds."""
    hdr: str = "tonemap"
    """``tonemap`` or ``passthrough``."""
    hevc_encoding: str = "auto"
    """``auto``, ``true`` or ``false``."""
    hevc_decoding: str = "auto"
    """``auto``, ``true`` or ``false``."""
    memory_limit_bytes: int = 4 << 30
    """A child that grows beyond this is replaced."""
    recycle_after_jobs: int = 500
    """A child is replaced after this many segments, whatever its health."""
    sessions_per_device: int = 0
    """Sessions that work on one device at most; 0 is no limit of its own."""
    load_per_device_px_per_s: int = 0
    """Sum of their costs in requested pixels per second; 0 is no limit."""
    nvidia: DeviceSelection = NO_DEVICES
    """Cards to transcode on; the empty selection is software."""
    offer_tested: bool = True
    """Offer whatever the test of the cards proved; else only the mandatory part of it (operator.md 9.4)."""
    sandbox: SandboxMode = SandboxMode.AUTO
    """Whether children are kept from files, sockets and processes."""
    paths: tuple[str, ...] = ()
    """Device nodes and folders that children may use besides."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where renditions wait for the gateway."""

    object_store: str = field(default="", repr=False)
    """Empty: in memory, served under ``/stream/``. A path: a local directory, served likewise. With a scheme: a bucket,
    as ``config.stores`` reads it, its credentials included. Never printed as it is."""
    memory_limit_bytes: int = 2 << 30
    grace_s: float = 60.0
    """How long renditions stay after their session ended."""


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may ask and what they may make us fetch."""

    auth_webhook_url: str = ""
    auth_webhook_timeout_s: float = 2.0
    verify_signatures: bool = False
    """Demand valid gateway signatures although there is no chain."""
    fetch_private_networks: bool = False
    """Let segments be fetched from loopback and private addresses."""


@dataclass(frozen=True, slots=True)
class KeySettings:
    """The node's own account; without a key file results are not signed."""

    keystore_file: Path | None = None
    account_hex: str = ""
    password: str = ""
    """The passphrase itself, already read from its file when one was named. Never printed."""


@dataclass(frozen=True, slots=True)
class MoneySettings:
    """Where money is on record, and what nodes that share the record have in common."""

    database_url: str = field(default="", repr=False)
    """Empty: a file in the data directory. It may hold a password. Never printed as it is."""
    cluster_secrets: tuple[str, ...] = field(default=(), repr=False)
    """The one in use first; at most two. Never printed."""


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The chain and how it is watched; nothing of it is used off-chain."""

    url: str = field(default="", repr=False)
    """JSON-RPC endpoint. It may hold a key: never printed."""
    controller_hex: str = ""
    """The Controller contract, as ``0x`` and lower-case hex."""
    polling_interval_s: float = 5.0
    min_gas_price_wei: int = 0
    stale_after_s: float = 120.0
    """A chain that was not seen for this long is not believed."""


@dataclass(frozen=True, slots=True)
class GatewayPrice:
    """What one gateway pays instead of the price for all."""

    gateway_hex: str
    price: PriceText
    pixels_per_unit: int


_NO_GATEWAYS: tuple[GatewayPrice, ...] = ()


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """Prices and tickets; nothing of it is used off-chain."""

    recipient_hex: str = ""
    """Who gateways pay, as ``0x`` and lower-case hex; empty is the node's own account."""
    price: PriceText | None = None
    """Of ``pixels_per_unit`` pixels. Never None on a chain."""
    pixels_per_unit: int = 1
    price_per_gateway: tuple[GatewayPrice, ...] = _NO_GATEWAYS
    price_feed_hex: str = "0x639fe6ab55c921f74e7fac1ee960c0b6293ba612"
    """Contract that prices in a currency go by; empty: there is none."""
    price_step_most: Fraction = Fraction(11, 10)
    """The largest factor by which an exchange rate moves in an hour; 1 is no bound."""
    auto_adjust: bool = True
    """Whether the cost of redemption is added to prices."""
    overhead_most: Fraction = Fraction(3, 2)
    """The largest factor by which it may raise them."""
    ticket_ev_wei: int = 8_000_000_000
    max_face_value_wei: int = 0
    """0 is no limit."""
    redeem_gas: int = 350_000
    idle_account_s: float = 86_400.0
    """A silent account is forgotten after this."""


@dataclass(frozen=True, slots=True)
class ManagementSettings:
    """The operator's port: health, status, drain, metrics."""

    bind: BindAddress = BindAddress("127.0.0.1", 7935, tls=False)
    monitor: bool = False
    metrics_per_stream: bool = False
    """Tell streams apart in the metrics of segments."""


class LogFormat(Enum):
    """How log lines look."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged and how."""

    format: LogFormat = LogFormat.AUTO
    level: str = "info"


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    """How the node ends."""

    drain_timeout_s: float = 30.0
    """Time that running segments get after SIGTERM."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything ``baton run`` needs to know."""

    network: str
    data_dir: Path
    port: PortSettings
    video: VideoSettings = VideoSettings()
    engine: EngineSettings = EngineSettings()
    storage: StorageSettings = StorageSettings()
    access: AccessSettings = AccessSettings()
    key: KeySettings = KeySettings()
    money: MoneySettings = MoneySettings()
    chain: ChainSettings = ChainSettings()
    payments: PaymentSettings = PaymentSettings()
    management: ManagementSettings = ManagementSettings()
    logs: LogSettings = LogSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()

    @property
    def is_onchain(self) -> bool:
        """Whether the node lives on a chain: it is paid, and nobody is believed without a signature."""
        return self.network != OFFCHAIN
