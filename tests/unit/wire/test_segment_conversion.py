"""From a gateway's metadata to ours, rule by rule (video.md 4.4), read from messages as they are on the wire."""

import pytest

from baton.jobs.messages import ObjectStoreKind, flatten_segment
from baton.kernel.crypto import keccak256
from baton.kernel.errors import RefusedError
from baton.kernel.profiles import EncoderProfile, OutputFormat, VideoCodec
from baton.media.job import Clip
from baton.wire.codec import decode_segment_data
from baton.wire.codec.parts import decode_capabilities
from baton.wire.pb import lp_rpc_pb2 as pb


def profile(name: str = "one", /, **fields: int) -> pb.VideoProfile:
    made = pb.VideoProfile(name=name, width=256, height=144, bitrate=400_000, fps=30)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def refusal(message: pb.SegData) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        decode_segment_data(message.SerializeToString())
    return refused.value.status, refused.value.text


def test_no_bytes_are_an_empty_message() -> None:
    read = decode_segment_data(b"")
    assert (read.manifest_id, read.seq, read.content_hash, read.profiles, read.signature) == ("", 0, b"", (), b"")
    assert (read.duration_ms, read.auth_token, read.clip, read.storage) == (2000, None, None, None)
    assert (read.capabilities.bits, read.capabilities.min_version, dict(read.capabilities.models)) == ((), "", {})


@pytest.mark.parametrize(
    ("fields", "name"),
    [((33,), "33"), ((34,), "34"), ((35,), "35"), ((33, 34), "34"), ((33, 34, 35), "35"), ((33, 35), "35")],
)
def test_the_latest_list_of_profiles_that_is_not_empty_counts(fields: tuple[int, ...], name: str) -> None:
    message = pb.SegData(profiles=b"invalid")
    for field in fields:
        by_number = {33: message.fullProfiles, 34: message.fullProfiles2, 35: message.fullProfiles3}
        by_number[field].append(profile(str(field)))
    assert [p.name for p in decode_segment_data(message.SerializeToString()).profiles] == [name]


def test_an_unnamed_profile_gets_its_name_before_it_is_flattened() -> None:
    read = decode_segment_data(pb.SegData(fullProfiles=[profile("")]).SerializeToString())
    assert read.profiles[0].name == "net_256x144_400000"
    assert flatten_segment(read)[-8:] == keccak256(b"net_256x144_400000")[:4].hex().encode()


def test_every_number_of_a_profile_is_read() -> None:
    asked = profile("all", fpsDen=1001, format=1, profile=4, gop=2000, encoder=1, quality=23)
    (read,) = decode_segment_data(pb.SegData(fullProfiles3=[asked]).SerializeToString()).profiles
    assert (read.width, read.height, read.bitrate_bps, read.fps, read.fps_den) == (256, 144, 400_000, 30, 1001)
    assert (read.format, read.profile) == (OutputFormat.MP4, EncoderProfile.H264_CONSTRAINED_HIGH)
    assert (read.codec, read.gop_ms, read.quality) == (VideoCodec.H265, 2000, 23)


@pytest.mark.parametrize("gop", [-1, -2, -(2**31), 0, 2**31 - 1])
def test_special_intervals_are_left_for_the_engine_to_judge(gop: int) -> None:
    (read,) = decode_segment_data(pb.SegData(fullProfiles3=[profile(gop=gop)]).SerializeToString()).profiles
    assert read.gop_ms == gop


@pytest.mark.parametrize(
    ("field", "last", "text"),
    [
        ("format", 1, "unrecognized profile output format"),
        ("profile", 4, "unrecognized encoder profile"),
        ("encoder", 3, "unrecognized video codec"),
    ],
)
def test_numbers_beyond_the_last_known_one_are_refused(field: str, last: int, text: str) -> None:
    known = pb.SegData(fullProfiles=[profile(**{field: last})])
    assert len(decode_segment_data(known.SerializeToString()).profiles) == 1
    for unknown in (last + 1, -1, 2**31 - 1):
        assert refusal(pb.SegData(fullProfiles=[profile(), profile(**{field: unknown})])) == (403, text)


def test_profiles_are_judged_before_the_duration() -> None:
    message = pb.SegData(duration=-1, fullProfiles=[profile(format=7)])
    assert refusal(message) == (403, "unrecognized profile output format")


@pytest.mark.parametrize(("stated_ms", "meant_ms"), [(0, 2000), (1, 1), (123, 123), (300_000, 300_000)])
def test_no_duration_is_two_seconds(stated_ms: int, meant_ms: int) -> None:
    assert decode_segment_data(pb.SegData(duration=stated_ms).SerializeToString()).duration_ms == meant_ms


@pytest.mark.parametrize("duration_ms", [-1, 300_001, -(2**31), 2**31 - 1])
def test_durations_out_of_range_are_invalid(duration_ms: int) -> None:
    assert refusal(pb.SegData(duration=duration_ms)) == (403, "invalid duration")


@pytest.mark.parametrize("bounds", [(0, 0), (500, 0), (0, 500), (2**63, 2**64 - 1)])
def test_a_clip_is_there_when_its_message_is(bounds: tuple[int, int]) -> None:
    message = pb.SegData()
    message.segment_parameters.SetInParent()
    setattr(message.segment_parameters, "from", bounds[0])
    message.segment_parameters.to = bounds[1]
    assert decode_segment_data(message.SerializeToString()).clip == Clip(from_ms=bounds[0], to_ms=bounds[1])


def test_only_the_first_store_counts() -> None:
    message = pb.SegData()
    message.storage.add(storageType=pb.OSInfo.S3).s3info.host = "first"
    message.storage.add(storageType=pb.OSInfo.GOOGLE).s3info.host = "second"
    read = decode_segment_data(message.SerializeToString()).storage
    assert read is not None
    assert (read.kind, read.host) == (ObjectStoreKind.S3, "first")


def test_bits_without_capacities_count_one_each_up_to_sixteen_words() -> None:
    read = decode_capabilities(pb.Capabilities(bitstring=[0] * 15 + [3]).SerializeToString())
    assert dict(read.capacities) == {960: 1, 961: 1}
    stated = decode_capabilities(pb.Capabilities(bitstring=[3], capacities={0: 7}).SerializeToString())
    assert dict(stated.capacities) == {0: 7}
    many = decode_capabilities(pb.Capabilities(bitstring=[2**64 - 1] * 17).SerializeToString())
    assert dict(many.capacities) == {}
