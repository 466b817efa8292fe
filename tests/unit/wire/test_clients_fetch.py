import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from baton.jobs.ports import FetchError, SegmentFetcher
from baton.wire.clients import HttpSegmentFetcher
from baton.wire.clients.addresses import refused_because
from baton.wire.clients.fetch import Lookup, parse_url
from tests.support import eventually, run
from tests.unit.wire.serving import raw_server, self_signed, serving

LIMIT = 300_000_000
PUBLIC = "93.184.216.34"


@asynccontextmanager
async def fetching(
    *, allow_private: bool = True, timeout_s: float = 4.0, lookup: Lookup | None = None
) -> AsyncIterator[HttpSegmentFetcher]:
    fetcher = HttpSegmentFetcher(allow_private=allow_private, timeout_s=timeout_s, lookup=lookup)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def fetched(fetcher: HttpSegmentFetcher, url: str, *, limit_bytes: int = LIMIT) -> bytes:
    port: SegmentFetcher = fetcher
    return b"".join([chunk async for chunk in port.fetch(url, limit_bytes=limit_bytes)])


async def refusal(fetcher: HttpSegmentFetcher, url: str, *, limit_bytes: int = LIMIT) -> str:
    with pytest.raises(FetchError) as refused:
        await fetched(fetcher, url, limit_bytes=limit_bytes)
    return str(refused.value)


def test_a_segment_is_downloaded_from_the_url_as_it_was_given() -> None:
    body = bytes(range(256)) * 20_000
    asked: list[tuple[str, str, dict[str, str]]] = []

    async def store(request: web.Request) -> web.Response:
        asked.append((request.method, request.raw_path, dict(request.headers)))
        return web.Response(body=body)

    async def story() -> None:
        async with serving(store) as port, fetching() as fetcher:
            url = f"http://127.0.0.1:{port}/b%2Fucket/a%20b.ts?X-Sig=a%2Bb+c&x=%7E#part"
            assert await fetched(fetcher, f"  {url}\r\n") == body
            assert await fetched(fetcher, f"http://127.0.0.1:{port}/ü.ts") == body

    run(story())
    assert [(method, path) for method, path, _ in asked] == [
        ("GET", "/b%2Fucket/a%20b.ts?X-Sig=a%2Bb+c&x=%7E"),
        ("GET", "/%C3%BC.ts"),
    ]
    assert asked[0][2]["Accept-Encoding"] == "identity"
    assert {"Cookie", "Authorization"}.isdisjoint(asked[0][2])


def test_certificates_are_not_checked(tmp_path: Path) -> None:
    async def store(_: web.Request) -> web.Response:
        return web.Response(body=b"segment")

    async def story() -> None:
        async with serving(store, tls=self_signed(tmp_path)) as port, fetching() as fetcher:
            assert await fetched(fetcher, f"https://127.0.0.1:{port}/1.ts") == b"segment"

    run(story())


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 403, 404, 500, 503])
def test_only_200_is_a_segment(status: int) -> None:
    async def store(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async def story() -> str:
        async with serving(store) as port, fetching() as fetcher:
            return await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")

    assert run(story()).startswith(str(status))


def test_too_long_is_told_before_and_while_it_comes() -> None:
    async def store(request: web.Request) -> web.StreamResponse:
        if request.path == "/announced":
            return web.Response(body=b"x" * 1001)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(11):
            await response.write(b"x" * 100)
        return response

    async def story() -> None:
        async with serving(store) as port, fetching() as fetcher:
            for path, limit, fits in (("announced", 1001, True), ("announced", 1000, False), ("chunked", 1100, True)):
                url = f"http://127.0.0.1:{port}/{path}"
                if fits:
                    assert len(await fetched(fetcher, url, limit_bytes=limit)) == limit
                else:
                    assert "bigger than" in await refusal(fetcher, url, limit_bytes=limit)
            assert "bigger than" in await refusal(fetcher, f"http://127.0.0.1:{port}/chunked", limit_bytes=1099)

    run(story())


def test_packed_content_is_neither_unpacked_nor_taken() -> None:
    async def store(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"})

    async def story() -> str:
        async with serving(store) as port, fetching() as fetcher:
            return await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")

    assert run(story()) == "content with an encoding"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_a_server_that_stalls_is_given_up_in_time(answer: bytes) -> None:
    async def story() -> None:
        async with raw_server(answer, hang=True) as port, fetching(timeout_s=0.3) as fetcher:
            began = asyncio.get_running_loop().time()
            assert await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts") == "took longer than 0.3 s"
            assert asyncio.get_running_loop().time() - began < 10

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
    ],
)
def test_a_server_that_talks_nonsense_is_an_error_like_others(answer: bytes) -> None:
    async def story() -> None:
        async with raw_server(answer) as port, fetching() as fetcher:
            assert await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")

    run(story())


def test_a_port_nobody_listens_on_is_an_error_like_others() -> None:
    async def story() -> None:
        async with raw_server(b"") as port:
            pass
        async with fetching() as fetcher:
            assert await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")

    run(story())


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "segment.ts",
        "/etc/passwd",
        "//127.0.0.1/1.ts",
        "file:///etc/passwd",
        "ftp://node.example/1.ts",
        "gopher://node.example/1.ts",
        "http:/node.example",
        "http://",
        "http://:8935/1.ts",
        "http://[::1/1.ts",
        "http://node.example:99999/1.ts",
        "http://node.example:0/1.ts",
        "http://node.example:port/1.ts",
        "http://user@node.example/1.ts",
        "http://user:secret@node.example/1.ts",
        "http://@node.example/1.ts",
        "http://node.example\\@127.0.0.1/1.ts",
        "http://node.example/1.ts HTTP/1.1\r\nHost: other",
        "http://node.example/a\tb",
        "http://node.example/\x00",
        "http://node.example/\x7f",
        "http://node.example/\udcff",
        "http://node.example/" + "a" * 4096,
        "http://node.example/" + "ü" * 2048,
    ],
)
def test_urls_that_are_not_plainly_http_are_refused(url: str) -> None:
    with pytest.raises(FetchError, match="URL"):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://node.example/1.ts",
        "HTTP://Node.Example:8080/1.ts?a=b",
        "https://[2606:4700::1]:443/1.ts",
        "https://node.example",
        "https://node.example?signed=by@somebody",
    ],
)
def test_plain_urls_pass(url: str) -> None:
    assert parse_url(url).scheme in {"http", "https"}


@given(st.text(max_size=60) | st.text(max_size=40).map("http://".__add__))
def test_any_text_is_a_url_or_a_fetch_error(text: str) -> None:
    try:
        url = parse_url(text)
    except FetchError:
        return
    assert url.scheme in {"http", "https"}
    assert url.host
    assert url.user is None
    assert all("\x20" < c < "\x7f" for c in url.raw_path_qs)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "224.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "LOCALHOST.",
    ],
)
def test_nothing_is_fetched_from_our_own_network(host: str) -> None:
    reached: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(body=b"secret")

    async def story() -> None:
        async with serving(inside) as port, fetching(allow_private=False) as fetcher:
            await refusal(fetcher, f"http://{host}:{port}/latest/meta-data")

    run(story())
    assert reached == []


def test_the_reason_of_a_refusal_is_named() -> None:
    async def story() -> str:
        async with fetching(allow_private=False) as fetcher:
            return await refusal(fetcher, "http://169.254.169.254/latest/meta-data")

    assert "link-local" in run(story())


@pytest.mark.parametrize("answers", [("127.0.0.1",), ("::1",), ("10.0.0.1", "127.0.0.1"), ("localhost",), ()])
def test_names_that_lead_inside_are_refused(answers: tuple[str, ...]) -> None:
    reached: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(body=b"secret")

    async def story() -> None:
        async with (
            serving(inside) as port,
            fetching(allow_private=False, lookup=lambda _host, _port: answers) as fetcher,
        ):
            await refusal(fetcher, f"http://innocent.example:{port}/1.ts")

    run(story())
    assert reached == []


def test_a_name_is_resolved_once_for_a_connection_and_that_answer_is_judged() -> None:
    """A name server that says a public address first and loopback the second time gains nothing."""
    asked: list[str] = []
    reached: list[str] = []

    def rebinding(host: str, _port: int) -> tuple[str, ...]:
        asked.append(host)
        return ("127.0.0.1",) if len(asked) > 1 else ("203.0.113.1",)

    async def inside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(body=b"secret")

    async def story() -> None:
        async with serving(inside) as port, fetching(allow_private=False, lookup=rebinding) as fetcher:
            for _ in range(3):
                assert "refused address" in await refusal(fetcher, f"http://innocent.example:{port}/1.ts")

    run(story())
    assert asked == ["innocent.example"] * 3
    assert reached == []


def test_of_several_addresses_only_the_public_ones_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    async def connect(self: asyncio.AbstractEventLoop, sock: object, address: object) -> None:
        del self, sock
        tried.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)

    async def story() -> None:
        answers = ("127.0.0.1", PUBLIC, "::1", "10.0.0.1")
        async with fetching(allow_private=False, lookup=lambda _host, _port: answers) as fetcher:
            assert await refusal(fetcher, "http://innocent.example:81/1.ts")

    run(story())
    assert set(tried) == {(PUBLIC, 81)}


def test_own_networks_are_reached_when_the_operator_says_so() -> None:
    async def store(request: web.Request) -> web.Response:
        return web.Response(body=str(request.headers["Host"]).encode())

    async def story() -> None:
        async with serving(store) as port, fetching(lookup=lambda _host, _port: ("127.0.0.1",)) as fetcher:
            url = f"http://store.internal:{port}/1.ts"
            assert await fetched(fetcher, url) == f"store.internal:{port}".encode()

    run(story())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_three_times(status: int) -> None:
    async def store(request: web.Request) -> web.Response:
        left = int(request.path.strip("/"))
        if left:
            return web.Response(status=status, headers={"Location": str(left - 1)}, body=b"moved")
        return web.Response(body=b"segment")

    async def story() -> None:
        async with serving(store) as port, fetching() as fetcher:
            assert await fetched(fetcher, f"http://127.0.0.1:{port}/3") == b"segment"
            assert await refusal(fetcher, f"http://127.0.0.1:{port}/4") == "too many redirects"

    run(story())


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user@127.0.0.1/", "ftp://x/", "http://[", "http://127.0.0.1:0/", "\\\\x"]
)
def test_redirects_are_judged_like_the_first_url(location: str) -> None:
    async def story() -> None:
        answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location.encode() + b"\r\n\r\n"
        async with raw_server(answer) as port, fetching() as fetcher:
            text = await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")
            assert "URL" in text

    run(story())


def test_a_redirect_into_our_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first hop is let through by hand, as if it were public; the second is the network's inside."""
    from baton.wire.clients import fetch as module

    reached: list[str] = []

    def first_hop_is_public(address: str) -> str | None:
        return None if address == "127.0.0.2" else refused_because(address)

    monkeypatch.setattr(module, "refused_because", first_hop_is_public)

    async def outside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{request.url.port}/inside"})

    async def story() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", outside)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "0.0.0.0", 0)
            await site.start()
            port = runner.addresses[0][1]
            async with fetching(allow_private=False) as fetcher:
                assert "loopback" in await refusal(fetcher, f"http://127.0.0.2:{port}/outside")
        finally:
            await runner.cleanup()

    run(story())
    assert reached == ["/outside"]


def test_this_machine_is_refused_under_its_public_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stands in for a public address of this machine: the table is told to let it pass."""
    from baton.wire.clients import fetch as module

    monkeypatch.setattr(module, "refused_because", lambda _address: None)
    reached: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(body=b"secret")

    async def story() -> None:
        async with serving(inside) as port, fetching(allow_private=False) as fetcher:
            assert "refused address: this machine" in await refusal(fetcher, f"http://127.0.0.1:{port}/1.ts")

    run(story())
    assert reached == []


def test_a_name_nobody_can_resolve_or_spell_is_an_error_like_others() -> None:
    async def story() -> None:
        def unknown(host: str, _port: int) -> tuple[str, ...]:
            raise OSError(-2, f"Name or service not known: {host}")

        async with fetching(lookup=unknown) as fetcher:
            assert "not known" in await refusal(fetcher, "http://nowhere.example/1.ts")
        async with fetching() as fetcher:
            assert await refusal(fetcher, "http://" + "a" * 70 + ".example/1.ts")

    run(story())


def test_a_reader_that_stops_early_frees_the_connection() -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except ConnectionError:
            gone.set()
        return response

    async def story() -> None:
        async with serving(endless) as port, fetching() as fetcher:
            async with aclosing(fetcher.fetch(f"http://127.0.0.1:{port}/1.ts", limit_bytes=LIMIT)) as chunks:
                assert (await anext(chunks)).startswith(b"x")
            await eventually(gone.is_set, what="the server to notice")

    run(story())


def test_the_deadline_never_strikes_in_the_readers_own_code() -> None:
    async def store(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    async def story() -> None:
        async with serving(store) as port, fetching(timeout_s=0.1) as fetcher:
            chunks = fetcher.fetch(f"http://127.0.0.1:{port}/1.ts", limit_bytes=LIMIT)
            assert await anext(chunks) == b"x" * 1000
            loop = asyncio.get_running_loop()
            passed = loop.create_future()
            loop.call_later(0.3, passed.set_result, True)  # the deadline passes while the reader is busy
            assert await passed
            with contextlib.suppress(FetchError):
                assert [chunk async for chunk in chunks] == []

    run(story())


def test_tls_that_is_no_tls_is_an_error_like_others() -> None:
    async def story() -> None:
        async with raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", hang=True) as port, fetching(timeout_s=1) as fetcher:
            assert await refusal(fetcher, f"https://127.0.0.1:{port}/1.ts")

    run(story())
