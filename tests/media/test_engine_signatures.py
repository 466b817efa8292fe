"""Perceptual hashes: those of the frames before the encoder, whole or not at all, and never at a rendition's cost."""

import asyncio
import errno
import os
import signal
import time
from dataclasses import replace
from fractions import Fraction
from math import inf
from pathlib import Path

import pytest
from av.video.frame import VideoFrame

from baton.kernel.capabilities import Capability
from baton.kernel.profiles import OutputFormat, VideoCodec, VideoProfile
from baton.media.engine import signatures
from baton.media.engine.probe import probe
from baton.media.engine.signature_format import is_complete, signature_bytes
from baton.media.engine.signatures import PerceptualHash, SignatureError
from baton.media.engine.transcode import transcode
from baton.media.job import Choice, Clip, EncoderTuning, RenditionOutput, TranscodeRequest
from baton.media.process import ChildCommand
from tests.media.engine_samples import FAST, PLAIN
from tests.media.pooling import make_pool, running, until
from tests.media.samples import SAMPLES, clip_segments, run_ffmpeg
from tests.media.signature_file import TH_D, TH_DC, TH_XH, Signature, coarse_distances, frame_distances, parse

pytestmark = pytest.mark.media

MPEGTS_UNIT = 90_000 % (1 << 16)
AS_THE_SOURCE = VideoProfile(name="as the source", width=640, height=360, bitrate_bps=1_200_000)
AT_30 = VideoProfile(name="at 30", width=426, height=240, bitrate_bps=600_000, fps=30)
NTSC_MP4 = replace(AT_30, name="ntsc mp4", fps=30_000, fps_den=1001, format=OutputFormat.MP4)
HEVC = replace(AT_30, name="hevc", codec=VideoCodec.H265)
POOR = VideoProfile(name="poor", width=256, height=144, bitrate_bps=100_000, fps=30)
LADDER = {
    AS_THE_SOURCE: MPEGTS_UNIT,
    AT_30: MPEGTS_UNIT,
    NTSC_MP4: 30_000,
    HEVC: MPEGTS_UNIT,
    POOR: MPEGTS_UNIT,
}
"""Profiles, and the ``MediaTimeUnit`` of their files."""


def hashed(source: Path, *profiles: VideoProfile, clip: Clip | None = None) -> tuple[RenditionOutput, ...]:
    request = TranscodeRequest(input_path=str(source), profiles=profiles, clip=clip, tuning=FAST, perceptual_hash=True)
    return transcode(request).renditions


def reference(source: Path, profile: VideoProfile, rendition: RenditionOutput, *, scaler: str = "bicubic") -> Signature:
    """The signature that an independent FFmpeg computes over the frames that an encoder would get."""
    chain = f"scale={rendition.width}:{rendition.height}:flags={scaler},format=yuv420p"
    if profile.frame_rate is not None:
        chain += f",fps={profile.frame_rate}"
    chain += ",signature=filename=/dev/stdout"
    output = ("-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "null", "/dev/null")
    return parse(run_ffmpeg("-copyts", "-i", str(source), *output))


@pytest.mark.parametrize(
    "source",
    [*(f"clip {n}" for n in (0, 2)), "h264_high", "pal_25", "ntsc_29_97", "vfr", "h264_10bit"],
)
def test_a_hash_is_the_signature_of_the_frames_before_the_encoder(source: str) -> None:
    """Held against the thresholds with which gateways compare: nothing may come near them."""
    number = source.removeprefix("clip ")
    segment = clip_segments(3)[int(number)] if number != source else SAMPLES[source].segments()[1]
    for (profile, unit), rendition in zip(LADDER.items(), hashed(segment, *LADDER), strict=True):
        assert rendition.hash_trouble == ""
        ours, theirs = parse(rendition.perceptual_hash), reference(segment, profile, rendition)
        assert len(ours.fine) == rendition.frames
        assert ours.media_time_unit == unit
        for facts in (ours, theirs):
            assert (facts.right_px, facts.bottom_px) == (rendition.width - 1, rendition.height - 1)
        assert [fine.pts for fine in ours.fine] == [fine.pts for fine in theirs.fine]
        assert ours.last_pts == theirs.last_pts
        assert [replace(each, words=()) for each in ours.coarse] == [replace(each, words=()) for each in theirs.coarse]
        assert max(frame_distances(ours, theirs)) < TH_XH / 10
        for words in coarse_distances(ours, theirs):
            assert max(words) < TH_D
            assert sum(words) < TH_DC


@pytest.mark.parametrize("scaler", ["area", "bilinear", "lanczos"])
def test_a_node_that_scales_otherwise_gets_a_hash_that_matches(scaler: str) -> None:
    segment = clip_segments(3)[2]
    (rendition,) = hashed(segment, AT_30)
    theirs = reference(segment, AT_30, rendition, scaler=scaler)
    assert max(frame_distances(parse(rendition.perceptual_hash), theirs)) < TH_XH


def test_other_pictures_do_not_match() -> None:
    first, other = SAMPLES["h264_high"].segments()[0], clip_segments(1)[0]
    one, two = (parse(hashed(segment, AT_30)[0].perceptual_hash) for segment in (first, other))
    assert min(frame_distances(one, two)) > TH_XH


def test_renditions_are_the_same_with_and_without_a_hash() -> None:
    segment = SAMPLES["h264_high"].segments()[0]
    request = TranscodeRequest(input_path=str(segment), profiles=(AS_THE_SOURCE, NTSC_MP4), tuning=FAST)
    plain = transcode(request).renditions
    assert [each.perceptual_hash for each in plain] == [b"", b""]
    for bare, full in zip(plain, hashed(segment, AS_THE_SOURCE, NTSC_MP4), strict=True):
        assert replace(full, perceptual_hash=b"") == bare


def test_a_clip_is_signed_as_it_is_encoded() -> None:
    (rendition,) = hashed(SAMPLES["pal_25"].segments()[0], PLAIN, clip=Clip(from_ms=400, to_ms=1200))
    signature = parse(rendition.perceptual_hash)
    assert len(signature.fine) == rendition.frames == 21
    assert [fine.pts for fine in signature.fine] == [number * 3600 for number in range(21)]


def test_every_45_frames_are_summed_up_with_the_45_that_follow() -> None:
    (rendition,) = hashed(SAMPLES["fps_60"].segments()[0], PLAIN)
    coarse = parse(rendition.perceptual_hash).coarse
    assert rendition.frames == 120
    assert [(each.first_frame, each.last_frame) for each in coarse] == [(0, 89), (45, 119), (90, 119)]


def test_lengths_are_those_of_the_format() -> None:
    assert signature_bytes(90) == 8122
    assert [signature_bytes(frames) for frames in (1, 45, 46)] == [289, 4078, 4333]


def test_a_signature_of_another_number_of_frames_is_not_complete() -> None:
    (rendition,) = hashed(SAMPLES["fps_1"].segments()[0], PLAIN)
    signature = rendition.perceptual_hash
    assert is_complete(signature, frames=2)
    assert not is_complete(signature[:-1], frames=2)
    assert not is_complete(signature, frames=1)
    assert not is_complete(bytes(len(signature)), frames=2)
    assert not is_complete(b"", frames=2)


# What can go wrong.


def test_without_a_program_renditions_come_without_a_hash_and_nothing_is_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> str:
        message = "no FFmpeg program: gone"
        raise SignatureError(message)

    monkeypatch.setattr(signatures, "find_ffmpeg", missing)
    (rendition,) = hashed(SAMPLES["fps_1"].segments()[0], PLAIN)
    assert (rendition.frames, rendition.perceptual_hash) == (2, b"")
    assert rendition.hash_trouble == "no FFmpeg program: gone"
    report = probe(EncoderTuning(hevc_encoding=Choice.ON))  # whatever the speed of this machine
    assert Capability.H264 in report.capability_ids
    assert report.refused == ((Capability.MPEG7_SIGNATURE, "no FFmpeg program: gone"),)


def test_a_segment_with_no_time_left_goes_without_a_hash() -> None:
    request = TranscodeRequest(
        input_path=str(SAMPLES["h264_high"].segments()[0]),
        profiles=(AS_THE_SOURCE,),
        tuning=FAST,
        perceptual_hash=True,
        deadline_ms=round(time.monotonic() * 1000),
    )
    (rendition,) = transcode(request).renditions
    assert (rendition.frames, rendition.perceptual_hash) == (60, b"")
    assert rendition.hash_trouble


def pictures(count: int, *, width: int = 1280, height: int = 720) -> list[VideoFrame]:
    made = []
    for number in range(count):
        picture = VideoFrame(width, height, "yuv420p")
        picture.pts, picture.time_base = number, Fraction(1, 25)
        made.append(picture)
    return made


def script(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o700)
    return str(path)


def children() -> set[str]:
    """Process ids of this process's children, zombies included."""
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text(encoding="ascii").split())
    return found


@pytest.mark.parametrize(
    ("text", "frames", "trouble"),
    [
        ("echo no such filter >&2; exit 3", 5, "ended with 3: no such filter"),
        ("kill -SEGV $$", 5, "ended with -11"),
        ("exit 0", 5, "ended with 0"),
        ("cat >/dev/null", 2, "0 bytes are no signature of 2 frames"),
        ("exec sleep 60", 5, "takes no more frames"),
        ("cat >/dev/null; exec sleep 60", 2, "after the last frame"),
    ],
    ids=["refuses", "crashes", "leaves", "writes nothing", "reads nothing", "never ends"],
)
def test_a_program_that_fails_costs_the_hash_alone(tmp_path: Path, text: str, frames: int, trouble: str) -> None:
    before = children()
    # Half a second is kept for the answer, so this leaves half a second for the hash.
    making = PerceptualHash(deadline_s=time.monotonic() + 1.0, program=script(tmp_path, text))
    for picture in pictures(frames):
        making.take(picture)
    making.end()
    assert making.result(ticks_per_s=90_000) == b""
    assert trouble in making.trouble
    making.discard()
    assert children() == before


def test_a_program_that_cannot_be_started_costs_the_hash_alone() -> None:
    making = PerceptualHash(deadline_s=inf, program="/no/such/program")
    making.take(pictures(1)[0])
    making.end()
    assert making.result(ticks_per_s=90_000) == b""
    assert "/no/such/program" in making.trouble


def test_a_process_without_free_files_costs_the_hash_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_name: str) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "memfd_create", full)
    making = PerceptualHash(deadline_s=inf)
    making.take(pictures(1)[0])
    making.end()
    assert making.result(ticks_per_s=90_000) == b""
    assert os.strerror(errno.EMFILE) in making.trouble


def test_pictures_that_change_their_size_have_no_hash() -> None:
    before = children()
    making = PerceptualHash(deadline_s=inf)
    making.take(pictures(1)[0])
    making.take(pictures(1, width=640, height=360)[0])
    making.end()
    assert making.result(ticks_per_s=90_000) == b""
    assert "changed its size" in making.trouble
    assert children() == before


def test_no_frames_have_no_hash() -> None:
    making = PerceptualHash(deadline_s=inf)
    making.end()
    assert making.result(ticks_per_s=90_000) == b""
    assert making.trouble == "no frame"


def test_giving_up_in_the_middle_leaves_nothing_behind() -> None:
    before = children()
    making = PerceptualHash(deadline_s=inf)
    for picture in pictures(3):
        making.take(picture)
    assert len(children()) == len(before) + 1
    making.discard()
    assert children() == before


def programs_of(group: int) -> set[int]:
    """Living processes of a group that compute signatures."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"signature=filename" in (folder / "cmdline").read_bytes() and os.getpgid(int(folder.name)) == group:
                found.add(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.parametrize("how", ["cancelled", "child killed"])
def test_programs_end_with_the_work_of_their_child(how: str) -> None:
    segment = SAMPLES["uhd"].segments()[0]
    profile = VideoProfile(name="large", width=3840, height=2160, bitrate_bps=20_000_000, fps=60)
    request = TranscodeRequest(input_path=str(segment), profiles=(profile,), perceptual_hash=True)

    async def scenario() -> None:
        pool = make_pool(children=1, command=ChildCommand(), memory_limit_bytes=8 << 30, tuning=FAST)
        async with running(pool):
            job = asyncio.create_task(pool.transcode(request, deadline_s=60, content_hash=b"x", stream_key="s"))
            groups = pool.pids
            await until(lambda: any(programs_of(pid) for pid in groups))
            (group,) = (pid for pid in groups if programs_of(pid))
            if how == "child killed":
                os.kill(group, signal.SIGKILL)
            else:
                job.cancel()
            await until(lambda: not programs_of(group))
            job.cancel()
            await asyncio.wait([job])

    asyncio.run(scenario())
