"""Objects posted by form into buckets, with a POST policy that somebody gave (video.md 6.3).

The form is written by hand: stores read its fields in order, and nothing behind the file. A gateway's bucket lies where
the gateway says, so the same address rules as for downloads apply; certificates are checked, unlike there, because a
policy is worth stealing. 10 s in all; a store that has something to say has refused.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from urllib.parse import quote, urlsplit

import aiohttp
import structlog
from yarl import URL

from baton.jobs.messages import ObjectStoreKind, ObjectStoreOffer
from baton.jobs.ports import FetchError, StoreError
from baton.kernel.errors import Text
from baton.kernel.redaction import HIDDEN, printable
from baton.kernel.version import VERSION
from baton.wire.clients.fetch import parse_url
from baton.wire.clients.gate import AddressGate, Lookup

__all__ = ["POST_TIMEOUT_S", "HttpObjectPoster", "form_head", "object_url"]

log = structlog.get_logger("baton.wire")

POST_TIMEOUT_S = 10.0
"""Time for one object, redirects included."""

_ACL = "public-read"
_MOST_WORDS = 1024
"""Bytes of a store's words that are read and passed on."""
_LONGEST_VALUE = 16_384
_SHORTEST_SECRET = 8
"""Shorter ones are no secrets, and hiding them would make words unreadable."""
_CHUNK_BYTES = 1 << 18
_CONNECTIONS = 1024
"""More than all sessions write at once, so that buckets which answer slowly do not hold up the others."""
_REDIRECTS = frozenset({307, 308})
"""The two that keep the method: a store sends a young bucket's clients to its region so."""
_MAX_REDIRECTS = 2
_FIRST_REFUSAL = 300
_HEADERS = {"User-Agent": f"baton/{VERSION}", "Accept": "*/*", "Accept-Encoding": "identity"}


class HttpObjectPoster:
    """The upload client. Satisfies ``ObjectPoster``. Belongs to one event loop; ``close`` it there."""

    def __init__(self, *, allow_private: bool, timeout_s: float = POST_TIMEOUT_S, lookup: Lookup | None = None) -> None:
        """``allow_private`` lets every address pass: for the operator's own bucket, or a network of one's own."""
        self._gate = AddressGate(allow_private=allow_private, lookup=lookup)
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, offer: ObjectStoreOffer, *, name: str, data: bytes, content_type: str) -> str:
        """Write ``data`` as ``<key prefix>/<name>``; returns its plain URL.

        Raises:
            StoreError: the host or a field of the offer cannot be used, an address is refused, the store cannot be
                reached in time, or it answers anything but an empty success. Its text is one line of at most 1 KiB.
        """
        boundary = secrets.token_hex(16)
        try:
            target = _bucket_url(offer.host)
            head = form_head(offer, name=name, content_type=content_type, boundary=boundary)
            async with asyncio.timeout(self._timeout_s):
                status, words = await self._send(target, head, data, boundary)
        except TimeoutError as error:
            message = f"took longer than {self._timeout_s:g} s"
            raise StoreError(message) from error
        except (aiohttp.ClientError, OSError, FetchError) as error:
            # Why a host cannot be reached says what lies behind us: that is for the operator, not for who named it.
            reason = _line(str(error) or type(error).__name__)
            log.info("object store cannot be reached", reason=reason)
            raise StoreError(Text.IO_ERROR, detail=reason) from error
        except ValueError as error:
            raise StoreError(_line(str(error))) from error
        if words or status >= _FIRST_REFUSAL:
            said = _without_credentials(words.decode("utf-8", "replace"), offer)
            raise StoreError(_line(said) or f"object store answered {status}")
        return object_url(offer, name)

    async def close(self) -> None:
        """Close the connections. The poster is of no use afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._gate.close()

    async def _send(self, target: URL, head: bytes, data: bytes, boundary: str) -> tuple[int, bytes]:
        """Status and words at the end of a few redirects, tried twice when a kept connection turns out dead."""
        tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + len(data) + len(tail)),
        }
        retries = 1
        redirects = _MAX_REDIRECTS
        while True:
            try:
                async with self._connected().post(
                    target, data=_form(head, data, tail), headers=headers, allow_redirects=False
                ) as response:
                    location = response.headers.get("Location", "")
                    if response.status not in _REDIRECTS or not location or not redirects:
                        return response.status, await _words(response)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not retries:
                    raise
                retries -= 1
                continue
            redirects -= 1
            onward = parse_url(str(target.join(URL(location))))
            if target.scheme == "https" and onward.scheme != "https":
                message = "redirect to an unprotected address"
                raise FetchError(message)
            target = onward

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._gate.connector(check_certificates=True, connections=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            )
        return self._session


def form_head(offer: ObjectStoreOffer, *, name: str, content_type: str, boundary: str) -> bytes:
    """The form up to the first byte of the file, in the order of video.md 6.3.

    Raises:
        ValueError: a field of the offer is too long or holds control characters; it never repeats it.
    """
    folder, _, file = name.rpartition("/")
    key = "/".join(part for part in (offer.key_prefix, folder, "${filename}") if part)
    fields = [("acl", _ACL), ("Content-Type", content_type), ("key", key), ("policy", offer.policy)]
    if offer.kind is ObjectStoreKind.GOOGLE:
        fields += [("GoogleAccessId", offer.credential), ("signature", offer.signature)]
    else:
        fields += [
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", offer.credential),
            ("x-amz-date", offer.amz_date),
            ("x-amz-signature", offer.signature),
        ]
    for field, value in (*fields, ("file", file)):
        if len(value) > _LONGEST_VALUE or not value.isprintable():
            message = f"object store credentials: {field} cannot be used"
            raise ValueError(message)
    lines = [f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{v}\r\n' for field, v in fields]
    file = file.replace("\\", "\\\\").replace('"', '\\"')
    lines.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    return "".join(lines).encode("utf-8")


def object_url(offer: ObjectStoreOffer, name: str) -> str:
    """``<host>/<key prefix>/<name>``, every part percent-encoded.

    The reference inserts a bucket that its host lacks. An offer names no bucket, so its host is taken as complete; our
    own hosts always are.
    """
    key = f"{offer.key_prefix}/{name}" if offer.key_prefix else name
    return f"{offer.host.rstrip('/')}/{quote(key.lstrip('/'), safe='/')}"


def _bucket_url(host: str) -> URL:
    """Where the form goes."""
    target = parse_url(host)
    if urlsplit(host).query or "?" in host or "#" in host:
        message = "object store host with a query"
        raise ValueError(message)
    return target


async def _form(head: bytes, data: bytes, tail: bytes) -> AsyncIterator[bytes]:
    """The form in pieces, so that the object is not copied whole."""
    yield head
    for start in range(0, len(data), _CHUNK_BYTES):
        yield data[start : start + _CHUNK_BYTES]
    yield tail


async def _words(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of what the store has to say."""
    words = bytearray()
    while len(words) < _MOST_WORDS and (chunk := await response.content.readany()):
        words += chunk
    return bytes(words[:_MOST_WORDS])


def _without_credentials(text: str, offer: ObjectStoreOffer) -> str:
    """A store's words without what we sent it: some repeat the account, the policy and its signature in errors."""
    account = offer.credential.partition("/")[0]
    for secret in (offer.policy, offer.signature, offer.credential, account):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    return text


def _line(text: str) -> str:
    """A store's words as one harmless line for a peer and the log."""
    return printable(" ".join(text.split()), limit=_MOST_WORDS)
