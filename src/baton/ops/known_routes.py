"""The routes that operators' scripts and dashboards know from the reference (operator.md 11), as far as they apply.

Paths, parameters, bodies and error texts are the reference's; what changes something is POST only, which
``ops.guard`` lets through for the operator alone. On a chain its id, the newest block and prices are told; every other
route about chain, stake and money, and off-chain all of them, answer 500 ``missing ETH client``. Errors are text with a
line end; an answer is one answer: nothing follows an error.
"""

import platform
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson
import structlog
from fastapi import FastAPI, Request, Response

from baton.kernel.version import NODE_VERSION
from baton.ops.logs import LogVerbosity
from baton.ops.plain import error, parameter, text
from baton.ops.price_routes import NoPrices, PriceRoutes
from baton.ops.status import SessionLimit

__all__ = ["KnownChain", "KnownRoutes"]

log = structlog.get_logger("baton.ops")

_BAD_REQUEST, _NOT_FOUND, _INTERNAL = 400, 404, 500
_MOST_SESSIONS = 1_000_000
_MOST_VERBOSITY = 1000
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_CHAIN_READS = (
    *("/orchestratorInfo", "/currentRound", "/roundInitialized", "/unbondingLocks", "/delegatorInfo"),
    *("/orchestratorEarningPoolsForRound", "/registeredOrchestrators", "/protocolParameters", "/contractAddresses"),
    *("/ethAddr", "/tokenBalance", "/ethBalance", "/maxGasPrice", "/minGasPrice", "/senderInfo"),
    *("/ticketBrokerParams",),
)
_CHAIN_CHANGES = (
    *("/initializeRound", "/activateOrchestrator", "/setOrchestratorConfig", "/bond", "/unbond", "/rebond"),
    *("/withdrawStake", "/withdrawFees", "/claimEarnings", "/reward", "/transferTokens", "/requestTokens"),
    *("/signMessage", "/vote", "/voteOnProposal", "/setMaxGasPrice", "/setMinGasPrice", "/setMaxFaceValue"),
    *("/setPriceForBroadcaster",),
)


class KnownChain(Protocol):
    """The chain a node works on, as it was last seen."""

    @property
    def chain_id(self) -> int:
        """Its id."""
        ...

    @property
    def block(self) -> int:
        """Number of its newest block."""
        ...


class KnownRoutes:
    """What each of them answers."""

    def __init__(
        self,
        *,
        session_limit: SessionLimit,
        verbosity: LogVerbosity,
        transcodes: bool,
        prices: PriceRoutes | None = None,
        chain: KnownChain | None = None,
    ) -> None:
        """``transcodes``: the node has a transcoder of its own. Off-chain there are no ``prices`` and no ``chain``."""
        self._prices = prices
        self._chain = chain
        self._session_limit = session_limit
        self._verbosity = verbosity
        self._transcodes = transcodes

    def attach(self, app: FastAPI) -> None:
        """Add the routes."""
        reads = {
            "/status": self.status,
            "/IsOrchestrator": self.is_orchestrator,
            "/IsRedeemer": self.is_redeemer,
            "/EthChainID": self.chain_id,
            "/currentBlock": self.current_block,
            "/getLogLevel": self.log_level,
            **dict.fromkeys(_CHAIN_READS, self.missing_client),
        }
        changes: dict[str, Callable[..., Awaitable[Response]]] = {
            "/setMaxSessions": self.set_max_sessions,
            "/setLogLevel": self.set_log_level,
            "/registerLiveRunners": self.no_live_runners,
            **dict.fromkeys(_CHAIN_CHANGES, self.missing_client),
            **(self._prices.changes() if self._prices is not None else {}),
        }
        (self._prices or NoPrices()).attach(app)
        for path, answer in reads.items():
            app.add_api_route(path, answer, methods=["GET", "HEAD"])
        for path, change in changes.items():
            app.add_api_route(path, change, methods=["POST"])

    # Reading.

    async def status(self) -> Response:
        """The node in the reference's words; what a gateway would fill is empty. Ours is ``/baton/status``."""
        content: dict[str, object] = {
            "Manifests": {},
            "InternalManifests": {},
            "StreamInfo": {},
            "OrchestratorPool": [],
            "OrchestratorPoolInfos": None,
            "Version": NODE_VERSION,
            "GolangRuntimeVersion": f"python{platform.python_version()}",
            "GOArch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "GOOS": sys.platform,
            "RegisteredTranscodersNumber": 0,
            "RegisteredTranscoders": [],
            "LocalTranscoding": self._transcodes,
            "BroadcasterPrices": self._prices.known_prices() if self._prices is not None else {},
        }
        return Response(orjson.dumps(content), headers={"content-type": "application/json"})

    async def is_orchestrator(self) -> Response:
        """It is."""
        return text("true")

    async def is_redeemer(self) -> Response:
        """It is not."""
        return text("false")

    async def chain_id(self) -> Response:
        """Off-chain it is 0."""
        return text(str(self._chain.chain_id if self._chain is not None else 0))

    async def current_block(self) -> Response:
        """The number as big-endian bytes: without a chain no block was seen, and zero has no bytes."""
        if self._chain is None:
            return text("")
        number = self._chain.block
        content = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return Response(content, headers={"content-type": "application/octet-stream"})

    async def log_level(self) -> Response:
        """The verbosity as a number."""
        return text(str(self._verbosity.number))

    async def missing_client(self) -> Response:
        """There is no chain."""
        return error(_INTERNAL, "missing ETH client")

    # Changing.

    async def no_live_runners(self) -> Response:
        """They are another kind of work."""
        return error(_NOT_FOUND, "live runners are not supported")

    async def set_max_sessions(self, request: Request) -> Response:
        """Change the session limit, now and for the next starts."""
        word = await parameter(request, "maxSessions")
        if not word:
            return error(_BAD_REQUEST, "missing form param: maxSessions")
        if word == "auto":
            # It means the capacity of standalone transcoders; the reference's own process ends over this question.
            reason = "cannot be used when both -orchestrator and -transcoder are specified"
            if not self._transcodes:
                reason = "cannot be used by a node that takes no standalone transcoders"
            return error(_BAD_REQUEST, f"-maxSessions 'auto' {reason}")
        limit = _number(word, most=_MOST_SESSIONS)
        if not limit:
            return error(_BAD_REQUEST, "Max Sessions must be 'auto' or greater than zero")
        try:
            await self._session_limit.change(limit)
        except OSError as problem:
            log.exception("session limit cannot be kept")
            return error(_INTERNAL, f"the limit cannot be kept: {problem.strerror}")
        return text(f"Max sessions set to {limit}\n")

    async def set_log_level(self, request: Request) -> Response:
        """Change how much is logged, until the node ends."""
        word = await parameter(request, "loglevel")
        if not word:
            return error(_BAD_REQUEST, "missing form param: loglevel")
        number = _number(word, most=_MOST_VERBOSITY)
        if number is None:
            return error(_BAD_REQUEST, "parameter 'logLevel' not defined")
        before = self._verbosity.number
        self._verbosity.set(number)
        log.warning("log level changed", verbosity=number, before=before)
        return text("")


def _number(word: str, *, most: int) -> int | None:
    """A whole number from 0 to ``most``, or None."""
    short = len(word) <= len(str(most))
    return int(word) if short and word.isascii() and word.isdigit() and int(word) <= most else None
