"""Mutated clients: whatever bytes come, the connection ends by the protocol's rules or goes on, and nobody notices."""

import asyncio
import random
from collections.abc import Callable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from baton.kernel.clock import SystemClock
from baton.wire.http2 import Http2Protocol
from baton.wire.limits import ListenerLimits
from baton.wire.port_state import PortState
from baton.wire.replies import Receive, Scope, Send
from tests.support import run
from tests.wire.port import CountingMetrics, answer, read_body

ROUNDS = 800
_ALLOWED = ("protocol", "header_", "flood_", "streams", "leaving", "requests")


class Sink(asyncio.Transport):
    """A transport that swallows what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.closing = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += len(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


class Way:
    """The door of a connection without a socket."""

    def __init__(self, port: PortState) -> None:
        self.port = port
        self.client: tuple[str, int] | None = ("192.0.2.1", 1)
        self.server: tuple[str, int] | None = ("192.0.2.2", 2)
        self.secure = True

    def closed(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Shared:
    """What the server shares."""

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.default_headers: list[tuple[bytes, bytes]] = [(b"date", b"now")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads and answers."""
    del scope
    body = await read_body(receive)
    if body is not None:
        await answer(send, 200, body)


def honest_client() -> bytes:
    """What an honest client sends: settings, requests with and without bodies, pings, windows, a reset, a farewell."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100_000, SettingCodes.HEADER_TABLE_SIZE: 1000})
    for number in range(6):
        stream = client.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "node:8935"),
            (":path", f"/segment/{number}"),
            ("livepeer-segment", "QmFzZTY0" * (1 + 40 * number)),
            ("content-type", "video/mp2t"),
        ]
        client.send_headers(stream, headers, end_stream=number == 5, priority_weight=10 if number == 2 else None)
        if number < 5:
            client.send_data(stream, bytes(50 * number), pad_length=9 if number == 3 else None)
            client.increment_flow_control_window(1000, stream)
        if number == 1:
            client.send_headers(stream, [("trailer", "x")], end_stream=True)
        elif number == 4:
            client.reset_stream(stream, 8)
        elif number < 5:
            client.end_stream(stream)
        client.ping(b"12345678")
    client.increment_flow_control_window(5000)
    client.close_connection()
    return client.data_to_send()


def flip(data: bytearray, chance: random.Random) -> None:
    """Change single bytes."""
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def cut(data: bytearray, chance: random.Random) -> None:
    """Take a piece out."""
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 30)]


def insert(data: bytearray, chance: random.Random) -> None:
    """Put noise in."""
    start = chance.randrange(len(data))
    data[start:start] = chance.randbytes(chance.randint(1, 30))


def repeat(data: bytearray, chance: random.Random) -> None:
    """Say something twice."""
    start = chance.randrange(len(data))
    piece = data[start : start + chance.randint(1, 300)]
    data[start:start] = piece


def raise_bits(data: bytearray, chance: random.Random) -> None:
    """Set high bits, as lengths and integers that overflow have them."""
    start = chance.randrange(len(data))
    for at in range(start, min(start + chance.randint(1, 6), len(data))):
        data[at] = 0xFF


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flip, cut, insert, repeat, raise_bits)


async def feed(data: bytes, split: int, metrics: CountingMetrics) -> Sink:
    """One connection that gets ``data`` in two pieces and then ends."""
    sink = Sink()
    shared = Shared()
    async with asyncio.TaskGroup() as tasks:
        port = PortState(limits=ListenerLimits(), metrics=metrics, clock=SystemClock())
        port.adopt(tasks)
        protocol = Http2Protocol(app=app, door=Way(port), shared=shared)
        protocol.connection_made(sink)
        for piece in (data[:split], data[split:]):
            protocol.data_received(piece)
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert port.requests == 0
    assert port.buffered_bytes == 0
    assert not shared.connections
    return sink


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_clients_meet_the_protocol_and_nothing_else(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    honest = honest_client()
    metrics = CountingMetrics()

    async def main() -> None:
        chance = random.Random(seed)  # noqa: S311 -- the same mutations in every run
        for _ in range(ROUNDS):
            data = bytearray(honest)
            for _ in range(chance.randint(1, 2)):
                chance.choice(MUTATIONS)(data, chance)
            sink = await feed(bytes(data), chance.randrange(len(data)), metrics)
            assert sink.written > 0

    run(main(), deadline_s=50)
    output = capfd.readouterr()
    assert output.err == ""
    assert output.out == ""
    reasons = {key[1] for key in metrics.values if key[0] == "port_refusals_total"}
    assert "protocol" in reasons
    assert [reason for reason in reasons if not reason.startswith(_ALLOWED)] == []


def test_unmutated_client_is_served(capfd: pytest.CaptureFixture[str]) -> None:
    metrics = CountingMetrics()

    async def main() -> None:
        honest = honest_client()
        for split in range(0, len(honest), 97):
            await feed(honest, split, metrics)

    run(main())
    assert not metrics.values
    assert capfd.readouterr().err == ""
