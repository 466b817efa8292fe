"""Messages of discovery: a gateway's question, our terms, and the end of a session (video.md 2.1)."""

from baton.jobs.messages import AuthToken, OrchestratorInfo, OrchestratorRequest
from baton.kernel.capabilities import Capabilities
from baton.kernel.ids import address_from_wire
from baton.wire.codec.parts import (
    capabilities_from_pb,
    capabilities_to_pb,
    offer_from_pb,
    offer_to_pb,
    parse,
    price_from_pb,
    price_to_pb,
    ticket_params_from_pb,
    ticket_params_to_pb,
    token_from_pb,
    token_to_pb,
)
from baton.wire.pb import lp_rpc_pb2 as pb

__all__ = [
    "decode_end_session",
    "decode_orchestrator_info",
    "decode_orchestrator_request",
    "decode_ping",
    "encode_end_session",
    "encode_orchestrator_info",
    "encode_orchestrator_request",
    "encode_ping",
    "info_from_pb",
    "info_to_pb",
]


def decode_orchestrator_request(data: bytes) -> OrchestratorRequest:
    """A gateway's question; raises ``UnreadableError``."""
    message = pb.OrchestratorRequest()
    parse(message, data)
    return OrchestratorRequest(
        sender=address_from_wire(message.address),
        signature=message.sig,
        capabilities=capabilities_from_pb(message.capabilities) if message.HasField("capabilities") else None,
        ignore_capacity_check=message.ignoreCapacityCheck,
    )


def encode_orchestrator_request(request: OrchestratorRequest) -> bytes:
    """A gateway's question, as a gateway sends it."""
    message = pb.OrchestratorRequest(
        address=bytes(request.sender), sig=request.signature, ignoreCapacityCheck=request.ignore_capacity_check
    )
    if request.capabilities is not None:
        message.capabilities.CopyFrom(capabilities_to_pb(request.capabilities))
    return message.SerializeToString(deterministic=True)


def info_to_pb(info: OrchestratorInfo) -> pb.OrchestratorInfo:
    """Our terms as a message: a price or ticket terms that do not exist are absent, not zero."""
    message = pb.OrchestratorInfo(
        transcoder=info.transcoder,
        address=bytes(info.address),
        auth_token=token_to_pb(info.auth_token),
        nodes=info.nodes,
        storage=[offer_to_pb(offer) for offer in info.storage],
        capabilities_prices=[price_to_pb(price) for price in info.capability_prices],
    )
    if info.capabilities != Capabilities():
        message.capabilities.CopyFrom(capabilities_to_pb(info.capabilities))
    if info.price is not None:
        message.price_info.CopyFrom(price_to_pb(info.price))
    if info.ticket_params is not None:
        message.ticket_params.CopyFrom(ticket_params_to_pb(info.ticket_params))
    return message


def encode_orchestrator_info(info: OrchestratorInfo) -> bytes:
    """The answer to a gateway's question."""
    return info_to_pb(info).SerializeToString(deterministic=True)


def info_from_pb(message: pb.OrchestratorInfo) -> OrchestratorInfo:
    """An orchestrator's terms as values."""
    return OrchestratorInfo(
        transcoder=message.transcoder,
        address=address_from_wire(message.address),
        capabilities=capabilities_from_pb(message.capabilities),
        auth_token=token_from_pb(message.auth_token),
        nodes=tuple(message.nodes),
        ticket_params=ticket_params_from_pb(message.ticket_params) if message.HasField("ticket_params") else None,
        price=price_from_pb(message.price_info) if message.HasField("price_info") else None,
        capability_prices=tuple(price_from_pb(price) for price in message.capabilities_prices),
        storage=tuple(offer_from_pb(offer) for offer in message.storage),
    )


def decode_orchestrator_info(data: bytes) -> OrchestratorInfo:
    """An orchestrator's answer, ours or another's; raises ``UnreadableError``."""
    message = pb.OrchestratorInfo()
    parse(message, data)
    return info_from_pb(message)


def encode_payment_result(info: OrchestratorInfo) -> bytes:
    """The answer to a payment: fresh terms."""
    message = pb.PaymentResult()
    message.info.CopyFrom(info_to_pb(info))
    return message.SerializeToString(deterministic=True)


def decode_payment_result(data: bytes) -> OrchestratorInfo:
    """The fresh terms in the answer to a payment; raises ``UnreadableError``."""
    message = pb.PaymentResult()
    parse(message, data)
    return info_from_pb(message.info)


def decode_end_session(data: bytes) -> AuthToken | None:
    """The token of a session its gateway needs no more, None when it sent none; raises ``UnreadableError``."""
    message = pb.EndTranscodingSessionRequest()
    parse(message, data)
    return token_from_pb(message.auth_token) if message.HasField("auth_token") else None


def encode_end_session(token: AuthToken) -> bytes:
    """The end of a session, as a gateway says it."""
    return pb.EndTranscodingSessionRequest(auth_token=token_to_pb(token)).SerializeToString()


def decode_ping(data: bytes) -> bytes:
    """The value of a ping or its reply; raises ``UnreadableError``."""
    message = pb.PingPong()
    parse(message, data)
    return message.value


def encode_ping(value: bytes) -> bytes:
    """A ping or its reply."""
    return pb.PingPong(value=value).SerializeToString()
