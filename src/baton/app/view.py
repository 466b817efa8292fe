"""What the running parts show their operator: read views for ``ops.status``, and a tally of refusals."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from baton.app.engines import Engines
from baton.jobs.streams import Streams
from baton.kernel.capabilities import Capabilities, capability_name, ids_from_bits
from baton.kernel.clock import Clock
from baton.kernel.metrics import Metrics
from baton.ops.status import CardStatus, DeviceStatus, EngineStatus, SessionStatus, StoreStatus

__all__ = ["KeepsObjects", "NodeView", "Tally"]


class Tally:
    """Metrics that also remember how often what was refused. Satisfies ``Metrics``."""

    _COUNTED: Mapping[str, str] = {
        "segment_refusals_total": "segment",
        "port_refusals_total": "port",
        "transcode_failures_total": "transcode",
    }

    def __init__(self, behind: Metrics) -> None:
        """Everything goes on to ``behind``."""
        self._behind = behind
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Refusals since the start, by what refused and why."""
        return dict(self._counts)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        self._behind.set(name, value, **labels)

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Raise a counter, and the tally when it counts refusals."""
        self._behind.add(name, amount, **labels)
        prefix = self._COUNTED.get(name)
        if prefix is not None:
            self._counts[f"{prefix}: {labels['reason']}"] += int(amount)
        elif name == "discovery_requests_total" and labels["outcome"] != "answered":
            self._counts[f"discovery: {labels['outcome']}"] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram."""
        self._behind.observe(name, value, **labels)

    def forget_stream(self, manifest_id: str) -> None:
        """A stream is over."""
        self._behind.forget_stream(manifest_id)


class KeepsObjects(Protocol):
    """A store that can say how full it is."""

    @property
    def kept(self) -> tuple[int, int]:
        """Bytes and number of the objects kept now."""
        ...


class NodeView:
    """Satisfies ``ops.status.StatusView``."""

    def __init__(
        self,
        *,
        capabilities: Callable[[], Capabilities],
        streams: Streams,
        engines: Engines | None,
        store: KeepsObjects,
        store_kind: str,
        store_limit_bytes: int,
        tally: Tally,
        clock: Clock,
        cards: Callable[[], tuple[CardStatus, ...]] = tuple,
    ) -> None:
        """``engines`` None on a node that transcodes nothing; ``cards`` tells of those in use."""
        self._cards = cards
        self._capabilities = capabilities
        self._streams = streams
        self._engines = engines
        self._store = store
        self._store_kind = store_kind
        self._store_limit_bytes = store_limit_bytes
        self._tally = tally
        self._clock = clock

    def capabilities(self) -> tuple[str, ...]:
        """What is advertised, in the network's words."""
        return tuple(capability_name(i) for i in ids_from_bits(self._capabilities().bits))

    def sessions(self) -> tuple[SessionStatus, ...]:
        """Open streams, oldest first."""
        now = self._clock.monotonic()
        rows = sorted(self._streams.table.sessions(), key=lambda s: s.opened_at)
        return tuple(
            SessionStatus(
                session_id=s.session_id,
                manifest_id=s.manifest_id,
                age_s=now - s.opened_at,
                busy=s.busy > 0,
                waiting=self._streams.waiting(s.session_id),
            )
            for s in rows
        )

    def engines(self) -> tuple[EngineStatus, ...]:
        """Engine children, the spare among them."""
        pools = self._engines.pools if self._engines is not None else ()
        return tuple(
            EngineStatus(name=child.name, state=child.state, pid=child.pid, jobs=child.jobs_done)
            for pool in pools
            for child in pool.children
        )

    def devices(self) -> tuple[DeviceStatus, ...]:
        """The devices that segments are transcoded on."""
        views = self._engines.devices.views if self._engines is not None else ()
        return tuple(
            DeviceStatus(
                name=view.name,
                state=view.state,
                sessions=view.sessions,
                load_px_per_s=view.load_px_per_s,
                reason=view.reason,
            )
            for view in views
        )

    def session_room(self) -> int:
        """Sessions that may be open now, with the devices that work."""
        return self._streams.table.room

    def cards(self) -> tuple[CardStatus, ...]:
        """Cards in use, in the operator's order."""
        return self._cards()

    def store(self) -> StoreStatus:
        """The rendition store."""
        used_bytes, objects = self._store.kept
        return StoreStatus(
            kind=self._store_kind, used_bytes=used_bytes, limit_bytes=self._store_limit_bytes, objects=objects
        )

    def refusals(self) -> Mapping[str, int]:
        """How often something was refused since the start, by reason."""
        return self._tally.counts
