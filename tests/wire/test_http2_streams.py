"""HTTP/2 as honest clients see it: answers, early answers, back-pressure, resets, long silences."""

import asyncio

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, WindowUpdateFrame

from baton.wire.limits import CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES, ListenerLimits
from tests.support import eventually, run
from tests.wire.port import Playground, RawHttp2, served

_BODY_BYTES = 10_000_000


def test_settings_are_those_of_the_recipe() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("RemoteSettingsChanged") and c.of("WindowUpdated"))
            theirs = client.h2.remote_settings
            assert theirs.initial_window_size == STREAM_WINDOW_BYTES == 16 << 20
            assert theirs.max_frame_size == MAX_FRAME_BYTES == 1 << 20
            assert theirs.max_concurrent_streams == 256
            assert theirs.max_header_list_size == 1 << 20
            assert theirs.enable_push == 0
            assert client.h2.outbound_flow_control_window == CONNECTION_WINDOW_BYTES == 64 << 20
            await client.close()

    run(main())


async def upload(client: RawHttp2, stream: int, size: int, *, end: bool = True) -> None:
    """Send ``size`` bytes of body within the windows."""
    left = size
    while left:
        room = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size, left)
        if not room:
            await client.news()
            continue
        left -= room
        client.h2.send_data(stream, bytes(room), end_stream=end and not left)
        await client.flush()


def test_upload_larger_than_every_window() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("WindowUpdated"))
            for _ in range(10):
                stream = client.request("/count", method="POST", end=False)
                await upload(client, stream, _BODY_BYTES)
                await client.ended(stream)
                assert client.body(stream) == str(_BODY_BYTES).encode()
            await client.close()

    run(main())


def test_early_reject_stops_the_upload_and_leaves_the_connection_usable() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("WindowUpdated"))
            for _ in range(20):
                stream = client.request("/reject", method="POST", end=False)
                client.h2.send_data(stream, bytes(MAX_FRAME_BYTES))
                client.h2.send_data(stream, bytes(MAX_FRAME_BYTES))
                await client.flush()
                assert await client.reset(stream) == ErrorCodes.NO_ERROR
                assert client.status(stream) == 403
                assert client.body(stream) == b"no"
            stream = client.request("/hello")
            await client.flush()
            await client.ended(stream)
            assert client.body(stream) == b"hello 2"
            # 40 MiB went nowhere: without credit for them the connection window would have shrunk for good.
            await client.pump(lambda c: c.h2.outbound_flow_control_window > CONNECTION_WINDOW_BYTES // 2 - 1)
            await client.close()

    run(main())


def test_early_reject_waits_a_moment_for_a_body_that_is_nearly_over() -> None:
    """curl, for one, takes a reset after an early answer for a failure."""

    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            small = client.request("/reject", method="POST", end=False)
            await client.flush()
            await client.ended(small)
            client.h2.send_data(small, b"x", end_stream=True)
            silent = client.request("/reject", method="POST", end=False)
            await client.flush()
            assert await client.reset(silent) == ErrorCodes.NO_ERROR
            assert client.of("StreamReset", small) == []
            assert client.status(small) == client.status(silent) == 403
            await client.close()

    run(main())


def test_early_rejects_do_not_pile_up() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            for _ in range(1000):
                stream = client.request("/reject", method="POST", end=False)
                await client.flush()
                await client.ended(stream)
            assert len(client.of("StreamReset")) >= 1000 - 64
            await client.close()

    run(main())


def test_early_200_is_flushed_before_the_body() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/early", method="POST", end=False)
            client.h2.send_data(stream, b"body", end_stream=True)
            await client.flush()
            await client.pump(lambda c: c.status(stream) == 200)
            assert client.body(stream) == b""
            app.release.set()
            await client.ended(stream)
            assert client.body(stream) == b"late"
            await client.close()

    run(main())


def test_duplex_echo() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/echo", method="POST", end=False)
            for number in range(5):
                client.h2.send_data(stream, b"%d" % number)
                await client.flush()
                while not client.body(stream).endswith(b"%d" % number):
                    await client.news()
            client.h2.end_stream(stream)
            await client.flush()
            await client.ended(stream)
            await client.close()

    run(main())


def test_application_that_does_not_read_holds_one_window_and_then_gets_everything() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("WindowUpdated"))
            stream = client.request("/ignore", method="POST", end=False)
            await upload(client, stream, STREAM_WINDOW_BYTES, end=False)
            assert client.h2.local_flow_control_window(stream) == 0
            # Other streams of the connection are not held up.
            other = client.request("/hello")
            await client.flush()
            await client.ended(other)
            assert client.h2.local_flow_control_window(stream) == 0
            app.release.set()
            await upload(client, stream, STREAM_WINDOW_BYTES)
            await client.ended(stream)
            assert client.body(stream) == str(2 * STREAM_WINDOW_BYTES).encode()
            await client.close()

    run(main())


def test_reading_stops_above_the_connection_buffer_and_goes_on() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            await client.pump(lambda c: c.of("WindowUpdated"))
            streams = [client.request("/ignore", method="POST", end=False) for _ in range(4)]

            async def fill() -> None:
                for stream in streams:
                    await upload(client, stream, 15 << 20)

            filling = asyncio.create_task(fill())
            buffered = port.listener._state
            await eventually(lambda: buffered.buffered_bytes > 32 << 20, what="more than 32 MiB unread")
            # Whatever the client still pushes stays in the kernel: at most one read more than the limit.
            assert buffered.buffered_bytes < (32 << 20) + 2 * MAX_FRAME_BYTES
            app.release.set()
            await filling
            for stream in streams:
                await client.ended(stream)
                assert client.body(stream) == str(15 << 20).encode()
            assert buffered.buffered_bytes == 0
            await client.close()

    run(main())


def test_small_chunks_arrive_whole() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/ignore", method="POST", end=False)
            for _ in range(3000):
                client.h2.send_data(stream, b"x")
            client.h2.send_data(stream, b"y" * 5000, end_stream=True, pad_length=100)
            await client.flush()
            await eventually(lambda: port.listener._state.buffered_bytes == 8101, what="the body")
            app.release.set()
            await client.ended(stream)
            assert client.body(stream) == b"8000"
            await client.close()

    run(main())


@pytest.mark.parametrize("path", ["/count", "/hold"])
def test_reset_is_told_to_the_application(path: str) -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            stream = client.request(path, method="POST", end=False)
            client.h2.send_data(stream, b"some")
            await client.flush()
            await eventually(lambda: app.told.started, what="the request")
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
            await client.flush()
            await eventually(lambda: app.told.disconnects == [path] and app.told.ended, what="the disconnect")
            other = client.request("/hello")
            await client.flush()
            await client.ended(other)
            await client.close()

    run(main())


def test_client_that_vanishes_in_mid_upload_is_told_and_frees_everything() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/count", method="POST", end=False)
            client.h2.send_data(stream, b"some")
            await client.flush()
            await eventually(lambda: app.told.started, what="the request")
            client.writer.transport.abort()
            await eventually(lambda: app.told.disconnects == ["/count"] and app.told.ended, what="the disconnect")
            await eventually(lambda: port.connections == 0, what="the place being free")
            assert port.listener._state.requests == 0

    run(main())


def test_silent_held_stream_outlives_every_limit() -> None:
    async def main() -> None:
        app = Playground()
        limits = ListenerLimits(header_timeout_s=0.2, body_idle_timeout_s=0.2, idle_timeout_s=0.2)
        async with served(app, limits=limits) as port:
            client = await RawHttp2.connect(port)
            held = client.request("/hold")
            await client.flush()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await client.until_closed()
            app.release.set()
            await client.ended(held)
            assert client.body(held) == b"held"
            # And now that nothing is held, the same connection is idle.
            await client.until_closed()
            assert client.goaway() == ErrorCodes.NO_ERROR

    run(main())


def test_goaway_of_the_client_leaves_its_answers_alone() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            stream = client.request("/hold")
            await client.flush()
            await client.send(GoAwayFrame(0), WindowUpdateFrame(0, window_increment=1))
            await eventually(lambda: app.told.started, what="the request")
            app.release.set()
            await client.ended(stream)
            assert client.body(stream) == b"held"
            await client.close()

    run(main())


def test_failing_handlers_cost_their_stream_only(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            failed, broken = client.request("/fail"), client.request("/break")
            await client.flush()
            await client.pump(lambda c: c.of("StreamEnded", failed) and c.of("StreamReset", broken))
            assert client.status(failed) == 500
            assert client.body(failed) == b"Internal Server Error\n"
            assert client.of("StreamReset", broken)[0].error_code == ErrorCodes.INTERNAL_ERROR
            fine = client.request("/hello")
            await client.flush()
            await client.ended(fine)
            await client.close()

    run(main())
    assert capfd.readouterr().err == ""


def test_head_and_expect_continue() -> None:
    async def main() -> None:
        async with served(Playground()) as port:
            client = await RawHttp2.connect(port)
            head = client.request("/hello", method="HEAD")
            expecting = client.request("/count", method="POST", end=False, extra=(("expect", "100-continue"),))
            await client.flush()
            await client.pump(lambda c: c.of("StreamEnded", head) and c.of("InformationalResponseReceived", expecting))
            assert client.body(head) == b""
            client.h2.send_data(expecting, b"123", end_stream=True)
            await client.flush()
            await client.ended(expecting)
            assert client.body(expecting) == b"3"
            await client.close()

    run(main())


def test_stop_lets_streams_finish_and_refuses_new_ones() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            held = client.request("/hold")
            await client.flush()
            await eventually(lambda: app.told.started, what="the request")
            async with asyncio.TaskGroup() as group:
                stopping = group.create_task(port.listener.stop(5))
                await client.pump(lambda c: c.goaway() is not None)
                assert client.goaway() == ErrorCodes.NO_ERROR
                app.release.set()
                await client.until_closed()
            assert client.body(held) == b"held"
            assert stopping.result() is True

    run(main())


def test_stop_cuts_what_outlives_the_grace() -> None:
    async def main() -> None:
        app = Playground()
        async with served(app) as port:
            client = await RawHttp2.connect(port)
            client.request("/hold")
            await client.flush()
            await eventually(lambda: app.told.started, what="the request")
            assert await port.listener.stop(0.2) is False
            await client.until_closed()
            assert app.told.ended == 1

    run(main())
