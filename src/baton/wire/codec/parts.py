"""Parts that several messages share: capabilities, tokens, prices, store offers and ticket terms (video.md 2, 5.3)."""

from types import MappingProxyType

from google.protobuf.message import DecodeError, Message

from baton.jobs.messages import AuthToken, ObjectStoreKind, ObjectStoreOffer, Price, TicketParams
from baton.kernel.capabilities import Capabilities, ModelConstraint, ids_from_bits
from baton.kernel.errors import BatonError
from baton.kernel.ids import SessionId
from baton.wire.pb import lp_rpc_pb2 as pb

__all__ = [
    "UnreadableError",
    "capabilities_from_pb",
    "capabilities_to_pb",
    "decode_capabilities",
    "encode_capabilities",
    "offer_from_pb",
    "offer_to_pb",
    "parse",
    "price_from_pb",
    "price_to_pb",
    "ticket_params_from_pb",
    "ticket_params_to_pb",
    "token_from_pb",
    "token_to_pb",
]

_ASSUMED_CAPACITY_WORDS = 16
_UNREADABLE = "proto: cannot parse invalid wire-format data"


class UnreadableError(BatonError):
    """Bytes that are not the message they should be. The text is the one peers' own parsers give."""

    def __init__(self) -> None:
        """There is only one text: parsers of strangers' bytes say nothing about what they found."""
        super().__init__(_UNREADABLE)
        self.text = _UNREADABLE


def parse(message: Message, data: bytes) -> None:
    """Fill ``message`` from a stranger's bytes; raises ``UnreadableError``."""
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise UnreadableError from error


def capabilities_from_pb(message: pb.Capabilities) -> Capabilities:
    """A request or offer; without stated capacities every set bit counts 1, within a sane number of words."""
    bits = tuple(message.bitstring)
    capacities = dict(message.capacities)
    if not capacities and len(bits) <= _ASSUMED_CAPACITY_WORDS:
        capacities = dict.fromkeys(ids_from_bits(bits), 1)
    models = {
        capability_id: MappingProxyType(
            {
                model_id: ModelConstraint(
                    warm=model.warm,
                    capacity=model.capacity,
                    runner_version=model.runnerVersion,
                    capacity_in_use=model.capacityInUse,
                )
                for model_id, model in constraint.models.items()
            }
        )
        for capability_id, constraint in message.constraints.PerCapability.items()
    }
    return Capabilities(
        bits=bits,
        mandatory_bits=tuple(message.mandatories),
        capacities=MappingProxyType(capacities),
        version=message.version,
        min_version=message.constraints.minVersion,
        models=MappingProxyType(models),
    )


def capabilities_to_pb(capabilities: Capabilities) -> pb.Capabilities:
    """All of an offer; ``constraints`` is always present, as peers send it."""
    message = pb.Capabilities(
        bitstring=capabilities.bits, mandatories=capabilities.mandatory_bits, version=capabilities.version
    )
    for capability_id, capacity in capabilities.capacities.items():
        message.capacities[capability_id] = capacity
    message.constraints.SetInParent()
    message.constraints.minVersion = capabilities.min_version
    for capability_id, models in capabilities.models.items():
        entry = message.constraints.PerCapability[capability_id]
        for model_id, model in models.items():
            row = entry.models[model_id]
            row.warm = model.warm
            row.capacity = model.capacity
            row.runnerVersion = model.runner_version
            row.capacityInUse = model.capacity_in_use
    return message


def decode_capabilities(data: bytes) -> Capabilities:
    """One Capabilities message; raises ``UnreadableError``."""
    message = pb.Capabilities()
    parse(message, data)
    return capabilities_from_pb(message)


def encode_capabilities(capabilities: Capabilities) -> bytes:
    """One Capabilities message."""
    return capabilities_to_pb(capabilities).SerializeToString(deterministic=True)


def token_from_pb(message: pb.AuthToken) -> AuthToken:
    """A token as a value; nothing about it is checked here."""
    return AuthToken(token=message.token, session_id=SessionId(message.session_id), expiration=message.expiration)


def token_to_pb(token: AuthToken) -> pb.AuthToken:
    """A token as a message."""
    return pb.AuthToken(token=token.token, session_id=token.session_id, expiration=token.expiration)


def price_from_pb(message: pb.PriceInfo) -> Price:
    """A price as stated, zero and negative numbers included."""
    return Price(
        wei_per_unit=message.pricePerUnit,
        px_per_unit=message.pixelsPerUnit,
        capability=message.capability,
        constraint=message.constraint,
    )


def price_to_pb(price: Price) -> pb.PriceInfo:
    """A price as a message."""
    return pb.PriceInfo(
        pricePerUnit=price.wei_per_unit,
        pixelsPerUnit=price.px_per_unit,
        capability=price.capability,
        constraint=price.constraint,
    )


def offer_from_pb(message: pb.OSInfo) -> ObjectStoreOffer:
    """Leave to write into a store; a kind nobody numbered counts as direct."""
    known = {kind.value for kind in ObjectStoreKind}
    kind = ObjectStoreKind(message.storageType) if message.storageType in known else ObjectStoreKind.DIRECT
    s3 = message.s3info
    return ObjectStoreOffer(
        kind=kind,
        host=s3.host,
        key_prefix=s3.key,
        policy=s3.policy,
        signature=s3.signature,
        credential=s3.credential,
        amz_date=s3.xAmzDate,
    )


def offer_to_pb(offer: ObjectStoreOffer) -> pb.OSInfo:
    """Leave to write into a store as a message; S3 fields also carry Google credentials."""
    message = pb.OSInfo(storageType=pb.OSInfo.StorageType.Name(offer.kind.value))
    if offer.kind is not ObjectStoreKind.DIRECT:
        message.s3info.CopyFrom(
            pb.S3OSInfo(
                host=offer.host,
                key=offer.key_prefix,
                policy=offer.policy,
                signature=offer.signature,
                credential=offer.credential,
                xAmzDate=offer.amz_date,
            )
        )
    return message


def ticket_params_to_pb(params: TicketParams) -> pb.TicketParams:
    """Ticket terms as a message."""
    return pb.TicketParams(
        recipient=params.recipient,
        face_value=params.face_value,
        win_prob=params.win_prob,
        recipient_rand_hash=params.recipient_rand_hash,
        seed=params.seed,
        expiration_block=params.expiration_block,
        expiration_params=pb.TicketExpirationParams(
            creation_round=params.creation_round, creation_round_block_hash=params.creation_round_block_hash
        ),
    )


def ticket_params_from_pb(message: pb.TicketParams) -> TicketParams:
    """Ticket terms as values."""
    return TicketParams(
        recipient=message.recipient,
        face_value=message.face_value,
        win_prob=message.win_prob,
        recipient_rand_hash=message.recipient_rand_hash,
        seed=message.seed,
        expiration_block=message.expiration_block,
        creation_round=message.expiration_params.creation_round,
        creation_round_block_hash=message.expiration_params.creation_round_block_hash,
    )
