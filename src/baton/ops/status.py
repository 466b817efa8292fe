"""What the node tells its operator about itself: frozen values, the port they come through, and their JSON.

Pure. ``StatusView`` is what the assembler provides; everything else is put together here. Session ids are shortened,
because an id is the half of a stream's credentials that an operator does not need.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from baton.config.origin import Origin, Provenance, Source
from baton.kernel.clock import Clock
from baton.kernel.ids import SessionId, shown_session
from baton.kernel.redaction import printable
from baton.kernel.version import NODE_VERSION, VERSION
from baton.node.drain import Drain
from baton.node.health import Health
from baton.ops.money import MoneyView, status_json

__all__ = [
    "CardStatus",
    "DeviceStatus",
    "EngineStatus",
    "EngineTest",
    "SessionLimit",
    "SessionStatus",
    "StatusBoard",
    "StatusView",
    "StoreStatus",
]

_MOST_SESSIONS = 200
"""Sessions listed at most; the count is always the true one."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One open stream. ``waiting`` counts its segments that wait for their turn."""

    session_id: str
    manifest_id: str
    age_s: float
    busy: bool
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine child: its slot, process, what it does (``idle``, ``busy``, ``starting``, …) and how much it did."""

    name: str
    state: str
    pid: int = 0
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class EngineTest:
    """What a device's first test found: library, encoders, speeds, and what is not offered with its reason."""

    device: str = ""
    engine: str = ""
    encoders: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    not_offered: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device: ``healthy``, ``suspect``, ``quarantined`` or ``untested``, what it carries, and what is wrong."""

    name: str
    state: str
    sessions: int
    load_px_per_s: int
    """Sum of the costs of its sessions, in requested pixels per second."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CardStatus:
    """One card as its driver tells: ``ok``, ``unknown`` or what is wrong, and how it fares; None is not told."""

    device: str
    """``nvidia-0``."""
    name: str
    uuid: str
    state: str
    reason: str = ""
    """Why it is not ``ok``, for people."""
    memory_used_bytes: int | None = None
    memory_bytes: int | None = None
    gpu_percent: int | None = None
    encoder_percent: int | None = None
    decoder_percent: int | None = None
    temperature_c: int | None = None
    encoder_sessions: int | None = None
    """Encoder sessions open on the card, those of other programs too."""
    throttled: bool | None = None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Renditions kept: bytes, the limit in bytes (0: none) and how many."""

    kind: str
    used_bytes: int
    limit_bytes: int
    objects: int


class StatusView(Protocol):
    """Read views of the running parts; each call is quick and never fails."""

    def capabilities(self) -> tuple[str, ...]:
        """What is advertised, in the network's words."""
        ...

    def sessions(self) -> tuple[SessionStatus, ...]:
        """Open streams, oldest first."""
        ...

    def engines(self) -> tuple[EngineStatus, ...]:
        """Engine children."""
        ...

    def devices(self) -> tuple[DeviceStatus, ...]:
        """The devices that segments are transcoded on."""
        ...

    def session_room(self) -> int:
        """Sessions that may be open now: the limit, less what broken devices would have taken."""
        ...

    def cards(self) -> tuple[CardStatus, ...]:
        """Cards in use, in the operator's order; none on a node that works in software."""
        ...

    def store(self) -> StoreStatus:
        """The rendition store."""
        ...

    def refusals(self) -> Mapping[str, int]:
        """How often something was refused since the start, by reason."""
        ...


class SessionLimit(Protocol):
    """The limit of open sessions, which an operator may change while the node runs."""

    @property
    def value(self) -> int:
        """The limit in force."""
        ...

    @property
    def origin(self) -> Origin | None:
        """Where it comes from when an operator set it at run time; None while it is the configured one."""
        ...

    async def change(self, limit: int) -> None:
        """Put ``limit`` in force, now and after restarts.

        Raises:
            OSError: it cannot be kept; the limit is what it was.
        """
        ...


@dataclass(frozen=True, slots=True)
class StatusBoard:
    """Everything the status answer is made of."""

    view: StatusView
    drain: Drain
    health: Health
    clock: Clock
    started_monotonic_s: float
    service_uri: str
    session_limit: SessionLimit
    settings: tuple[Provenance, ...] = field(default=())
    engine_tests: Callable[[], tuple[EngineTest, ...]] = tuple
    money: MoneyView | None = None
    """None on a node that nobody pays."""
    at_run_time: Callable[[], Mapping[str, tuple[str, Origin]]] = dict
    """Further settings that were changed while the node ran: what is in force, and since what."""

    def as_json(self) -> dict[str, object]:
        """The answer of ``GET /baton/status``; field names are stable."""
        sessions = self.view.sessions()
        return {
            "version": VERSION,
            "node_version": NODE_VERSION,
            "state": self.drain.state.value,
            "ready": self.health.ready,
            "reasons": self.reasons(),
            "uptime_s": round(self.clock.monotonic() - self.started_monotonic_s, 3),
            "service_uri": self.service_uri,
            "capabilities": list(self.view.capabilities()),
            "max_sessions": self.session_limit.value,
            "session_room": self.view.session_room(),
            "session_count": len(sessions),
            "sessions": [_session(session) for session in sessions[:_MOST_SESSIONS]],
            "devices": [
                {**asdict(device), "reason": printable(device.reason, limit=300)} for device in self.view.devices()
            ],
            "engines": [asdict(engine) for engine in self.view.engines()],
            "engine_tests": [_engine_test(test) for test in self.engine_tests()],
            "cards": [_card(card) for card in self.view.cards()],
            "store": asdict(self.view.store()),
            "money": status_json(self.money.status()) if self.money is not None else None,
            "refusals": {printable(reason, limit=80): n for reason, n in sorted(self.view.refusals().items())},
            "settings": [
                {
                    "name": row.name,
                    "value": row.shown,
                    "source": row.origin.source.value,
                    "where": printable(row.origin.where, limit=300),
                }
                for row in self._settings_in_force()
                if row.origin.source is not Source.DEFAULT
            ],
        }

    def _settings_in_force(self) -> Iterator[Provenance]:
        changed = dict(self.at_run_time())
        if self.session_limit.origin is not None:
            changed["max-sessions"] = (str(self.session_limit.value), self.session_limit.origin)
        for row in self.settings:
            shown, origin = changed.get(row.name, (row.shown, row.origin))
            yield replace(row, shown=shown, origin=origin)

    def reasons(self) -> list[dict[str, str]]:
        """What keeps the node from being ready."""
        return [{"fact": reason.fact, "reason": printable(reason.text, limit=300)} for reason in self.health.reasons()]


def _card(card: CardStatus) -> dict[str, object]:
    # The words come from the driver.
    words = {name: printable(getattr(card, name), limit=300) for name in ("name", "uuid", "state", "reason")}
    return asdict(card) | words


def _session(session: SessionStatus) -> dict[str, object]:
    return {
        "session_id": printable(shown_session(SessionId(session.session_id))),
        "manifest_id": printable(session.manifest_id, limit=80),
        "age_s": round(session.age_s, 1),
        "busy": session.busy,
        "waiting": session.waiting,
    }


def _engine_test(test: EngineTest) -> dict[str, object]:
    return {
        "device": test.device,
        "engine": test.engine,
        "encoders": list(test.encoders),
        "measured": list(test.measured),
        "not_offered": [{"name": name, "reason": printable(why, limit=300)} for name, why in test.not_offered],
    }
