"""Discovery: the story of GetOrchestrator, Ping and EndTranscodingSession, in the order of checks peers know.

Answers to video.md 3.2, 3.6 and 3.7. A gateway considers the orchestrators that answer within half a second, so
nothing here waits but the operator's own webhook, and that with a limit.
"""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from baton.jobs.callers import caller_name
from baton.jobs.gate import Gate
from baton.jobs.info import InfoBuilder
from baton.jobs.limits import CallerLimiter
from baton.jobs.messages import AuthToken, OrchestratorInfo, OrchestratorRequest, Price
from baton.jobs.ports import AuthWebhook, SenderCheck, Signer, WebhookRefusedError
from baton.jobs.streams import Streams
from baton.jobs.tokens import TokenMint
from baton.kernel.capabilities import Capabilities, Capability
from baton.kernel.clock import Clock
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import Address, shown_session, to_checksum_hex
from baton.kernel.metrics import Metrics

__all__ = ["Discovery", "KnownSenders"]

log = structlog.get_logger("baton.jobs")

_FORBIDDEN = 403
_PING_BYTES = 32
_REMEMBERED_SENDERS = 4096
_RATE_PER_S = 20.0
_BURST = 200


class KnownSenders:
    """Signature checks of discovery with a memory: a gateway signs once at its start and sends the same bytes for ever.

    Only good pairs are remembered, the longest unused go first.
    """

    def __init__(self, check: SenderCheck) -> None:
        """``check`` decides about pairs that were not seen before."""
        self._check = check
        self._good: OrderedDict[tuple[Address, bytes], None] = OrderedDict()

    def verify(self, sender: Address, signature: bytes) -> bool:
        """Whether ``sender`` signed the text of its own address."""
        pair = (sender, signature)
        if pair in self._good:
            self._good.move_to_end(pair)
            return True
        if not self._check.verify(sender, to_checksum_hex(sender).encode("ascii"), signature):
            return False
        if self._check.identifies_senders:
            self._good[pair] = None
            while len(self._good) > _REMEMBERED_SENDERS:
                self._good.popitem(last=False)
        return True


class Discovery:
    """Answers gateways that look for an orchestrator."""

    def __init__(
        self,
        *,
        senders: SenderCheck,
        signer: Signer,
        tokens: TokenMint,
        info: InfoBuilder,
        streams: Streams,
        gate: Gate,
        webhook: AuthWebhook | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``webhook`` None lets everybody ask."""
        self._senders = senders
        self._known = KnownSenders(senders)
        self._signer = signer
        self._tokens = tokens
        self._info = info
        self._streams = streams
        self._gate = gate
        self._webhook = webhook
        self._clock = clock
        self._metrics = metrics
        self._limiter = CallerLimiter(rate_per_s=_RATE_PER_S, burst=_BURST)

    async def get_orchestrator(self, request: OrchestratorRequest, *, peer_host: str) -> OrchestratorInfo:
        """Our terms for a gateway, with a token for a fresh session.

        Raises:
            RefusedError: the text is what the gateway reads; its status means nothing over gRPC.
        """
        try:
            info = await self._answer(request, peer_host=peer_host)
        except RefusedError as error:
            self._metrics.add("discovery_requests_total", outcome=_outcome(error.text))
            # Who asks too often must not fill the log either: the counter tells.
            tell = log.debug if error.text == Text.REQUEST_TOO_MANY else log.info
            tell("discovery refused", peer=peer_host, reason=error.text, detail=error.detail)
            raise
        self._metrics.add("discovery_requests_total", outcome="answered")
        log.debug("discovery answered", peer=peer_host, session=shown_session(info.auth_token.session_id))
        return info

    async def _answer(self, request: OrchestratorRequest, *, peer_host: str) -> OrchestratorInfo:
        if not self._limiter.allows(peer_host, self._clock.monotonic()):
            raise RefusedError(_FORBIDDEN, Text.REQUEST_TOO_MANY)
        if not self._known.verify(request.sender, request.signature):
            raise RefusedError(_FORBIDDEN, Text.REQUEST_SIG)
        caller = caller_name(self._senders, sender=request.sender, peer_host=peer_host)
        self._require_room(caller, self._streams.may_refresh)
        price_override = await self._authenticate(request.sender)
        requested = request.capabilities if self._info.takes_work else None
        if requested is not None and not request.ignore_capacity_check:
            self._require_live_room(requested)
        info = await self._info.build(
            sender=request.sender,
            token=self._tokens.issue(caller=caller),
            requested=requested,
            price_override=price_override,
        )
        # Last: whoever the webhook sends away, or who gets no terms, has not used up the refresh of its stream.
        self._require_room(caller, self._streams.grants_refresh)
        return info

    def _require_room(self, caller: str, refreshes: Callable[[str], bool]) -> None:
        """Room for another session, or a stream of this caller's that needs a new token (video.md 11.2 item 13)."""
        if self._gate.takes_sessions and self._streams.has_room:
            return
        if self._gate.takes_segments and refreshes(caller):
            return
        raise RefusedError(_FORBIDDEN, Text.REQUEST_CAPPED)

    def _require_live_room(self, requested: Capabilities) -> None:
        """A request that names models for live video needs one of them with room (video.md 3.2 step 6)."""
        wanted = requested.models.get(Capability.LIVE_VIDEO_TO_VIDEO)
        if wanted is None:
            return
        offered = self._info.own_capabilities.models.get(Capability.LIVE_VIDEO_TO_VIDEO, {})
        if not any(model in offered and offered[model].capacity > 0 for model in wanted):
            raise RefusedError(_FORBIDDEN, Text.REQUEST_CAPPED, detail="no live model that was asked for has room")

    async def _authenticate(self, sender: Address) -> Price | None:
        if self._webhook is None:
            return None
        try:
            return await self._webhook.authenticate(sender)
        except WebhookRefusedError as error:
            raise RefusedError(_FORBIDDEN, f"{Text.AUTHENTICATION_FAILED}{error}") from error

    def ping(self, value: bytes) -> bytes:
        """Our signature over ``value``: proof that whoever answers here holds the key. Empty without one.

        Anybody may ask, so only what cannot mean anything else is signed. The packed fields of a ticket, our address in
        text or a segment's credentials are all longer than the hash that a ping carries, and signing them would let
        strangers spend and speak in our name.

        Raises:
            RefusedError: longer than a hash.
        """
        if len(value) > _PING_BYTES:
            raise RefusedError(_FORBIDDEN, Text.PING_VALUE, detail=f"{len(value)} bytes")
        return self._signer.sign(value)

    async def end_session(self, token: AuthToken | None) -> None:
        """A gateway needs a session no more. Its token must be ours; whether it expired does not matter.

        Raises:
            RefusedError: no token, or not ours.
        """
        if token is None or not self._tokens.matches(token):
            raise RefusedError(_FORBIDDEN, Text.INVALID_AUTH_TOKEN_RPC)
        await self._streams.end(token.session_id, reason="gateway")


def _outcome(text: str) -> str:
    """The metric label of a refusal: one of a closed set, never a stranger's words."""
    known = {Text.REQUEST_SIG: "signature", Text.REQUEST_CAPPED: "capped", Text.REQUEST_TOO_MANY: "rate"}
    if text.startswith(Text.AUTHENTICATION_FAILED):
        return "webhook"
    return known.get(text, "terms")
