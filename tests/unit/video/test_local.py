"""The adapter between segment jobs and the engine of this machine."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from baton.kernel.errors import CapacityError, Text, TranscodeError
from baton.kernel.ids import ManifestId, SessionId
from baton.kernel.profiles import PRESETS
from baton.kernel.version import NODE_VERSION
from baton.media.job import Clip, RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.video.job import SegmentJob, Transcoder
from baton.video.local import LocalTranscoder

_PROFILES = (PRESETS["P720p30fps16x9"], PRESETS["P240p30fps16x9"])
_JOB = SegmentJob(
    session_id=SessionId("session-1"),
    manifest_id=ManifestId("stream"),
    seq=7,
    content_hash=b"\x11" * 32,
    input_path="/spool/segment",
    size_bytes=1000,
    duration_ms=2000,
    profiles=_PROFILES,
    clip=Clip(from_ms=0, to_ms=1000),
)


class _Engine:
    """Answers with renditions of the sizes it was given, and remembers what it was asked."""

    def __init__(self, *sizes: int, failure: Exception | None = None) -> None:
        self.asked: list[tuple[TranscodeRequest, float, bytes, str]] = []
        self._sizes = sizes
        self._failure = failure

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        self.asked.append((request, deadline_s, content_hash, stream_key))
        if self._failure is not None:
            raise self._failure
        renditions = tuple(
            RenditionOutput(data=bytes(size), pixels=100, frames=1, width=10, height=10) for size in self._sizes
        )
        return TranscodeOutput(renditions=renditions, decoded_px=1, decoded_frames=1, engine_ms=1)


def _transcode(engine: _Engine, job: SegmentJob = _JOB) -> TranscodeOutput:
    transcoder: Transcoder = LocalTranscoder(engine=engine)
    return asyncio.run(transcoder.transcode(job, deadline_s=3.5))


def test_a_job_becomes_a_request_with_metadata_deadline_and_fault_keys() -> None:
    engine = _Engine(25, 4000)
    output = _transcode(engine)
    assert [len(r.data) for r in output.renditions] == [25, 4000]
    request = TranscodeRequest(
        input_path="/spool/segment",
        profiles=_PROFILES,
        clip=Clip(from_ms=0, to_ms=1000),
        service_provider=f"Livepeer Transcoder {NODE_VERSION} (offchain)",
        comment=f"Processed by Livepeer Transcoder {NODE_VERSION} (offchain)",
        session_key="session-1",
    )
    assert engine.asked == [(request, 3.5, b"\x11" * 32, "session-1")]


def test_the_recipient_goes_into_the_metadata() -> None:
    engine = _Engine(100, 100)
    recipient = "0x52908400098527886E0F7030069857D2E4169EE7"
    _transcode(engine, replace(_JOB, orch_id=recipient))
    assert engine.asked[0][0].service_provider.endswith(f"({recipient})")


@pytest.mark.parametrize("sizes", [(), (100,), (100, 100, 100)])
def test_another_number_of_renditions_than_profiles_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(TranscodeError) as refusal:
        _transcode(_Engine(*sizes))
    assert refusal.value.text == "MismatchedSegments"


@pytest.mark.parametrize("sizes", [(24, 100), (100, 0)])
def test_a_rendition_under_25_bytes_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(TranscodeError) as refusal:
        _transcode(_Engine(*sizes))
    assert refusal.value.text == "ZeroSegments"


@pytest.mark.parametrize("failure", [TranscodeError(Text.NO_KEYFRAMES), CapacityError(Text.BUSY)])
def test_the_engines_own_errors_pass_unchanged(failure: TranscodeError | CapacityError) -> None:
    with pytest.raises(type(failure)) as refusal:
        _transcode(_Engine(failure=failure))
    assert refusal.value is failure


class _HashingEngine(_Engine):
    """Gives the first rendition a hash and says why the second has none."""

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        output = await super().transcode(
            request, deadline_s=deadline_s, content_hash=content_hash, stream_key=stream_key
        )
        first, second = output.renditions
        hashed = (replace(first, perceptual_hash=b"hash"), replace(second, hash_trouble="no FFmpeg program"))
        return replace(output, renditions=hashed)


def test_a_missing_perceptual_hash_is_told_and_no_reason_to_fail() -> None:
    engine = _HashingEngine(100, 100)
    with capture_logs() as logs:
        output = _transcode(engine, replace(_JOB, perceptual_hash=True))
    assert engine.asked[0][0].perceptual_hash
    assert [each.perceptual_hash for each in output.renditions] == [b"hash", b""]
    (line,) = logs
    assert line["event"] == "perceptual hash missing"
    assert (line["missing"], line["renditions"], line["reason"]) == (1, 2, "no FFmpeg program")


def test_hashes_that_nobody_asked_for_are_not_missed() -> None:
    engine = _Engine(100, 100)
    with capture_logs() as logs:
        _transcode(engine)
    assert not engine.asked[0][0].perceptual_hash
    assert logs == []
