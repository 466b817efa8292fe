"""One suite for every way into a bucket, against a store that checks policies, signatures and forms like the vendors'.

Own buckets by own credentials and buckets that a gateway lends, S3 and Google alike.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from baton.config.stores import GoogleAddress, S3Address, read_store
from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.jobs.ports import MediaStore, StoreError
from baton.kernel.clock import SystemClock
from baton.kernel.ids import SessionId
from baton.kernel.metrics import SilentMetrics
from baton.storage.bucket import BucketMediaStore, LentBucket
from baton.storage.policy import GoogleAccount, S3Account
from baton.wire.clients.post import HttpObjectPoster
from tests.buckets import ACCESS_KEY, SECRET_KEY, Bucket, strict_bucket
from tests.support import run

SESSION = SessionId("0123456789abcdef0123456789abcdef01234567")

S3_ORDER = (
    *("acl", "Content-Type", "key", "policy"),
    *("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "file"),
)
GOOGLE_ORDER = ("acl", "Content-Type", "key", "policy", "GoogleAccessId", "signature", "file")


@pytest.fixture(scope="session")
def google_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Way:
    """One way into a bucket: a store, the bucket behind it, and where its objects lie there."""

    bucket: Bucket
    folder: str
    open_store: Callable[[HttpObjectPoster], MediaStore]

    def do(self, story: Callable[[MediaStore], Awaitable[None]]) -> None:
        async def live() -> None:
            poster = HttpObjectPoster(allow_private=True)
            try:
                await story(self.open_store(poster))
            finally:
                await poster.close()

        run(live())


def offer_of(bucket: Bucket, prefix: str) -> ObjectStoreOffer:
    lent = bucket.lend(prefix)
    return ObjectStoreOffer(
        kind=ObjectStoreKind.S3 if bucket.google_key is None else ObjectStoreKind.GOOGLE,
        host=lent["host"],
        key_prefix=lent["key"],
        policy=lent["policy"],
        signature=lent["signature"],
        credential=lent["credential"],
        amz_date=lent.get("xAmzDate", ""),
    )


@contextmanager
def way_in(name: str, google_key: rsa.RSAPrivateKey, folder: Path) -> Iterator[Way]:
    def own(account: S3Account | GoogleAccount) -> Callable[[HttpObjectPoster], MediaStore]:
        return lambda poster: BucketMediaStore(
            account=account, poster=poster, clock=SystemClock(), metrics=SilentMetrics()
        )

    kind, _, variant = name.partition(" ")
    with strict_bucket(google_key=google_key if "google" in variant else None) as bucket:
        if kind == "lent":
            offer = offer_of(bucket, "stream/session")
            yield Way(
                bucket,
                "stream/session",
                lambda poster: LentBucket(offer=offer, poster=poster, metrics=SilentMetrics()),
            )
        elif variant == "google":
            key_file = folder / "key.json"
            key_file.write_text(bucket.key_file)
            _, address = read_store(f"gs://{bucket.name}/a/b?keyfile={key_file}")
            assert isinstance(address, GoogleAddress)
            loaded = GoogleAccount.load(address)
            # The vendor's host is replaced: nothing else of the account is.
            account = GoogleAccount(address, email=bucket.email, key=loaded._key, host=bucket.url)
            yield Way(bucket, f"a/b/{SESSION}", own(account))
        else:
            prefix = "/deep/er" if variant == "s3 prefix" else ""
            place = bucket.url.removeprefix("http://")
            _, s3 = read_store(f"s3+http://{ACCESS_KEY}:{quote(SECRET_KEY, safe='')}@{place}{prefix}")
            assert isinstance(s3, S3Address)
            yield Way(bucket, f"{prefix}/{SESSION}".lstrip("/"), own(S3Account(s3)))


@pytest.fixture(params=["own s3", "own s3 prefix", "own google", "lent s3", "lent google"])
def way(request: pytest.FixtureRequest, google_key: rsa.RSAPrivateKey, tmp_path: Path) -> Iterator[Way]:
    with way_in(request.param, google_key, tmp_path) as made:
        yield made


async def save(store: MediaStore, name: str, data: bytes) -> str:
    return await store.save(session_id=SESSION, name=name, data=data, content_type="video/mp2t")


@pytest.mark.parametrize("size", [0, 1, 25, (1 << 20) + 7], ids=str)
def test_an_object_lies_in_its_folder_and_everybody_reads_it(way: Way, size: int) -> None:
    data = (b"\r\n--x" * (size // 5 + 1))[:size]

    async def story(store: MediaStore) -> None:
        url = await save(store, "P720p30fps16x9/7.ts", data)
        assert url == f"{way.bucket.url}/{way.folder}/P720p30fps16x9/7.ts"
        assert way.bucket.objects == {f"{way.folder}/P720p30fps16x9/7.ts": (data, "video/mp2t")}
        answer = await asyncio.to_thread(httpx.get, url)
        assert (answer.content, answer.headers["Content-Type"]) == (data, "video/mp2t")

    way.do(story)


def test_fields_come_in_the_order_of_the_protocol(way: Way) -> None:
    async def story(store: MediaStore) -> None:
        await save(store, "P/1.ts", b"x" * 30)
        order = S3_ORDER if way.bucket.google_key is None else GOOGLE_ORDER
        assert way.bucket.orders == [order]

    way.do(story)


def test_odd_names_are_escaped_in_the_url_and_plain_in_the_bucket(way: Way) -> None:
    async def story(store: MediaStore) -> None:
        url = await save(store, "a b+c=d@e, (f)/1.ts", b"x" * 30)
        assert f"{way.folder}/a b+c=d@e, (f)/1.ts" in way.bucket.objects
        assert (await asyncio.to_thread(httpx.get, url)).content == b"x" * 30

    way.do(story)


def test_many_at_once_all_arrive(way: Way) -> None:
    async def story(store: MediaStore) -> None:
        names = [f"P{n % 4}/{n}.ts" for n in range(24)]
        urls = await asyncio.gather(*(save(store, name, name.encode() * 9) for name in names))
        assert len(set(urls)) == len(names)
        assert {key: data for key, (data, _) in way.bucket.objects.items()} == {
            f"{way.folder}/{name}": name.encode() * 9 for name in names
        }

    way.do(story)


@pytest.mark.parametrize("name", ["", "..", "../x", "/x", "a/../b", "a/b/c", "a\\b", "a\r\nb", "\udcff", "a" * 256])
def test_names_that_could_escape_reach_no_bucket(way: Way, name: str) -> None:
    async def story(store: MediaStore) -> None:
        with pytest.raises(StoreError, match=r"^Invalid argument$"):
            await save(store, name, b"x")
        assert not way.bucket.orders

    way.do(story)


def test_the_end_of_a_session_leaves_its_objects(way: Way) -> None:
    async def story(store: MediaStore) -> None:
        await save(store, "P/1.ts", b"x" * 30)
        await store.end_session(SESSION)
        await store.end_session(SessionId("nobody knows it"))
        await save(store, "P/2.ts", b"x" * 30)
        assert len(way.bucket.objects) == 2

    way.do(story)


def test_a_refusal_is_an_error_and_the_next_object_is_taken(way: Way) -> None:
    way.bucket.scripted.append((403, {}, b"<Error><Code>AccessDenied</Code>\n\x1b[31m</Error>"))

    async def story(store: MediaStore) -> None:
        own = isinstance(store, BucketMediaStore)
        with pytest.raises(StoreError) as refused:
            await save(store, "P/1.ts", b"x" * 30)
        # A bucket of ours may name our account in its words; a gateway's own words go back to it.
        expected = "Input/output error" if own else r"<Error><Code>AccessDenied</Code> \x1b[31m</Error>"
        assert str(refused.value) == expected
        await save(store, "P/1.ts", b"x" * 30)
        assert len(way.bucket.objects) == 1

    way.do(story)


@pytest.mark.parametrize("way", ["own s3", "own s3 prefix", "own google"], indirect=True)
def test_an_offer_of_the_own_bucket_lets_a_gateway_write_into_its_session_only(way: Way) -> None:
    async def story(store: MediaStore) -> None:
        assert isinstance(store, BucketMediaStore)
        offer = await store.offer(SESSION)
        assert offer.key_prefix == way.folder
        assert await store.offer(SESSION) is offer
        poster = HttpObjectPoster(allow_private=True)
        url = await poster.post(offer, name="source/0.ts", data=b"source", content_type="video/mp2t")
        assert way.bucket.objects[f"{way.folder}/source/0.ts"][0] == b"source"
        assert url == f"{way.bucket.url}/{way.folder}/source/0.ts"
        for prefix in (f"{way.folder}0", "", way.folder.rpartition("/")[0]):
            stretched = ObjectStoreOffer(
                kind=offer.kind,
                host=offer.host,
                key_prefix=prefix,
                policy=offer.policy,
                signature=offer.signature,
                credential=offer.credential,
                amz_date=offer.amz_date,
            )
            with pytest.raises(StoreError, match="starts-with key"):
                await poster.post(stretched, name="P/0.ts", data=b"x", content_type="video/mp2t")
        await poster.close()

    way.do(story)


def test_a_policy_that_ran_out_is_refused() -> None:
    with strict_bucket() as bucket:
        lent = bucket.lend("a/b", expires="2020-01-01T00:00:00.000Z")
        offer = ObjectStoreOffer(
            kind=ObjectStoreKind.S3,
            host=lent["host"],
            key_prefix=lent["key"],
            policy=lent["policy"],
            signature=lent["signature"],
            credential=lent["credential"],
            amz_date=lent["xAmzDate"],
        )

        async def story() -> None:
            poster = HttpObjectPoster(allow_private=True)
            with pytest.raises(StoreError, match="Policy expired"):
                await LentBucket(offer=offer, poster=poster, metrics=SilentMetrics()).save(
                    session_id=SESSION, name="P/1.ts", data=b"x", content_type="video/mp2t"
                )
            await poster.close()

        run(story())
        assert not bucket.objects
