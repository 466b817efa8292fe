"""The servers that take uploads: nginx as the limit, Baton's bare service port, and a whole node's ``/segment``.

Each runs in a session of its own, so that its CPU time can be told. nginx reads every body over TLS and passes it on to
a backend that forgets it. The node gets valid headers with the hash of another body: it admits the segment, takes the
body into its spool, hashes it, and refuses it with 403. That is the whole way of a segment but for transcoding.
"""

import asyncio
import contextlib
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.peer.gateway import PeerGateway
from tests.peer.segments import preset

from baton.kernel.errors import Text
from baton.selftest.inspector import child_environment
from baton.selftest.nodeprocess import free_ports, running_node
from baton.wire.self_signed import CERTIFICATE_FILE, PRIVATE_KEY_FILE
from benchmarks.machine import session_cpu_s

__all__ = [
    "Side",
    "bare_port_side",
    "find_nginx",
    "headers_of_another_body",
    "nginx_side",
    "relayed",
    "segment_side",
    "started",
]

_NGINX = """
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  upstream forget {{ server unix:{folder}/forget.sock; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    client_max_body_size 0;
    client_body_buffer_size 16m;
    large_client_header_buffers 4 64k;
    location / {{
      proxy_request_buffering off;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://forget;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Side:
    """A server at work: where to post, with which headers, the status of a body taken, and the CPU seconds so far."""

    name: str
    port: int
    headers: tuple[tuple[str, str], ...]
    cpu_s: Callable[[], float]

    @property
    def url(self) -> str:
        """Where bodies go."""
        return f"https://127.0.0.1:{self.port}/segment"


@contextlib.asynccontextmanager
async def started(*command: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program in a session of its own, its output to us and its complaints to ``log``; gone when this is left."""
    with log.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            env=child_environment(),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _printed_port(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None  # noqa: S101 -- started with a pipe
    async with asyncio.timeout(30):
        line = await process.stdout.readline()
    if not line:
        message = "a helper ended before it was ready"
        raise RuntimeError(message)
    return int(line)


@contextlib.asynccontextmanager
async def bare_port_side(folder: Path) -> AsyncIterator[Side]:
    """Baton's listener with an application that forgets."""
    place = folder / "port"
    place.mkdir()
    command = (sys.executable, "-m", "benchmarks.bare_port", str(place))
    async with started(*command, log=folder / "port.log") as process:
        port = await _printed_port(process)
        yield Side("port", port, (), lambda: session_cpu_s(process.pid))


@contextlib.asynccontextmanager
async def segment_side(folder: Path) -> AsyncIterator[Side]:
    """A node, and headers under which it takes a body to the end before it refuses it."""
    place = folder / "node"
    place.mkdir()
    async with running_node(place, "--max-sessions", "100") as node:
        headers = await asyncio.to_thread(headers_of_another_body, node.uri)
        yield Side("/segment", int(node.uri.rpartition(":")[2]), headers, lambda: session_cpu_s(node.pid))
        await node.stop()


def headers_of_another_body(uri: str) -> tuple[tuple[str, str], ...]:
    """Valid headers of a segment whose body is not the one that will come."""
    with PeerGateway(uri) as gateway:
        info = gateway.get_orchestrator()
        profiles = [preset("P240p30fps16x9")]
        post = gateway.compose(b"another body", info=info, profiles=profiles, duration_ms=60_000)
        honest = gateway.post(type(post)(data=post.data, body=b"this body", payment=post.payment, signer=post.signer))
        if honest.status != 403 or honest.text.strip() != Text.FORBIDDEN:
            message = f"the node said {honest.status} {honest.text!r} instead of taking a body"
            raise RuntimeError(message)
        return tuple(post.headers.items())


@contextlib.asynccontextmanager
async def nginx_side(folder: Path, *, uploader: Path, nginx: str, certificates: Path) -> AsyncIterator[Side]:
    """The limit: nginx with TLS, HTTP/2 and HTTP/1.1, and the backend behind it, whose CPU time is not nginx's."""
    place = folder / "nginx"
    place.mkdir()
    for each in (place, folder):
        each.chmod(0o755)
    async with started(str(uploader), "-discard", str(place / "forget.sock"), log=place / "forget.log"):
        async with asyncio.timeout(10):
            while not (place / "forget.sock").exists():  # noqa: ASYNC110 -- another program makes it
                await asyncio.sleep(0.02)
        (place / "forget.sock").chmod(0o777)
        (port,) = free_ports(1)
        text = _NGINX.format(
            folder=place,
            port=port,
            certificate=certificates / CERTIFICATE_FILE,
            key=certificates / PRIVATE_KEY_FILE,
        )
        (place / "nginx.conf").write_text(text)
        command = (nginx, "-p", str(place), "-c", str(place / "nginx.conf"))
        async with started(*command, log=place / "nginx.log") as process:
            await _until_open(port, process)
            yield Side("nginx", port, (), lambda: session_cpu_s(process.pid))


async def _until_open(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(10):
        while process.returncode is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
    message = f"nginx ended with exit code {process.returncode}"
    raise RuntimeError(message)


@contextlib.asynccontextmanager
async def relayed(side: Side, folder: Path, *, round_trip_ms: float) -> AsyncIterator[Side]:
    """The same side behind a line with a round trip."""
    name = re.sub(r"\W", "", side.name)
    command = (
        *(sys.executable, "-m", "benchmarks.relay", "--to-port", str(side.port)),
        *("--round-trip-ms", str(round_trip_ms)),
    )
    async with started(*command, log=folder / f"relay-{name}.log") as process:
        yield Side(side.name, await _printed_port(process), side.headers, side.cpu_s)


def find_nginx() -> str | None:
    """The nginx of this machine."""
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
