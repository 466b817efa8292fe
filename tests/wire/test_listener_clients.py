"""Clients that other people wrote, against the port: grpcio, httpx, curl and h2load, with TLS and in the clear."""

import asyncio
import shutil
from pathlib import Path

import grpc
import httpx
import pytest

from baton.kernel.clock import SystemClock
from baton.wire.grpc import GrpcContext, GrpcRouter
from baton.wire.replies import Receive, Scope, Send
from baton.wire.tls import CertificateSource
from tests.support import eventually, run
from tests.wire.port import HOST, Playground, ServedPort, served, trusting

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
h2load = pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load (package nghttp2-client)")


@pytest.fixture
def source(tmp_path: Path) -> CertificateSource:
    """The certificate of a node."""
    return CertificateSource.self_signed(tmp_path, host="node.example", clock=SystemClock())


class Both:
    """gRPC by content type, everything else to the playground, as the router of a node does it."""

    def __init__(self) -> None:
        self.playground = Playground()
        self._grpc = GrpcRouter({"/net.Test/Echo": self._echo})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_grpc = (b"content-type", b"application/grpc") in scope["headers"]
        await (self._grpc if is_grpc else self.playground)(scope, receive, send)

    async def _echo(self, request: bytes, context: GrpcContext) -> bytes:
        del context
        return request


async def output(*command: str, stdin: bytes | None = None) -> str:
    """What a program prints; it must succeed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(stdin)
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_grpcio_over_tls_beside_uploads(source: CertificateSource, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(Both(), tls=source.context) as port:
            credentials = grpc.ssl_channel_credentials((tmp_path / "cert.pem").read_bytes())
            options = (("grpc.ssl_target_name_override", "node.example"),)
            async with (
                grpc.aio.secure_channel(f"{HOST}:{port.port}", credentials, options=options) as channel,
                httpx.AsyncClient(http2=True, verify=trusting()) as client,
            ):
                echo = channel.unary_unary("/net.Test/Echo")
                for _ in range(5):
                    upload = client.post(port.url + "/count", content=bytes(3_000_000))
                    answer, reply = await asyncio.gather(upload, echo(b"x" * 1500))
                    assert reply == b"x" * 1500
                    assert answer.text == "3000000"

    run(main())


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("secure", [True, False])
def test_httpx(source: CertificateSource, *, http2: bool, secure: bool) -> None:
    async def main() -> None:
        app = Playground()
        async with (
            served(app, tls=source.context if secure else None) as port,
            httpx.AsyncClient(http1=not http2, http2=http2, verify=trusting()) as client,
        ):
            hello = await client.get(port.url + "/hello")
            assert hello.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert hello.text == f"hello {'2' if http2 else '1.1'}"
            assert "date" in hello.headers
            assert "server" not in hello.headers
            # Packing a large header takes this client long over HTTP/2; other tests send a whole megabyte.
            size = (50 if http2 else 250) * 1024
            header = await client.get(port.url + "/header", headers={"x-big": "A" * size})
            assert header.text == str(size)
            count = await client.post(port.url + "/count", content=bytes(5_000_000))
            assert count.text == "5000000"
            rejected = await client.post(port.url + "/reject", content=bytes(100_000))
            assert rejected.status_code == 403
            echo = await client.post(port.url + "/echo", content=bytes(4_000_000))
            assert len(echo.content) == 4_000_000

    run(main(), deadline_s=40)


@curl
@pytest.mark.parametrize(
    ("secure", "mode", "version"),
    [
        (True, "--http2", "2"),
        (True, "--http1.1", "1.1"),
        (False, "--http2-prior-knowledge", "2"),
        (False, "--http2", "1.1"),
        (False, "--http1.1", "1.1"),
    ],
)
def test_curl(source: CertificateSource, tmp_path: Path, *, secure: bool, mode: str, version: str) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(5_000_000))
    header = tmp_path / "header"
    header.write_text("x-big: " + "a" * 60_000)

    async def main() -> None:
        async with served(Playground(), tls=source.context if secure else None) as port:
            shown = "%{http_version} %{response_code}"
            base = ("curl", "-sk", mode, "-w", "\n" + shown)
            assert await output(*base, port.url + "/hello") == f"hello {version}\n{version} 200"
            upload = (*base, "--data-binary", f"@{body}", port.url + "/count")
            assert await output(*upload) == f"5000000\n{version} 200"
            chunked = (*base, "-X", "POST", "-T", "-", port.url + "/count")
            assert await output(*chunked, stdin=bytes(1_000_000)) == f"1000000\n{version} 200"
            assert await output(*base, "-H", f"@{header}", port.url + "/header") == f"60000\n{version} 200"
            assert await output(*base, "-d", "x", port.url + "/reject") == f"no\n{version} 403"
            if version == "1.1":
                # Over HTTP/2, curl of 2023 takes the polite RST_STREAM after an early answer for a failure.
                rejected = (*base, "--data-binary", f"@{body}", port.url + "/reject")
                assert await output(*rejected) == "no\n1.1 403"

    run(main(), deadline_s=40)


@curl
@pytest.mark.parametrize("mode", ["--http2", "--http1.1"])
def test_curl_sees_the_early_200(source: CertificateSource, mode: str) -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, tls=source.context) as port:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                "curl", "-skv", mode, "--data-binary", "body", port.url + "/early", stdout=pipe, stderr=pipe
            )
            assert process.stdout is not None
            assert process.stderr is not None
            while not (line := await process.stderr.readline()).startswith(b"< HTTP"):
                assert line
            assert b" 200" in line
            app.release.set()
            out, _ = await process.communicate()
            assert out == b"late"
            assert process.returncode == 0

    run(main())


@h2load
def test_h2load_over_tls(source: CertificateSource) -> None:
    async def main() -> None:
        async with served(Playground(), tls=source.context) as port:
            report = await output("h2load", "-n500", "-c4", "-m8", port.url + "/hello")
            assert "500 succeeded, 0 failed, 0 errored" in report
            await eventually(lambda: port.connections == 0, what="the places being free")
            assert not [key for key in port.metrics.values if key[0] == "port_refusals_total"]

    run(main(), deadline_s=40)


def requests_of(port: ServedPort) -> int:
    """HTTP/2 requests at work."""
    return port.listener._state.requests


def test_many_clients_leave_nothing_behind(source: CertificateSource) -> None:
    async def main() -> None:
        app = Playground()
        async with served(app, tls=source.context) as port:
            for http2 in (True, False):
                async with httpx.AsyncClient(http1=not http2, http2=http2, verify=trusting()) as client:
                    answers = await asyncio.gather(*(client.get(port.url + "/hello") for _ in range(60)))
                    assert {answer.status_code for answer in answers} == {200}
            await eventually(lambda: port.connections == 0, what="the places being free")
            assert requests_of(port) == 0
            assert app.told.started == app.told.ended == 120

    run(main())
