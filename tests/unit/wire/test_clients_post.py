"""Posting into buckets that strangers name: the form byte by byte, where it may go, and what a bad store can do."""

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs
from yarl import URL

from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.jobs.ports import StoreError
from baton.kernel.errors import Text
from baton.wire.clients.gate import Lookup
from baton.wire.clients.post import HttpObjectPoster, form_head, object_url
from tests.buckets import strict_bucket
from tests.support import run

OFFER = ObjectStoreOffer(
    kind=ObjectStoreKind.S3,
    host="https://bucket.s3.example",
    key_prefix="stream/session",
    policy="UE9MSUNZ",
    signature="51676e6564",
    credential="AKIA/20151229/us-east-1/s3/aws4_request",
    amz_date="20151229T000000Z",
)

S3_HEAD = b"""--B\r
Content-Disposition: form-data; name="acl"\r
\r
public-read\r
--B\r
Content-Disposition: form-data; name="Content-Type"\r
\r
video/mp2t\r
--B\r
Content-Disposition: form-data; name="key"\r
\r
stream/session/P720/${filename}\r
--B\r
Content-Disposition: form-data; name="policy"\r
\r
UE9MSUNZ\r
--B\r
Content-Disposition: form-data; name="x-amz-algorithm"\r
\r
AWS4-HMAC-SHA256\r
--B\r
Content-Disposition: form-data; name="x-amz-credential"\r
\r
AKIA/20151229/us-east-1/s3/aws4_request\r
--B\r
Content-Disposition: form-data; name="x-amz-date"\r
\r
20151229T000000Z\r
--B\r
Content-Disposition: form-data; name="x-amz-signature"\r
\r
51676e6564\r
--B\r
Content-Disposition: form-data; name="file"; filename="7.ts"\r
Content-Type: video/mp2t\r
\r
"""
GOOGLE_TAIL = b"""UE9MSUNZ\r
--B\r
Content-Disposition: form-data; name="GoogleAccessId"\r
\r
a@b\r
--B\r
Content-Disposition: form-data; name="signature"\r
\r
U0lH\r
--B\r
Content-Disposition: form-data; name="file"; filename="7.ts"\r
Content-Type: video/mp2t\r
\r
"""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def refused_with(reason: str) -> Iterator[None]:
    """The peer reads a fixed text; why the place cannot be reached is for the operator's log only."""
    with capture_logs() as lines, pytest.raises(StoreError) as refused:
        yield
    assert str(refused.value) == Text.IO_ERROR
    assert reason in refused.value.detail
    assert any(reason in line.get("reason", "") for line in lines), lines


@asynccontextmanager
async def poster(
    *, allow_private: bool = True, timeout_s: float = 10.0, lookup: Lookup | None = None
) -> AsyncIterator[HttpObjectPoster]:
    made = HttpObjectPoster(allow_private=allow_private, timeout_s=timeout_s, lookup=lookup)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def raw_server(handler: Handler, *, address: str = "127.0.0.1") -> AsyncIterator[str]:
    """A server that is as bad as ``handler`` makes it; yields its URL."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, address, 0)
    async with server:
        yield f"http://{address}:{server.sockets[0].getsockname()[1]}/bucket"


async def post(client: HttpObjectPoster, offer: ObjectStoreOffer, data: bytes = b"x" * 30) -> str:
    return await client.post(offer, name="P720/7.ts", data=data, content_type="video/mp2t")


def at(host: str) -> ObjectStoreOffer:
    return dataclasses.replace(OFFER, host=host)


def test_form_for_s3_is_this_byte_by_byte() -> None:
    assert form_head(OFFER, name="P720/7.ts", content_type="video/mp2t", boundary="B") == S3_HEAD


def test_form_for_google_has_its_own_two_fields() -> None:
    offer = dataclasses.replace(OFFER, kind=ObjectStoreKind.GOOGLE, credential="a@b", signature="U0lH")
    head = form_head(offer, name="P720/7.ts", content_type="video/mp2t", boundary="B")
    common = S3_HEAD.partition(b"UE9MSUNZ")[0]
    assert head == common + GOOGLE_TAIL


@pytest.mark.parametrize(
    ("prefix", "name", "key"),
    [("a/b", "7.ts", b"a/b/${filename}"), ("", "P/7.ts", b"P/${filename}"), ("", "7.ts", b"${filename}")],
)
def test_key_without_prefix_or_folder(prefix: str, name: str, key: bytes) -> None:
    offer = dataclasses.replace(OFFER, key_prefix=prefix)
    head = form_head(offer, name=name, content_type="video/mp2t", boundary="B")
    assert b'name="key"\r\n\r\n' + key + b"\r\n" in head


@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: dataclasses.replace(OFFER, policy=value),
        lambda value: dataclasses.replace(OFFER, signature=value),
        lambda value: dataclasses.replace(OFFER, credential=value),
        lambda value: dataclasses.replace(OFFER, amz_date=value),
        lambda value: dataclasses.replace(OFFER, key_prefix=value),
    ],
    ids=["policy", "signature", "credential", "date", "prefix"],
)
@pytest.mark.parametrize("value", ["a\r\n--B", "a\nb", "\x00", "\ud800", "x" * 20_000])
def test_fields_that_would_break_out_of_the_form_are_refused(
    spoil: Callable[[str], ObjectStoreOffer], value: str
) -> None:
    async def story() -> None:
        async with poster() as client:
            with pytest.raises(StoreError, match="cannot be used") as refused:
                await post(client, dataclasses.replace(spoil(value), host="http://127.0.0.1:9"))
            assert value not in str(refused.value)

    run(story())


@pytest.mark.parametrize(
    ("host", "prefix", "name", "url"),
    [
        ("https://b.s3.amazonaws.com", "m/s", "P/1.ts", "https://b.s3.amazonaws.com/m/s/P/1.ts"),
        ("http://host:9000/b", "m/s", "P/1.mp4", "http://host:9000/b/m/s/P/1.mp4"),
        ("http://host:9000/b/", "", "P/1.ts", "http://host:9000/b/P/1.ts"),
        ("https://b.storage.googleapis.com", "s", "P/1.ts", "https://b.storage.googleapis.com/s/P/1.ts"),
        ("https://b.example", "m s", "P ü+/1.ts", "https://b.example/m%20s/P%20%C3%BC%2B/1.ts"),
    ],
)
def test_url_of_an_object(host: str, prefix: str, name: str, url: str) -> None:
    assert object_url(dataclasses.replace(OFFER, host=host, key_prefix=prefix), name) == url


@pytest.mark.parametrize(
    "host",
    [
        *("", "bucket.s3.example", "ftp://b.example", "file:///etc", "gopher://b.example", "http://"),
        *("https://user:hunter2@b.example", "https://b.example?x=hunter2", "https://b.example#x", "http://b\\x"),
        *("http://b.example/\r\nX: y", "https://" + "b" * 5000),
    ],
)
def test_hosts_that_are_none_are_refused(host: str) -> None:
    async def story() -> None:
        async with poster() as client:
            with pytest.raises(StoreError) as refused:
                await post(client, at(host))
            assert "hunter2" not in str(refused.value)
            assert len(str(refused.value)) < 200

    run(story())


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("10.1.2.3", "private"),
        ("169.254.169.254", "link-local"),
        ("[::ffff:10.0.0.1]", "IPv4-mapped"),
        ("0.0.0.0", "unspecified"),
    ],
)
def test_a_gateway_cannot_make_us_write_into_our_own_network(host: str, why: str) -> None:
    async def story() -> None:
        async with poster(allow_private=False) as client:
            with refused_with(f"refused address: {why}"):
                await post(client, at(f"http://{host}:8080/bucket"))

    run(story())


def test_a_name_that_leads_into_our_network_is_refused() -> None:
    async def story() -> None:
        async with poster(allow_private=False, lookup=lambda _host, _port: ("192.168.0.7",)) as client:
            with refused_with("refused address: private"):
                await post(client, at("https://bucket.example"))

    run(story())


def test_a_strangers_bucket_on_loopback_gets_nothing() -> None:
    with strict_bucket() as bucket:

        async def story() -> None:
            async with poster(allow_private=False) as client:
                with refused_with("refused address"):
                    await post(client, at(bucket.url))

        run(story())
        assert not bucket.orders
        assert not bucket.refusals


def test_a_redirect_to_another_place_is_followed_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    from baton.wire.clients import gate
    from baton.wire.clients.addresses import refused_because

    monkeypatch.setattr(gate, "refused_because", lambda a: None if a == "127.0.0.2" else refused_because(a))
    monkeypatch.setattr(gate, "_ours", lambda _family, _address: None)
    with strict_bucket() as bucket:

        async def outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"--\r\n")
            writer.write(f"HTTP/1.1 307 X\r\nLocation: {bucket.url}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        async def story() -> None:
            async with raw_server(outside, address="127.0.0.2") as host:
                async with poster(allow_private=False) as client:
                    with refused_with("refused address: loopback"):
                        await post(client, at(host))
                assert not bucket.refusals
                async with poster(allow_private=True) as client:
                    with pytest.raises(StoreError, match="Code"):
                        await post(client, at(host))
                assert bucket.refusals  # it got there, with credentials that are not its own

        run(story())


def test_a_redirect_leads_to_no_unprotected_place(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Session:
        @asynccontextmanager
        async def post(self, target: URL, **_: object) -> AsyncIterator[SimpleNamespace]:
            asked.append(str(target))
            yield SimpleNamespace(status=307, headers={"Location": "http://b.example/"})

    async def story() -> None:
        async with poster() as client:
            monkeypatch.setattr(client, "_connected", Session)
            with refused_with("redirect to an unprotected address"):
                await post(client, at("https://b.example"))

    run(story())
    assert len(asked) == 1


def test_redirects_end() -> None:
    with strict_bucket() as bucket:
        bucket.scripted += [(307, {"Location": bucket.url}, b"")] * 9

        async def story() -> None:
            async with poster() as client:
                with pytest.raises(StoreError, match="object store answered 307"):
                    await post(client, at(bucket.url))

        run(story())
        assert len(bucket.scripted) == 6


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, b"surprise", "surprise"),
        (403, b"", "object store answered 403"),
        (302, b"", "object store answered 302"),
        (500, b"a\r\n\tb\x00", r"a b\x00"),
        (400, b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_what_a_store_says_is_one_harmless_line(status: int, body: bytes, text: str) -> None:
    with strict_bucket() as bucket:
        bucket.scripted.append((status, {}, body))

        async def story() -> None:
            async with poster() as client:
                with pytest.raises(StoreError) as refused:
                    await post(client, at(bucket.url))
                assert str(refused.value) == text

        run(story())


def test_credentials_that_a_store_repeats_are_hidden() -> None:
    offer = dataclasses.replace(OFFER, credential="AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request")
    told = f"<Error>{offer.policy} {offer.signature} {offer.credential} AKIAIOSFODNN7EXAMPLE no</Error>"
    with strict_bucket() as bucket:
        bucket.scripted.append((403, {}, told.encode()))

        async def story() -> None:
            async with poster() as client:
                with pytest.raises(StoreError) as refused:
                    await post(client, dataclasses.replace(offer, host=bucket.url))
                assert str(refused.value) == "<Error>*** *** *** *** no</Error>"

        run(story())


def test_an_endless_answer_is_cut() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"--\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"z" * 0x10000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            return

    async def story() -> None:
        async with raw_server(endless) as url, poster() as client:
            with pytest.raises(StoreError, match=r"^z{1024}$"):
                await post(client, at(url))

    run(story())


def test_a_store_that_never_answers_costs_the_time_limit_and_no_more() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        while await reader.read(65536):
            pass

    async def story() -> None:
        async with raw_server(silent) as url, poster(timeout_s=0.2) as client:
            with pytest.raises(StoreError, match=r"^took longer than 0\.2 s$"):
                await post(client, at(url))

    run(story())


def test_a_kept_connection_that_died_is_replaced_once() -> None:
    connections = 0

    async def short_lived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, keeps the connection, and hangs up in the middle of the next."""
        nonlocal connections
        connections += 1
        await reader.readuntil(b"--\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        await reader.read(1)

    async def story() -> None:
        async with raw_server(short_lived) as url, poster() as client:
            for _ in range(3):
                assert await post(client, at(url)) == f"{url}/stream/session/P720/7.ts"
            assert connections == 3

    run(story())


def test_a_store_that_always_hangs_up_is_an_error() -> None:
    connections = 0

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        del writer
        connections += 1
        await reader.read(1)

    async def story() -> None:
        async with raw_server(rude) as url, poster() as client:
            with pytest.raises(StoreError):
                await post(client, at(url))
            assert connections == 2

    run(story())


def test_a_host_whose_name_server_says_nothing_holds_one_thread() -> None:
    asked: list[str] = []
    answer = threading.Event()

    def lookup(host: str, _port: int) -> tuple[str, ...]:
        asked.append(host)
        answer.wait(5)
        return ("127.0.0.1",)

    async def story() -> None:
        async with poster(timeout_s=0.3, lookup=lookup) as client:
            results = await asyncio.gather(
                *(post(client, at("http://silent.example:9")) for _ in range(40)), return_exceptions=True
            )
            assert all(isinstance(result, StoreError) for result in results)
            answer.set()

    run(story())
    assert asked == ["silent.example"]
