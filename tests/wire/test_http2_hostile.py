"""HTTP/2 as strangers abuse it: floods end with ENHANCE_YOUR_CALM, stalls end in time, memory stays bounded."""

import asyncio
import resource
import struct
import time
from pathlib import Path

import pytest
from h2.connection import AllowedStreamIDs
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from baton.kernel.clock import SystemClock
from baton.wire.limits import ListenerLimits
from baton.wire.tls import CertificateSource
from tests.support import eventually, run
from tests.wire.port import PREFACE, Playground, RawHttp2, ServedPort, served

CALM = ErrorCodes.ENHANCE_YOUR_CALM


def block(path: str, *extra: tuple[str, str], method: str = "POST") -> bytes:
    """A header block that touches no compression state."""
    headers = [(":method", method), (":scheme", "http"), (":authority", "node"), (":path", path), *extra]
    return Encoder().encode(headers, huffman=False)


def headers_frame(stream: int, path: str, *flags: str, method: str = "POST") -> HeadersFrame:
    """A whole request header."""
    return HeadersFrame(stream, data=block(path, method=method), flags=["END_HEADERS", *flags])


async def still_serves(port: ServedPort) -> None:
    """Another client is served as if nothing had happened."""
    client = await RawHttp2.connect(port)
    stream = client.request("/hello")
    await client.flush()
    await client.ended(stream)
    assert client.body(stream) == b"hello 2"
    await client.close()


async def pour(port: ServedPort, *frames: bytes) -> RawHttp2:
    """Send a flood until the server hangs up; the client that read its last words."""
    client = await RawHttp2.connect(port)
    await client.pump(lambda c: c.of("RemoteSettingsChanged"))

    async def push() -> None:
        for data in frames:
            try:
                client.writer.write(data)
                await client.writer.drain()
            except ConnectionError:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(push())
        group.create_task(client.until_closed())
    return client


FLOODS = {
    "ping": PingFrame(0, opaque_data=b"12345678").serialize() * 3000,
    "settings": SettingsFrame(0, settings={3: 100}).serialize() * 300,
    "settings in one frame": b"\x00\x04\xb0\x04\x00\x00\x00\x00\x00"
    + b"".join(struct.pack(">HI", 0x1000 + n, n) for n in range(200)),
    "priority": PriorityFrame(1, depends_on=3).serialize() * 3000,
    "window_update": WindowUpdateFrame(0, window_increment=1).serialize() * 20000,
    "unknown": ExtensionFrame(type=0xBB, stream_id=0, body=b"").serialize() * 500,
    "goaway": GoAwayFrame(0).serialize() * 100,
    "empty_data": headers_frame(1, "/count").serialize() + DataFrame(1).serialize() * 1000,
    "small_data": headers_frame(1, "/count").serialize() + DataFrame(1, data=b"x").serialize() * 30000,
    "continuation": HeadersFrame(1, data=b"").serialize() + ContinuationFrame(1, data=b"").serialize() * 1000,
    "rapid reset": b"".join(
        headers_frame(n, "/hold").serialize() + RstStreamFrame(n, error_code=8).serialize() for n in range(1, 40001, 2)
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_flood_ends_with_enhance_your_calm(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            began_s = time.process_time()
            client = await pour(port, FLOODS[name])
            assert client.goaway() in {CALM, None}  # a reset of the socket may have eaten the last words
            assert time.process_time() - began_s < 1.0
            floods = {key for key in port.metrics.values if key[0] == "port_refusals_total"}
            assert len(floods) == 1
            assert next(iter(floods))[1].startswith("flood_")
            await eventually(lambda: app.told.started == app.told.ended, what="the handlers being over")
            await still_serves(port)
            await eventually(lambda: port.connections == 0, what="the places being free")

    run(main())
    assert capfd.readouterr().err == ""


def test_goaway_names_the_reason_to_a_client_that_listens() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            # Just over the budget in one read, so that nothing is in flight when the server hangs up.
            await client.send(PingFrame(0, opaque_data=b"12345678").serialize() * 1100)
            await client.until_closed()
            assert client.goaway() == CALM

    run(main())


def test_header_block_beyond_all_limits_is_not_collected() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            chunk = bytes(1 << 20)
            frames = [HeadersFrame(1, data=chunk).serialize()]
            frames += [ContinuationFrame(1, data=chunk).serialize() for _ in range(60)]
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            client = await pour(port, *frames)
            assert client.goaway() in {CALM, None}
            assert port.metrics.refusals("flood_header_block") == 1
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
            await still_serves(port)

    run(main())


def test_header_bomb_is_refused() -> None:
    """A large entry once in the table, then named again and again by one byte each."""

    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            value = b"v" * 3900
            entry = b"\x40\x01x" + b"\x7f" + bytes([(len(value) - 127) & 0x7F | 0x80, (len(value) - 127) >> 7]) + value
            bomb = block("/hello") + entry + b"\xbe" * 1000
            await client.send(HeadersFrame(1, data=bomb, flags=["END_HEADERS", "END_STREAM"]))
            await client.until_closed()
            assert client.goaway() == CALM

    run(main())


def test_too_many_fields_are_refused_quickly() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            began_s = time.process_time()
            # Each field is four bytes; a decoder that copies the rest for each would need minutes.
            data = block("/hello") + b"\x00\x01a\x00" * 250_000
            await client.send(HeadersFrame(1, data=data, flags=["END_HEADERS", "END_STREAM"]))
            await client.until_closed()
            assert client.goaway() == CALM
            assert time.process_time() - began_s < 1.0

    run(main())


def test_undecodable_header_is_a_compression_error() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.send(HeadersFrame(1, data=b"\xff\xff\xff\xff\xff\xff", flags=["END_HEADERS", "END_STREAM"]))
            await client.until_closed()
            assert client.goaway() == ErrorCodes.COMPRESSION_ERROR
            assert port.metrics.refusals("protocol") == 1

    run(main())


@pytest.mark.parametrize("size", [250 * 1024, 1_000_000])
def test_large_headers_are_served(size: int) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/header", extra=(("x-big", "a" * size),))
            await client.flush()
            await client.ended(stream)
            assert client.body(stream) == str(size).encode()
            await client.close()

    run(main())


def test_header_list_beyond_the_limit_is_431_and_costs_its_stream_only() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("RemoteSettingsChanged"))
            stream = client.request("/header", extra=(("x-big", "~" * ((1 << 20) + 10)),))
            await client.flush()
            await client.pump(lambda c: c.of("StreamEnded", stream) or c.of("StreamReset", stream))
            assert client.status(stream) == 431
            fine = client.request("/hello")
            await client.flush()
            await client.ended(fine)
            await client.close()

    run(main())


@pytest.mark.parametrize(
    "bad",
    [
        block("/\xe4"),
        block("/hello", ("x", "a\r\nb")),
        block("/hello", ("x", "a\x00b")),
    ],
)
def test_malformed_requests_are_400(bad: bytes) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.send(HeadersFrame(1, data=bad, flags=["END_HEADERS", "END_STREAM"]))
            client.h2.streams[1] = client.h2._begin_new_stream(1, AllowedStreamIDs.ODD)
            client.h2.streams[1].send_headers([(":method", "GET")], client.h2.encoder)
            await client.pump(lambda c: c.status(1))
            assert client.status(1) == 400
            await still_serves(port)
            await client.close()

    run(main())


def test_streams_beyond_the_limit_are_refused_one_by_one() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(max_streams_per_connection=4)) as port:
            client = await RawHttp2.connect(port)
            # A client may open more before it has read our settings.
            streams = [client.request("/hold") for _ in range(6)]
            await client.flush()
            for refused in streams[4:]:
                assert await client.reset(refused) == ErrorCodes.REFUSED_STREAM
            app.release.set()
            for held in streams[:4]:
                await client.ended(held)
            again = client.request("/hello")
            await client.flush()
            await client.ended(again)
            await client.close()

    run(main())


def test_reset_streams_count_until_their_handlers_end() -> None:
    """Resetting a request does not make room for another while its handler still works."""

    async def main() -> None:
        stubborn = asyncio.Event()

        async def app(_scope: object, _receive: object, _send: object) -> None:
            await stubborn.wait()

        async with served(app, limits=ListenerLimits(max_streams_per_connection=4)) as port:
            client = await RawHttp2.connect(port)
            for _ in range(4):
                stream = client.request("/x")
                client.h2.reset_stream(stream)
                await client.flush()
            fifth = client.request("/x")
            await client.flush()
            assert await client.reset(fifth) == ErrorCodes.REFUSED_STREAM
            stubborn.set()
            await client.close()

    run(main())


def test_zero_window_download_costs_nothing_and_ends_in_time() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(body_idle_timeout_s=1.0)) as port:
            client = await RawHttp2.connect(port, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
            await client.pump(lambda c: c.of("SettingsAcknowledged"))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            streams = [client.request("/wide") for _ in range(50)]
            await client.flush()
            for stream in streams:
                assert await client.reset(stream) == ErrorCodes.CANCEL
                assert client.status(stream) == 200
                assert client.body(stream) == b""
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024
            assert port.metrics.refusals("send_stall") == 50
            await eventually(lambda: app.told.ended == 50, what="the handlers being over")
            await client.close()

    run(main())


def test_window_given_byte_by_byte_is_a_stall() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(body_idle_timeout_s=1.0)) as port:
            client = await RawHttp2.connect(port, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
            client.generous = False
            await client.pump(lambda c: c.of("SettingsAcknowledged"))
            stream = client.request("/wide")
            await client.flush()
            await client.pump(lambda c: c.status(stream))

            async def drip() -> None:
                while True:
                    client.h2.increment_flow_control_window(1, stream)
                    await client.flush()
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            assert await client.reset(stream) == ErrorCodes.CANCEL
            dripping.cancel()
            assert len(client.body(stream)) < 4096
            await client.close()

    run(main())


def test_slow_but_honest_reader_gets_everything() -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(body_idle_timeout_s=1.0)) as port:
            client = await RawHttp2.connect(port, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
            client.generous = False
            await client.pump(lambda c: c.of("SettingsAcknowledged"))
            stream = client.request("/wide")
            await client.flush()
            for _ in range(7):  # longer than a pause may be, each pause much shorter
                await asyncio.sleep(0.2)
                client.h2.increment_flow_control_window(8192, stream)
                await client.flush()
                wanted = len(client.body(stream)) + 8192
                while len(client.body(stream)) < wanted:
                    await client.news()
            assert len(client.body(stream)) == 7 * 8192
            await client.close()

    run(main())


@pytest.mark.parametrize("secure", [True, False])
def test_peer_that_does_not_read_its_socket_is_cut(tmp_path: Path, *, secure: bool) -> None:
    async def main() -> None:
        app = Playground()
        tls = CertificateSource.self_signed(tmp_path, host="node", clock=SystemClock()).context if secure else None
        async with served(app, tls=tls, limits=ListenerLimits(body_idle_timeout_s=1.0)) as port:
            client = await RawHttp2.connect(port, settings={SettingCodes.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
            client.h2.increment_flow_control_window(1 << 30)
            for _ in range(4):
                client.request("/wide")
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.flush()
            await eventually(lambda: app.told.started == 4, what="the requests")
            await eventually(lambda: port.connections == 0, what="the cut", deadline_s=8)
            await eventually(lambda: app.told.ended == 4, what="the handlers being over")
            assert port.metrics.refusals("write_stall") == 1
            await client.close()

    run(main())


def test_control_frames_of_a_peer_that_does_not_read_stay_bounded() -> None:
    """Every DATA frame on a stream that is over is answered with RST_STREAM: the answers must not pile up."""

    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(body_idle_timeout_s=1.0)) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("WindowUpdated"))
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

            async def push() -> None:
                await client.send(headers_frame(1, "/reject"))
                data = DataFrame(1, data=bytes(300)).serialize() * 500
                for _ in range(2000):
                    await client.send(data)

            pushing = asyncio.create_task(push())
            await eventually(lambda: port.connections == 0 or pushing.done(), what="an end", deadline_s=15)
            pushing.cancel()
            await asyncio.wait((pushing,))
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
            await client.close()

    run(main(), deadline_s=30)


@pytest.mark.parametrize(
    "beginning",
    [
        PREFACE,
        PREFACE + SettingsFrame(0).serialize() + HeadersFrame(1, data=block("/hello")).serialize(),
        PREFACE + SettingsFrame(0).serialize() + headers_frame(1, "/hello").serialize()[:-3],
    ],
    ids=["nothing after the preface", "header block left open", "half a header frame"],
)
def test_header_that_never_ends_is_cut_in_time(beginning: bytes) -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(header_timeout_s=0.4)) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("SettingsAcknowledged"))
            other = await RawHttp2.connect(port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
            writer.write(beginning)
            began_s = time.monotonic()
            while await reader.read(1 << 16):
                pass
            assert 0.3 < time.monotonic() - began_s < 8
            assert port.metrics.refusals("header_timeout") == 1
            writer.close()
            # Connections that owe nothing are left alone.
            for each in (client, other):
                stream = each.request("/hello")
                await each.flush()
                await each.ended(stream)
                await each.close()

    run(main())


def test_body_that_pauses_too_long_costs_its_stream_only() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, limits=ListenerLimits(body_idle_timeout_s=0.4)) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/count", method="POST", end=False)
            patient = client.request("/patient", method="POST", end=False)
            client.h2.send_data(stream, b"begun")
            await client.flush()
            assert await client.reset(stream) == ErrorCodes.CANCEL
            assert app.told.disconnects == ["/count"]
            assert port.metrics.refusals("body_idle") == 1
            client.h2.send_data(patient, b"late", end_stream=True)
            await client.flush()
            await client.ended(patient)
            assert client.body(patient) == b"4"
            await client.close()

    run(main())


def test_large_frame_on_a_slow_line_is_no_pause() -> None:
    async def main() -> None:
        async with served(Playground(), limits=ListenerLimits(body_idle_timeout_s=0.9)) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/count", method="POST", end=False)
            await client.flush()
            await client.pump(lambda c: c.of("WindowUpdated"))
            client.h2.send_data(stream, bytes(100_000), end_stream=True)
            data = client.h2.data_to_send()
            for start in range(0, len(data), 10_000):
                await client.send(data[start : start + 10_000])
                await asyncio.sleep(0.1)
            await client.ended(stream)
            assert client.body(stream) == b"100000"
            await client.close()

    run(main())


def test_wrong_preface_after_alpn_or_sniffing_is_just_closed(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
            writer.write(PREFACE[:20])
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await eventually(lambda: port.connections == 0, what="the place being free")

    run(main())
    assert capfd.readouterr().err == ""


def test_frames_that_break_the_protocol_end_the_connection() -> None:
    bad: list[Frame | bytes] = [
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",
        headers_frame(2, "/hello"),
        ContinuationFrame(1, data=b"x"),
        WindowUpdateFrame(0, window_increment=(1 << 31) - 1),
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00xxxxx",
    ]

    async def main() -> None:
        async with served(Playground()) as port:
            for frame in bad:
                client = await RawHttp2.connect(port)
                await client.send(frame)
                await client.until_closed()
                assert client.goaway() not in {None, ErrorCodes.NO_ERROR}
            await still_serves(port)

    run(main())
