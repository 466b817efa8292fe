"""Downloads of segments that gateways left in a store, without lending strangers our place in the network.

HTTP GET, no certificate check, 4 s in all, status 200, a size limit (video.md 6.5). What the reference leaves open is
closed here (video.md 11.1 item 7): only http and https, no credentials in URLs, and the address is judged where the
socket is made, after every resolution and at every redirect, so that the address judged is the address connected to.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from urllib.parse import quote

import aiohttp
from yarl import URL

from baton.jobs.ports import FetchError
from baton.kernel.version import VERSION
from baton.wire.clients.gate import AddressGate, Lookup

__all__ = ["FETCH_TIMEOUT_S", "MAX_URL_BYTES", "HttpSegmentFetcher", "parse_url"]

FETCH_TIMEOUT_S = 4.0
"""Time for a whole download, redirects included."""

MAX_URL_BYTES = 4096
"""Longest address of a segment."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3
_OK = 200
_BUFFER_BYTES = 1 << 18
_HEADERS = {"User-Agent": f"baton/{VERSION}", "Accept": "*/*", "Accept-Encoding": "identity"}
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class HttpSegmentFetcher:
    """The download client. Satisfies ``SegmentFetcher``. Belongs to one event loop; ``close`` it there."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_s: float = FETCH_TIMEOUT_S,
        lookup: Lookup | None = None,
        max_redirects: int = _MAX_REDIRECTS,
    ) -> None:
        """``allow_private`` lets every address pass, for networks of one's own."""
        self._timeout_s = timeout_s
        self._max_redirects = max_redirects
        self._gate = AddressGate(allow_private=allow_private, lookup=lookup)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, *, limit_bytes: int) -> AsyncGenerator[bytes, None]:
        """The bytes behind ``url`` as they come; close the generator to stop early.

        Raises:
            FetchError: the URL or an address is refused, the server cannot be reached or answers anything but 200, the
                content is longer than ``limit_bytes``, or it took too long.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            response = await self._open(parse_url(url), deadline)
        except TimeoutError as error:
            raise FetchError(_too_slow(self._timeout_s)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(_short(error)) from error
        try:
            _check_answer(response, limit_bytes)
            received = 0
            while chunk := await self._next(response, deadline):
                received += len(chunk)
                if received > limit_bytes:
                    message = f"input bigger than {limit_bytes} bytes"
                    raise FetchError(message)
                yield chunk
        finally:
            response.close()

    async def close(self) -> None:
        """Close the connections. The fetcher is of no use afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._gate.close()

    async def _open(self, url: URL, deadline: float) -> aiohttp.ClientResponse:
        """The answer at the end of a few redirects, its body still to be read."""
        for _ in range(1 + self._max_redirects):
            # No deadline spans a yield of the generator: it would strike in the code of whoever reads from it.
            async with asyncio.timeout_at(deadline):
                response = await self._connected().get(url, allow_redirects=False)
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location:
                return response
            response.close()
            url = _followed(url, location)
        message = "too many redirects"
        raise FetchError(message)

    async def _next(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                return await response.content.readany()
        except TimeoutError as error:
            raise FetchError(_too_slow(self._timeout_s)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise FetchError(_short(error)) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._gate.connector(check_certificates=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=_BUFFER_BYTES,
            )
        return self._session


def parse_url(text: str) -> URL:
    """The URL that a request's body names, white space around it trimmed, its escapes left as they are.

    Raises:
        FetchError: not an absolute http or https URL, credentials in it, odd characters, or over 4 KiB.
    """
    text = text.strip()
    if len(text.encode("utf-8", "surrogatepass")) > MAX_URL_BYTES:
        message = f"URL longer than {MAX_URL_BYTES} bytes"
        raise FetchError(message)
    if "\\" in text or any(c <= " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text):
        message = "URL with white space, backslashes or control characters"
        raise FetchError(message)
    try:
        # Escapes of signed URLs must arrive as they were made, so nothing is normalised.
        url = URL(quote(text, safe=_PRINTABLE), encoded=True)
        sound = url.scheme in {"http", "https"} and bool(url.host) and bool(url.port)
    except ValueError:
        sound = False
    if not sound:
        message = "not an http or https URL"
        raise FetchError(message)
    if "@" in re.split("[/?#]", text.partition("//")[2], maxsplit=1)[0]:
        message = "URL with credentials"
        raise FetchError(message)
    return url


def _followed(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(quote(location.strip(), safe=_PRINTABLE), encoded=True))
    except ValueError as error:
        message = "redirect to something that is no URL"
        raise FetchError(message) from error
    return parse_url(str(target))


def _check_answer(response: aiohttp.ClientResponse, limit_bytes: int) -> None:
    if response.status != _OK:
        raise FetchError(f"{response.status} {response.reason or ''}".strip())
    if (response.content_length or 0) > limit_bytes:
        message = f"input bigger than {limit_bytes} bytes"
        raise FetchError(message)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = "content with an encoding"
        raise FetchError(message)


def _too_slow(timeout_s: float) -> str:
    return f"took longer than {timeout_s:g} s"


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
