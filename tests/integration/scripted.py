"""The whole application behind a real TLS port, with an engine that does what the test says.

For answers that no honest engine can be made to give, so that their way from the engine to the gateway is shown too.
Runs in a thread of its own, because the peer gateway is synchronous.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from baton.app.use_cases import Adapters, port_application
from baton.chain.signer import KeystoreSigner
from baton.config.model import BindAddress, PortSettings, Settings
from baton.jobs.offchain import OffchainPayments, TrustingCheck
from baton.jobs.ports import Payments, SenderCheck
from baton.jobs.streams import Streams
from baton.kernel.capabilities import Capabilities
from baton.kernel.clock import SystemClock
from baton.kernel.errors import BatonError
from baton.kernel.metrics import SilentMetrics
from baton.media.job import RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.node.drain import Drain, DrainState
from baton.storage.bucket import SessionStores
from baton.storage.memory import MemoryMediaStore
from baton.storage.secrets import TokenSecrets
from baton.storage.shelf import ShelfLimits
from baton.storage.spool import FileSpool
from baton.video.local import LocalTranscoder, SegmentEngine
from baton.video.sessions import SessionTable
from baton.wire.clients.fetch import HttpSegmentFetcher
from baton.wire.clients.post import HttpObjectPoster
from baton.wire.limits import ListenerLimits
from baton.wire.listener import Listener
from baton.wire.tls import CertificateSource
from tests.node import free_port
from tests.peer.keys import VECTOR_KEY

__all__ = ["STORE_BYTES", "FreeOfCharge", "Money", "Port", "ScriptedEngine", "ScriptedPort", "scripted_port", "serving"]

STORE_BYTES = 10_000
"""All the room its media store has."""

_T = TypeVar("_T")

_OFFERED = (*range(13), 26)


class ScriptedEngine:
    """Satisfies ``video.local.SegmentEngine``: raises ``error`` when there is one, else gives renditions back."""

    def __init__(self) -> None:
        """No script."""
        self.error: BatonError | None = None
        self.renditions: tuple[bytes, ...] | None = None
        self.inputs: list[Path] = []
        """Files it was given."""

    def forget(self) -> None:
        """No error, and whatever number of renditions is asked for."""
        self.error = self.renditions = None
        self.inputs.clear()

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        """What the script says; pixels of rendition n are n + 1."""
        del deadline_s, content_hash, stream_key
        self.inputs.append(Path(request.input_path))
        if self.error is not None:
            raise self.error
        data = self.renditions if self.renditions is not None else (bytes(100),) * len(request.profiles)
        outputs = tuple(
            RenditionOutput(data=each, pixels=n, frames=1, width=2, height=2) for n, each in enumerate(data, start=1)
        )
        return TranscodeOutput(renditions=outputs, decoded_px=4, decoded_frames=1, engine_ms=1)


class Money(Protocol):
    """How a port is paid; ``open`` and ``close`` run in its event loop."""

    @property
    def payments(self) -> Payments: ...

    @property
    def senders(self) -> SenderCheck: ...

    async def open(self) -> None: ...

    async def close(self) -> None: ...


class FreeOfCharge:
    """Satisfies ``Money``: an off-chain node's."""

    def __init__(self) -> None:
        """Nothing to keep."""
        self.payments: Payments = OffchainPayments()
        self.senders: SenderCheck = TrustingCheck()

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""


class Port:
    """A port before an engine and money of the test's choice. Its node signs with the key of the vectors."""

    def __init__(
        self, folder: Path, *, engine: SegmentEngine, money: Money | None = None, store_bytes: int = STORE_BYTES
    ) -> None:
        """Everything else is the real thing; ``folder`` holds its certificate, secrets and uploads."""
        clock, metrics = SystemClock(), SilentMetrics()
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.offered = Capabilities.offering(_OFFERED, version="0.9.1")
        self.money = money if money is not None else FreeOfCharge()
        drain = Drain()
        drain.move(DrainState.SERVING)
        store = MemoryMediaStore(
            base_uri=self.url, limits=ShelfLimits(total_bytes=store_bytes), clock=clock, metrics=metrics
        )
        parts = Adapters(
            settings=Settings(
                network="offchain",
                data_dir=folder,
                port=PortSettings(service_uri=self.url, bind=BindAddress("127.0.0.1", port)),
            ),
            clock=clock,
            metrics=metrics,
            signer=KeystoreSigner(VECTOR_KEY.secret),
            payments=self.money.payments,
            senders=self.money.senders,
            keys=TokenSecrets.load(folder / "token-secrets.json", clock=clock),
            streams=Streams(
                table=SessionTable(limit=100),
                stores=SessionStores(own=store, poster=HttpObjectPoster(allow_private=False), metrics=metrics),
                clock=clock,
                metrics=metrics,
            ),
            offers=None,
            served=store,
            spool=FileSpool(folder=folder / "work", metrics=metrics),
            fetcher=HttpSegmentFetcher(allow_private=False),
            transcoder=LocalTranscoder(engine=engine),
            gate=drain,
            webhook=None,
            capabilities=lambda: self.offered,
        )
        self._listener = Listener(
            app=port_application(parts).application,
            host="127.0.0.1",
            port=port,
            tls=CertificateSource.self_signed(folder, host="127.0.0.1", clock=clock).context,
            limits=ListenerLimits(),
            metrics=metrics,
            clock=clock,
        )
        self._up = threading.Event()
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def live(self) -> None:
        """Serve until ``end``."""
        self._loop = asyncio.get_running_loop()
        await self.money.open()
        try:
            await self._serve()
        finally:
            await self.money.close()

    async def _serve(self) -> None:
        await self._listener.start()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(self._listener.run())
                self._up.set()
                await self._stop.wait()
                running.cancel()
        finally:
            await self._listener.stop(1.0)

    def wait_up(self) -> None:
        """Return once it serves."""
        assert self._up.wait(timeout=20), "the port did not come up"

    def wait_for(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of ``work``, done in the port's event loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def end(self) -> None:
        """Stop serving."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


class ScriptedPort(Port):
    """A port and the engine behind it, free of charge."""

    def __init__(self, folder: Path) -> None:
        """``folder`` as for every port."""
        self.engine = ScriptedEngine()
        super().__init__(folder, engine=self.engine)


_P = TypeVar("_P", bound=Port)


@contextmanager
def serving(port: _P) -> Iterator[_P]:
    """The port serves while the context lasts."""
    thread = threading.Thread(target=lambda: asyncio.run(port.live()))
    thread.start()
    try:
        port.wait_up()
        yield port
    finally:
        port.end()
        thread.join(timeout=20)
    assert not thread.is_alive()


@contextmanager
def scripted_port(folder: Path) -> Iterator[ScriptedPort]:
    """A free port with a scripted engine that serves while the context lasts."""
    with serving(ScriptedPort(folder)) as port:
        yield port
