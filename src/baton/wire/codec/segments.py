"""Messages of segments: payment and metadata of a request, and the result in its answer (video.md 2.2, 4.4)."""

from dataclasses import replace

from baton.jobs.messages import Payment, RenditionRef, SegmentMetadata, SegmentResult, SignedNonce
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import address_from_wire, manifest_id_bytes, manifest_id_from_wire
from baton.kernel.profiles import EncoderProfile, OutputFormat, VideoCodec, VideoProfile
from baton.media.job import Clip
from baton.wire.codec.discovery import info_from_pb, info_to_pb
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
    "MAX_DURATION_MS",
    "decode_payment",
    "decode_segment_data",
    "decode_segment_result",
    "encode_payment",
    "encode_segment_data",
    "encode_segment_result",
]

MAX_DURATION_MS = 300_000
"""Longest segment of the network."""

_MOST_PROFILES = 100
"""Engines refuse more than ten in the result; a list beyond this costs the event loop more than its header is worth."""

_DEFAULT_DURATION_MS = 2000
_FORBIDDEN = 403
_RETIRED_PROFILES = b"invalid"

_FORMATS = {member.value: member for member in OutputFormat}
_PROFILES = {member.value: member for member in EncoderProfile}
_CODECS = {member.value: member for member in VideoCodec}


def decode_payment(data: bytes) -> Payment:
    """The payment of a request; no bytes are an empty payment. Raises ``UnreadableError``."""
    message = pb.Payment()
    parse(message, data)
    params = None
    if message.HasField("ticket_params"):
        # When the tickets were made stands beside the terms here, not in them (payments.md 2).
        params = replace(
            ticket_params_from_pb(message.ticket_params),
            creation_round=message.expiration_params.creation_round,
            creation_round_block_hash=message.expiration_params.creation_round_block_hash,
        )
    return Payment(
        sender=address_from_wire(message.sender),
        expected_price=price_from_pb(message.expected_price) if message.HasField("expected_price") else None,
        has_sender=bool(message.sender),
        ticket_params=params,
        tickets=tuple(SignedNonce(row.sender_nonce, row.sig) for row in message.ticket_sender_params),
    )


def encode_payment(payment: Payment) -> bytes:
    """A payment as a gateway sends it: the terms without their last field, which stands beside them."""
    message = pb.Payment(sender=bytes(payment.sender))
    if payment.ticket_params is not None:
        message.ticket_params.CopyFrom(ticket_params_to_pb(payment.ticket_params))
        message.expiration_params.CopyFrom(message.ticket_params.expiration_params)
        message.ticket_params.ClearField("expiration_params")
    for ticket in payment.tickets:
        message.ticket_sender_params.add(sender_nonce=ticket.sender_nonce, sig=ticket.signature)
    if payment.expected_price is not None:
        message.expected_price.CopyFrom(price_to_pb(payment.expected_price))
    return message.SerializeToString(deterministic=True)


def _profile_from_pb(message: pb.VideoProfile) -> VideoProfile:
    """One requested rendition; an unnamed one gets the name peers give it on receipt."""
    name = message.name or f"net_{message.width}x{message.height}_{message.bitrate}"
    if message.format not in _FORMATS:
        raise RefusedError(_FORBIDDEN, Text.OUTPUT_FORMAT, detail=f"format {message.format}")
    if message.profile not in _PROFILES:
        raise RefusedError(_FORBIDDEN, Text.ENCODER_PROFILE, detail=f"profile {message.profile}")
    if message.encoder not in _CODECS:
        raise RefusedError(_FORBIDDEN, Text.VIDEO_CODEC, detail=f"encoder {message.encoder}")
    return VideoProfile(
        name=name,
        width=message.width,
        height=message.height,
        bitrate_bps=message.bitrate,
        fps=message.fps,
        fps_den=message.fpsDen,
        format=_FORMATS[message.format],
        profile=_PROFILES[message.profile],
        gop_ms=message.gop,
        codec=_CODECS[message.encoder],
        quality=message.quality,
    )


def _profile_to_pb(profile: VideoProfile) -> pb.VideoProfile:
    return pb.VideoProfile(
        name=profile.name,
        width=profile.width,
        height=profile.height,
        bitrate=profile.bitrate_bps,
        fps=profile.fps,
        fpsDen=profile.fps_den,
        format=pb.VideoProfile.Format.Name(profile.format.value),
        profile=pb.VideoProfile.Profile.Name(profile.profile.value),
        gop=profile.gop_ms,
        encoder=pb.VideoProfile.VideoCodec.Name(profile.codec.value),
        quality=profile.quality,
    )


def decode_segment_data(data: bytes) -> SegmentMetadata:
    """What a gateway says about a segment, converted by the rules of video.md 4.4.

    Raises:
        UnreadableError: not a SegData message.
        RefusedError: 403 for a value without meaning: profile fields first, then the duration; or for a list of
            profiles beyond all measure.
    """
    message = pb.SegData()
    parse(message, data)
    listed = message.fullProfiles3 or message.fullProfiles2 or message.fullProfiles
    if len(listed) > _MOST_PROFILES:
        raise RefusedError(_FORBIDDEN, Text.TOO_MANY_OUTPUTS, detail=f"{len(listed)} profiles")
    profiles = tuple(_profile_from_pb(profile) for profile in listed)
    if not 0 <= message.duration <= MAX_DURATION_MS:
        raise RefusedError(_FORBIDDEN, Text.INVALID_DURATION, detail=f"{message.duration} ms")
    clip = None
    if message.HasField("segment_parameters"):
        clip = Clip(from_ms=getattr(message.segment_parameters, "from"), to_ms=message.segment_parameters.to)
    return SegmentMetadata(
        manifest_id=manifest_id_from_wire(message.manifestId),
        seq=message.seq,
        content_hash=message.hash,
        profiles=profiles,
        signature=message.sig,
        duration_ms=message.duration or _DEFAULT_DURATION_MS,
        capabilities=capabilities_from_pb(message.capabilities),
        auth_token=token_from_pb(message.auth_token) if message.HasField("auth_token") else None,
        calc_perceptual_hash=message.calc_perceptual_hash,
        storage=offer_from_pb(message.storage[0]) if message.storage else None,
        clip=clip,
        force_reinit=message.ForceSessionReinit,
    )


def encode_segment_data(metadata: SegmentMetadata) -> bytes:
    """A segment's metadata as a gateway sends it, profiles in the field their features ask for (video.md 8.3)."""
    message = pb.SegData(
        manifestId=manifest_id_bytes(metadata.manifest_id),
        seq=metadata.seq,
        hash=metadata.content_hash,
        profiles=_RETIRED_PROFILES,
        sig=metadata.signature,
        duration=metadata.duration_ms,
        capabilities=capabilities_to_pb(metadata.capabilities),
        calc_perceptual_hash=metadata.calc_perceptual_hash,
        ForceSessionReinit=metadata.force_reinit,
    )
    if metadata.auth_token is not None:
        message.auth_token.CopyFrom(token_to_pb(metadata.auth_token))
    if metadata.storage is not None:
        message.storage.append(offer_to_pb(metadata.storage))
    if metadata.clip is not None:
        message.segment_parameters.SetInParent()
        setattr(message.segment_parameters, "from", metadata.clip.from_ms)
        message.segment_parameters.to = metadata.clip.to_ms
    rows = [_profile_to_pb(profile) for profile in metadata.profiles]
    if any(p.fps_den or p.profile is not EncoderProfile.DEFAULT or p.gop_ms for p in metadata.profiles):
        message.fullProfiles3.extend(rows)
    elif any(p.format is OutputFormat.MP4 for p in metadata.profiles):
        message.fullProfiles2.extend(rows)
    else:
        message.fullProfiles.extend(rows)
    return message.SerializeToString(deterministic=True)


def encode_segment_result(result: SegmentResult) -> bytes:
    """The body of an answered segment: error text or renditions, and always fresh terms."""
    message = pb.TranscodeResult(seq=result.seq)
    if result.info is not None:
        message.info.CopyFrom(info_to_pb(result.info))
    if result.error:
        message.error = result.error
        return message.SerializeToString(deterministic=True)
    message.data.SetInParent()
    message.data.sig = result.signature
    for rendition in result.renditions:
        message.data.segments.append(
            pb.TranscodedSegmentData(
                url=rendition.url, pixels=rendition.pixels, perceptual_hash_url=rendition.perceptual_hash_url
            )
        )
    return message.SerializeToString(deterministic=True)


def decode_segment_result(data: bytes) -> SegmentResult:
    """The body of an answered segment; raises ``UnreadableError``."""
    message = pb.TranscodeResult()
    parse(message, data)
    return SegmentResult(
        seq=message.seq,
        info=info_from_pb(message.info) if message.HasField("info") else None,
        renditions=tuple(
            RenditionRef(url=row.url, pixels=row.pixels, perceptual_hash_url=row.perceptual_hash_url)
            for row in message.data.segments
        ),
        signature=message.data.sig,
        error=message.error,
    )
