"""Our values on the wire between node and engine child: they arrive as they were sent, and nothing else arrives."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.kernel.errors import Text
from baton.kernel.profiles import EncoderProfile, OutputFormat, VideoCodec, VideoProfile
from baton.media.frames import Frame, FrameError, FrameReader
from baton.media.job import Clip, EncoderTuning, EngineReport, RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.media.messages import (
    ANSWER_LIMITS,
    JOB_LIMITS,
    Accepted,
    Answer,
    Failed,
    Hello,
    Job,
    decode_answer,
    decode_job,
    encode,
)


def _frame(value: Job | Answer) -> Frame:
    limits = ANSWER_LIMITS if isinstance(value, Answer) else JOB_LIMITS
    (frame,) = FrameReader(limits=limits).feed(b"".join(encode(value)))
    return frame


_sides = st.integers(0, 8192)
_profiles = st.builds(
    VideoProfile,
    name=st.text(max_size=20),
    width=st.integers(-(2**31), 2**31),
    height=_sides,
    bitrate_bps=st.integers(-(2**31), 2**31),
    fps=st.integers(0, 2**32),
    fps_den=st.integers(0, 2**32),
    format=st.sampled_from(OutputFormat),
    profile=st.sampled_from(EncoderProfile),
    gop_ms=st.integers(-1, 2**31),
    codec=st.sampled_from(VideoCodec),
    quality=st.integers(0, 60),
)
_requests = st.builds(
    TranscodeRequest,
    input_path=st.text(max_size=20),
    profiles=st.lists(_profiles, max_size=3).map(tuple),
    clip=st.none() | st.builds(Clip, from_ms=st.integers(0, 2**62), to_ms=st.integers(0, 2**62)),
    service_provider=st.text(max_size=20),
    comment=st.text(max_size=20),
    tuning=st.builds(EncoderTuning, preset=st.text(max_size=9), threads=st.integers(0, 64)),
    perceptual_hash=st.booleans(),
    deadline_ms=st.integers(0, 2**62),
)
_numbers = st.integers(0, 2**63 - 1)
_outputs = st.builds(
    TranscodeOutput,
    renditions=st.lists(
        st.builds(
            RenditionOutput,
            data=st.binary(max_size=100),
            pixels=_numbers,
            frames=_numbers,
            width=_sides,
            height=_sides,
            perceptual_hash=st.binary(max_size=100),
            hash_trouble=st.text(max_size=20),
        ),
        max_size=3,
    ).map(tuple),
    decoded_px=_numbers,
    decoded_frames=_numbers,
    engine_ms=_numbers,
    decoded_ms=_numbers,
)


@given(_requests | st.builds(EncoderTuning))
def test_jobs_arrive_as_sent(job: Job) -> None:
    assert decode_job(_frame(job)) == job


@given(_outputs)
def test_outputs_arrive_as_sent(output: TranscodeOutput) -> None:
    assert decode_answer(_frame(output)) == output


@pytest.mark.parametrize(
    "answer",
    [
        Hello(pid=1),
        Accepted(),
        Failed(Text.NO_KEYFRAMES, "the codec's words"),
        EngineReport(capability_ids=(0, 1), refused=((7, "none"),), engine="x 1", encoders=("a", "b")),
    ],
)
def test_other_answers_arrive_as_sent(answer: Answer) -> None:
    assert decode_answer(_frame(answer)) == answer


def test_names_that_are_not_utf8_survive() -> None:
    name = b"\xff\x00\xfe".decode("utf-8", "surrogateescape")
    job = TranscodeRequest(input_path=name, profiles=())
    assert decode_job(_frame(job)) == job


@pytest.mark.parametrize("kind", [TranscodeRequest, TranscodeOutput, RenditionOutput, EngineReport, VideoProfile, Clip])
def test_every_field_travels_so_a_new_one_needs_no_change_here(kind: type[TranscodeRequest]) -> None:
    names = {field.name for field in dataclasses.fields(kind)}
    job = _frame(
        TranscodeRequest(
            input_path="", profiles=(VideoProfile(name="", width=1, height=1, bitrate_bps=1),), clip=Clip(0, 0)
        )
    )
    output = _frame(TranscodeOutput((RenditionOutput(b"", 1, 1, 1, 1),), 1, 1, 1))
    report = _frame(EngineReport((), (), "", ()))
    seen = []

    def collect(plain: object) -> None:
        if isinstance(plain, dict):
            seen.append(set(plain))
            for value in plain.values():
                collect(value)
        if isinstance(plain, list):
            for value in plain:
                collect(value)

    for frame in (job, output, report):
        collect(json.loads(frame.header))
    assert names in seen


def test_a_text_nobody_knows_becomes_unknown_and_stays_in_the_detail() -> None:
    answer = decode_answer(_frame(Failed("Permission granted", "why")))
    assert answer == Failed(Text.UNKNOWN, "Permission granted: why")


def test_details_are_cut() -> None:
    answer = decode_answer(_frame(Failed(Text.RUNAWAY, "x" * 100_000)))
    assert isinstance(answer, Failed)
    assert len(answer.detail) == 2000


def test_a_job_too_long_to_send_is_refused() -> None:
    with pytest.raises(FrameError):
        encode(TranscodeRequest(input_path="x" * (1 << 20), profiles=()))


@pytest.mark.parametrize("to_ms", [2**63, 2**64 - 1])
def test_a_number_that_no_child_would_take_is_not_sent(to_ms: int) -> None:
    with pytest.raises(FrameError):
        encode(TranscodeRequest(input_path="x", profiles=(), clip=Clip(from_ms=1, to_ms=to_ms)))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_headers_that_are_not_ours_are_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        decode_answer(Frame(header))


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        {"text": "x"},
        {"text": "x", "detail": None},
        {"text": True, "detail": ""},
        {"text": "x", "detail": "", "more": ""},
    ],
)
def test_a_failure_needs_its_exact_fields_and_types(value: object) -> None:
    with pytest.raises(FrameError):
        decode_answer(Frame(json.dumps({"kind": "failed", "value": value}).encode()))


def _output_header(**changes: object) -> bytes:
    rendition: dict[str, object] = {"data": None, "pixels": 1, "frames": 1, "width": 1, "height": 1}
    rendition |= {"perceptual_hash": None, "hash_trouble": ""}
    value = {"renditions": [rendition], "decoded_px": 1, "decoded_frames": 1, "engine_ms": 1, "fallbacks": []}
    value["decoded_ms"] = 1
    where = rendition if changes.keys() <= rendition.keys() else value
    where.update(changes)
    return json.dumps({"kind": "output", "value": value}).encode()


def test_the_header_that_the_next_tests_spoil_is_good() -> None:
    assert isinstance(decode_answer(Frame(_output_header(), (b"x", b""))), TranscodeOutput)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pixels", -1),
        ("pixels", 2**63),
        ("pixels", 1.0),
        ("pixels", True),
        ("pixels", "1"),
        ("frames", -1),
        ("width", 1 << 17),
        ("height", 1 << 17),
        ("height", -1),
        ("data", "bytes in JSON"),
        ("perceptual_hash", "bytes in JSON"),
        ("hash_trouble", None),
        ("hash_trouble", "x" * 3000),
        ("renditions", {}),
        ("decoded_px", -1),
        ("decoded_frames", None),
        ("engine_ms", -1),
        ("decoded_ms", -1),
    ],
)
def test_an_output_with_a_wrong_field_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(FrameError):
        decode_answer(Frame(_output_header(**{name: wrong}), (b"x", b"")))


@pytest.mark.parametrize("payloads", [(), (b"a",), (b"a", b"b", b"c")])
def test_payloads_must_be_as_many_as_the_values_say(payloads: tuple[bytes, ...]) -> None:
    with pytest.raises(FrameError):
        decode_answer(Frame(_output_header(), payloads))


def test_a_job_is_no_answer_and_an_answer_no_job() -> None:
    with pytest.raises(FrameError):
        decode_answer(_frame(EncoderTuning()))
    with pytest.raises(FrameError):
        decode_job(_frame(Accepted()))
