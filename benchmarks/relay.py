"""A relay on loopback that holds every byte back for half a round trip in each direction: a long line, nothing lost.

``python -m benchmarks.relay --to-port N --round-trip-ms 50`` prints its own port and serves until it is ended. It adds
delay only: no limit of bandwidth, no loss, and none of TCP's own slow start, so that what is measured is how much
a protocol lets be on its way at once.
"""

import argparse
import asyncio
from collections import deque

_CHUNK_BYTES = 256 * 1024
_MOST_ON_THE_WAY_BYTES = 256 << 20


class _Pipe:
    """One direction of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._delay_s = delay_s
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()

    async def run(self) -> None:
        """Until its sender closes and everything is handed over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._collect())
            group.create_task(self._hand_over())

    async def _collect(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            while self._bytes > _MOST_ON_THE_WAY_BYTES:
                self._taken.clear()
                await self._taken.wait()
            try:
                data = await self._reader.read(_CHUNK_BYTES)
            except OSError:
                data = b""
            self._on_the_way.append((loop.time() + self._delay_s, data))
            self._bytes += len(data)
            self._changed.set()

    async def _hand_over(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._on_the_way:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._on_the_way.popleft()
            if (wait_s := due - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            self._bytes -= len(data)
            self._taken.set()
            try:
                if not data:
                    self._writer.close()
                    return
                self._writer.write(data)
                await self._writer.drain()
            except OSError:
                return


async def _serve(to_port: int, round_trip_ms: float) -> None:
    delay_s = round_trip_ms / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", to_port, limit=_CHUNK_BYTES)
        async with asyncio.TaskGroup() as group:
            group.create_task(_Pipe(reader, there_writer, delay_s).run())
            group.create_task(_Pipe(there_reader, writer, delay_s).run())

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_CHUNK_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Print the port, relay until ended."""
    parser = argparse.ArgumentParser(description="Add a round trip to every connection.")
    parser.add_argument("--to-port", type=int, required=True)
    parser.add_argument("--round-trip-ms", type=float, default=50.0)
    options = parser.parse_args()
    asyncio.run(_serve(options.to_port, options.round_trip_ms))


if __name__ == "__main__":
    main()
