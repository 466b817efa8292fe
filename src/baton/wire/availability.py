"""Whether the node answers under its own public address, asked as a gateway would ask (video.md 1.5).

The reference stops when this fails, which punishes every network that cannot route back to itself. We warn, say what
to look at, and ask again until it works (video.md 11.5 item 42).
"""

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from grpclib.client import Channel, UnaryUnaryMethod

from baton.jobs.ports import Signer
from baton.kernel.crypto import keccak256, verify_message
from baton.kernel.ids import ZERO_ADDRESS
from baton.wire.pb import lp_rpc_pb2 as pb

__all__ = ["AvailabilityCheck", "ping"]

log = structlog.get_logger("baton.wire")

_FIRST_DELAY_S = 2.0
_CALL_TIMEOUT_S = 8.0
_RETRY_S = (5.0, 15.0, 60.0, 300.0)
_PORT = 8935

Ping = Callable[[str, bytes], Awaitable[bytes]]


async def ping(service_uri: str, value: bytes) -> bytes:
    """The answer of whoever listens at ``service_uri`` to a ping with ``value``.

    Raises:
        Exception: nobody useful is there; what it is depends on what is there instead.
    """
    parts = urlsplit(service_uri)
    context: ssl.SSLContext | None = None
    if parts.scheme != "http":
        context = ssl.create_default_context()
        context.check_hostname = False  # certificates of nodes are self-signed and nobody verifies them
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
    async with asyncio.timeout(_CALL_TIMEOUT_S):
        channel = Channel(host=parts.hostname or "", port=parts.port or _PORT, ssl=context)
        try:
            method = UnaryUnaryMethod(channel, "/net.Orchestrator/Ping", pb.PingPong, pb.PingPong)
            reply = await method(pb.PingPong(value=value))
        finally:
            channel.close()
    return bytes(reply.value)


class AvailabilityCheck:
    """Asks after a start until the node has been found under its own address once."""

    def __init__(
        self,
        *,
        service_uri: str,
        signer: Signer,
        ping: Ping = ping,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``ping`` and ``sleep`` are arguments so that a test can hold the network and time still."""
        self._service_uri = service_uri
        self._signer = signer
        self._ping = ping
        self._sleep = sleep

    async def run(self) -> None:
        """Service body: check, warn and retry; then rest for ever."""
        await self._sleep(_FIRST_DELAY_S)
        failures = 0
        while (problem := await self._problem()) is not None:
            log.warning(
                "not reachable at the service address",
                service_uri=self._service_uri,
                problem=problem,
                hint="gateways cannot reach this node if it is so for them too; behind NAT without hairpin routing"
                " this check fails although all is well",
                retry_s=_RETRY_S[min(failures, len(_RETRY_S) - 1)],
            )
            await self._sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1
        log.info("reachable at the service address", service_uri=self._service_uri)
        await asyncio.Event().wait()

    async def _problem(self) -> str | None:
        """What is wrong right now, None when we answered ourselves."""
        value = keccak256(secrets.token_bytes(32))
        try:
            signature = await self._ping(self._service_uri, value)
        except TimeoutError:
            return "no answer in time"
        except Exception as error:  # noqa: BLE001 -- whoever listens there may answer anything, and the node goes on
            return f"{type(error).__name__}: {error}"
        if self._signer.address != ZERO_ADDRESS and not verify_message(self._signer.address, value, signature):
            return "somebody else answers there"
        return None
