"""Renditions by preset names and by file, to the rules of video.md 7.14."""

import json
from pathlib import Path
from typing import Any

import pytest

from baton.kernel.profiles import PRESETS, EncoderProfile, VideoCodec, VideoProfile
from baton.selftest.bench.ladder import DEFAULT_LADDER, LadderError, parse_profiles, read_ladder

STANDARD = [
    {"name": name, "fps": 0, "bitrate": bitrate, "width": width, "height": height, "profile": profile, "gop": "1"}
    for profile in ("h264constrainedhigh",)
    for name, bitrate, width, height in (
        ("240p0", 250000, 426, 240),
        ("360p0", 800000, 640, 360),
        ("480p0", 1600000, 854, 480),
        ("720p0", 3000000, 1280, 720),
    )
]
"""The ladder that operators measure with (video.md 7.13)."""


def one(**row: Any) -> VideoProfile:
    (profile,) = parse_profiles(json.dumps([row])).profiles
    return profile


def test_default_is_the_reference_s() -> None:
    assert DEFAULT_LADDER == "P240p30fps16x9,P360p30fps16x9,P720p30fps16x9"
    names = [profile.name for profile in read_ladder(DEFAULT_LADDER, directory=Path()).profiles]
    assert names == DEFAULT_LADDER.split(",")


def test_presets_are_found_whatever_their_case_and_spaces() -> None:
    ladder = read_ladder(" p144p30FPS16x9 , P576p25fps16x9,", directory=Path())
    assert ladder.profiles == (PRESETS["P144p30fps16x9"], PRESETS["P576p25fps16x9"])


def test_a_list_of_presets_may_be_longer_than_a_file_s_name(tmp_path: Path) -> None:
    assert len(read_ladder(",".join(["P144p30fps16x9"] * 30), directory=tmp_path).profiles) == 30


def test_standard_ladder_file(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps(STANDARD))
    ladder = read_ladder("options.json", directory=tmp_path)
    assert ladder.notes == ()
    assert ladder.profiles[3] == VideoProfile(
        name="720p0",
        width=1280,
        height=720,
        bitrate_bps=3_000_000,
        profile=EncoderProfile.H264_CONSTRAINED_HIGH,
        gop_ms=1000,
    )
    assert [(p.name, p.bitrate_bps, p.fps) for p in ladder.profiles] == [
        ("240p0", 250_000, 0),
        ("360p0", 800_000, 0),
        ("480p0", 1_600_000, 0),
        ("720p0", 3_000_000, 0),
    ]


def test_file_needs_no_ending(tmp_path: Path) -> None:
    (tmp_path / "ladder").write_text(json.dumps(STANDARD[:1]))
    assert read_ladder(str(tmp_path / "ladder"), directory=Path("/")).profiles[0].name == "240p0"


@pytest.mark.parametrize(
    ("text", "gop_ms"),
    [("", 0), ("intra", -1), ("0", 0), ("0.0", 0), ("2.0", 2000), ("1", 1000), ("0.3", 300), ("86400", 86_400_000)],
)
def test_gop(text: str, gop_ms: int) -> None:
    assert one(width=1, height=1, gop=text).gop_ms == gop_ms


@pytest.mark.parametrize("text", ["-1", "Intra", "1s", "nan", "inf", "1_0", "1e9", "٣", "-0.1"])
def test_gop_that_is_none(text: str) -> None:
    with pytest.raises(LadderError, match="gop"):
        one(width=1, height=1, gop=text)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("", EncoderProfile.DEFAULT),
        ("None", EncoderProfile.DEFAULT),
        ("H264Baseline", EncoderProfile.H264_BASELINE),
        ("h264main", EncoderProfile.H264_MAIN),
        ("H264HIGH", EncoderProfile.H264_HIGH),
        ("h264ConstrainedHigh", EncoderProfile.H264_CONSTRAINED_HIGH),
    ],
)
def test_encoder_profile_without_regard_to_case(name: str, profile: EncoderProfile) -> None:
    assert one(profile=name).profile is profile


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("", VideoCodec.H264),
        ("H.264", VideoCodec.H264),
        ("HEVC", VideoCodec.H265),
        ("VP8", VideoCodec.VP8),
        ("VP9", VideoCodec.VP9),
    ],
)
def test_encoder(name: str, codec: VideoCodec) -> None:
    assert one(encoder=name).codec is codec


def test_all_numbers_and_a_name_made_of_them() -> None:
    profile = one(width=852, height=480, bitrate=1_100_000, fps=30000, fpsDen=1001, quality=23, colorDepth=8)
    assert profile.name == "custom_852x480_1100000"
    assert (profile.fps, profile.fps_den, profile.quality) == (30000, 1001, 23)


def test_keys_are_read_in_any_case_and_unknown_ones_told() -> None:
    ladder = parse_profiles(json.dumps([{"Width": 640, "HEIGHT": 360, "chromaFormat": 0, "bitrat": 5, "name": None}]))
    assert ladder.profiles[0].name == "custom_640x360_0"
    assert ladder.notes == ("key 'bitrat' of the profiles is ignored",)


@pytest.mark.parametrize(
    "row",
    [
        {"width": -1},
        {"width": 1.5},
        {"width": True},
        {"height": "360"},
        {"fps": 29.97},
        {"quality": 64},
        {"bitrate": 2**40},
        {"name": 5},
        {"profile": "h265main"},
        {"encoder": "AV1"},
        {"gop": 2},
    ],
    ids=str,
)
def test_value_that_does_not_fit_its_key_is_named(row: dict[str, Any]) -> None:
    with pytest.raises(LadderError, match=f"profile 1: {next(iter(row))}"):
        one(**row)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(LadderError) as caught:
        parse_profiles(json.dumps([{"width": -1, "gop": "x"}, 7, {"encoder": "AV1"}]))
    assert [part.split(":")[0] for part in str(caught.value).split("; ")] == [
        "profile 1",
        "profile 1",
        "profile 2 is no object",
        "profile 3",
    ]


@pytest.mark.parametrize("content", ["", "{}", "[]", "nonsense", "[" * 100_000, json.dumps([{}] * 65)])
def test_file_that_lists_no_profiles(content: str) -> None:
    with pytest.raises(LadderError, match="profiles"):
        parse_profiles(content)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("P720p30fps", "did you mean P720p30fps"),
        ("zzz", "known are P720p60fps16x9"),
        (" , ", "no renditions"),
        ("missing.json", "No such file"),
        ("x\x1b[31m", "x1b"),
    ],
)
def test_what_names_no_renditions(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LadderError, match=reason):
        read_ladder(text, directory=tmp_path)


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "UTF-8"), (b" " * ((1 << 20) + 1), "1 MiB")])
def test_file_that_is_no_text(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(LadderError, match=reason):
        read_ladder("x.json", directory=tmp_path)
