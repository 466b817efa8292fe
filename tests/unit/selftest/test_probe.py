"""The probe passes an honest orchestrator and fails one for each lie, by the row that names the lie."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from baton.jobs.messages import Price, SegmentResult, TicketParams
from baton.kernel.capabilities import Capabilities
from baton.kernel.errors import Text
from baton.kernel.ids import Address, SessionId
from baton.kernel.profiles import PRESETS
from baton.selftest.checks import Verdict
from baton.selftest.parties import Endpoint, GatewayKey
from baton.selftest.probing import ProbeResult, run_probe
from baton.selftest.report import SilentProgress
from tests.unit.selftest.fake_orchestrator import ADDRESS, Behaviour, FakeOrchestrator, Made, with_token
from tests.unit.selftest.made import Fixture, transcode

PROFILES = (PRESETS["P144p30fps16x9"],)
TICKETS = TicketParams(
    recipient=bytes(ADDRESS),
    face_value=b"\x01",
    win_prob=b"\x01",
    recipient_rand_hash=bytes(32),
    seed=b"\x01",
    expiration_block=b"\x01",
    creation_round=1,
    creation_round_block_hash=bytes(32),
)


async def probe(fake: FakeOrchestrator, folder: Path, video: Path | None, key: GatewayKey | None = None) -> ProbeResult:
    async with fake.serving(folder):
        return await run_probe(
            endpoint=Endpoint.parse(fake.uri),
            key=key or GatewayKey(),
            video=video,
            profiles=PROFILES,
            limit_s=30,
            progress=SilentProgress(),
        )


def run(fixture: Fixture, behaviour: Behaviour, folder: Path, *, stream: bool) -> tuple[ProbeResult, FakeOrchestrator]:
    fake = FakeOrchestrator(fixture.renditions, behaviour)
    return asyncio.run(probe(fake, folder, fixture.clip if stream else None)), fake


def failures(result: ProbeResult) -> dict[str, str]:
    return {check.name: check.reason for check in result.checks if check.verdict is Verdict.FAIL}


@pytest.mark.media
@pytest.mark.parametrize("signed", [False, True])
def test_honest_orchestrator_passes_every_check(streamed_clip: Fixture, tmp_path: Path, signed: bool) -> None:  # noqa: FBT001 -- a parameter of pytest
    result, fake = run(streamed_clip, Behaviour(signed=signed), tmp_path, stream=True)
    assert failures(result) == {}
    assert result.ok
    assert {row.name for row in result.checks} >= {
        *("connection", "TLS", "ALPN", "ALPN for HTTP/1.1", "certificate", "discovery", "discovery latency"),
        *("transcoder URI", "address", "price", "auth token", "sessions", "version", "capabilities", "ping"),
        *("HTTP/1.1", "segments", "protocols", "speed", "downloads", "result signature", "renditions"),
        *("continuity of P144p30fps16x9", "end of session"),
    }
    assert [protocol for protocol, _, _ in fake.seen.segments] == ["HTTP/2", "HTTP/1.1"]
    assert [token.session_id for token in fake.seen.ended if token] == ["session-3"]


@pytest.mark.media
def test_segments_go_behind_the_path_of_the_transcoder_uri(streamed_clip: Fixture, tmp_path: Path) -> None:
    behaviour = Behaviour(info=lambda i: replace(i, transcoder=i.transcoder + "/base"), segment_path="/base/segment")
    result, fake = run(streamed_clip, behaviour, tmp_path, stream=True)
    assert failures(result) == {}
    assert len(fake.seen.segments) == 2


@pytest.mark.media
def test_segments_are_signed_with_the_key_of_the_gateway(streamed_clip: Fixture, tmp_path: Path) -> None:
    from baton.jobs.messages import flatten_segment
    from baton.kernel.crypto import verify_message
    from baton.wire.headers import payment_from_header

    fake = FakeOrchestrator(streamed_clip.renditions, Behaviour())
    key = GatewayKey.from_private_key(bytes([7]) * 32)
    assert failures(asyncio.run(probe(fake, tmp_path, streamed_clip.clip, key))) == {}
    for _, metadata, payment in fake.seen.segments:
        assert payment_from_header(payment.encode()).sender == key.address
        assert verify_message(key.address, flatten_segment(metadata), metadata.signature)


_NO_VIDEO_LIES: dict[str, tuple[Behaviour, str]] = {
    "slow": (Behaviour(discovery_delay_s=0.6), "discovery latency"),
    "garbage": (Behaviour(discovery_bytes=lambda _: b"\xff" * 40), "discovery"),
    "refusal": (Behaviour(discovery_error="Invalid orchestrator request: OrchestratorCapped"), "discovery"),
    "longer than announced": (Behaviour(grpc_prefix=lambda m: b"\x00" + (len(m) - 1).to_bytes(4, "big")), "discovery"),
    "huge length": (Behaviour(grpc_prefix=lambda _: b"\x00\xff\xff\xff\xff"), "discovery"),
    "compressed": (Behaviour(grpc_prefix=lambda m: b"\x01" + len(m).to_bytes(4, "big")), "discovery"),
    "beyond 4 MiB": (
        Behaviour(discovery_bytes=lambda m: m + b"\x92\x02\x80\x80\x90\x02" + bytes(4_456_448)),
        "discovery",
    ),
    "no token": (Behaviour(info=with_token(token=b"", expiration=0)), "auth token"),
    "expired token": (Behaviour(info=with_token(expiration=1_700_000_000)), "auth token"),
    "one session for all": (Behaviour(info=with_token(session_id=SessionId("same"))), "sessions"),
    "no transcoder": (Behaviour(info=lambda i: replace(i, transcoder="")), "transcoder URI"),
    "slash": (Behaviour(info=lambda i: replace(i, transcoder=i.transcoder + "/")), "transcoder URI"),
    "unpayable": (Behaviour(info=lambda i: replace(i, price=Price(7, 3))), "price"),
    "price of nothing": (Behaviour(info=lambda i: replace(i, price=Price(7, 0), ticket_params=TICKETS)), "price"),
    "no capabilities": (Behaviour(info=lambda i: replace(i, capabilities=Capabilities())), "capabilities for a stream"),
    "odd version": (
        Behaviour(info=lambda i: replace(i, capabilities=replace(i.capabilities, version="latest"))),
        "version",
    ),
    "unsigned ping": (Behaviour(signed=True, ping=lambda _: b""), "ping"),
    "foreign ping": (Behaviour(signed=True, info=lambda i: replace(i, address=Address(b"\x01" * 20))), "ping"),
    "no h2": (Behaviour(alpn=("http/1.1",)), "ALPN"),
}


@pytest.mark.media
@pytest.mark.parametrize("lie", _NO_VIDEO_LIES)
def test_lies_before_any_video_fail_by_name(streamed_clip: Fixture, tmp_path: Path, lie: str) -> None:
    behaviour, row = _NO_VIDEO_LIES[lie]
    result, _ = run(streamed_clip, behaviour, tmp_path, stream=False)
    assert list(failures(result)) == [row]
    assert not result.ok


@pytest.mark.media
@pytest.mark.parametrize(
    ("refusal", "key", "remedy"),
    [
        (Text.REQUEST_SIG, None, "it serves signed requests only: name an account by --key-file"),
        (Text.REQUEST_SIG, bytes([7]) * 32, "it does not take the signature of this account"),
        (Text.REQUEST_CAPPED, None, "it is full or draining"),
        (Text.REQUEST_TOO_MANY, None, "too many requests from this address: ask again in some seconds"),
        (f"{Text.AUTHENTICATION_FAILED}not you", None, "the operator's webhook refused this account"),
        ("something else", None, ""),
    ],
)
def test_a_refusal_of_terms_comes_with_what_to_do(
    streamed_clip: Fixture, tmp_path: Path, refusal: str, key: bytes | None, remedy: str
) -> None:
    fake = FakeOrchestrator(streamed_clip.renditions, Behaviour(discovery_error=refusal))
    account = GatewayKey.from_private_key(key) if key is not None else None
    reason = failures(asyncio.run(probe(fake, tmp_path, None, account)))["discovery"]
    said, _, advice = reason.partition(" - ")
    assert said == f"rpc error: code 2: {refusal}"
    assert advice.startswith(remedy)
    assert bool(advice) is bool(remedy)


def _change(**changes: object) -> Callable[[SegmentResult], SegmentResult]:
    return lambda result: replace(result, **changes)  # type: ignore[arg-type]  # any field


_STREAM_LIES: dict[str, tuple[Behaviour, str, str]] = {
    "more pixels": (
        Behaviour(rendition=lambda _s, _i, m: replace(m, pixels=m.pixels + 1)),
        "renditions",
        "PixelMismatch",
    ),
    "signature": (Behaviour(signed=True, result=_change(signature=bytes(65))), "result signature", "PM Check Failed"),
    "no signature": (Behaviour(signed=True, result=_change(signature=b"")), "result signature", "PM Check Failed"),
    "refused": (Behaviour(segment_refusal=(403, "OrchestratorCapped")), "segments", "status 403: OrchestratorCapped"),
    "error": (Behaviour(result=_change(error="OrchestratorBusy")), "segments", "OrchestratorBusy"),
    "nothing": (Behaviour(result=_change(renditions=())), "segments", "0 renditions instead of 1"),
    "other segment": (Behaviour(result=_change(seq=77)), "segments", "answers segment 77"),
    "garbage": (Behaviour(result_bytes=lambda _: b"\xff\xff\xff"), "segments", "unreadable answer"),
    "gone": (Behaviour(stored=lambda _: None), "segments", "rendition answered 404"),
    "not video": (Behaviour(stored=lambda _: b"hello " * 1000), "renditions", "not decodable"),
    "playlist": (
        Behaviour(stored=lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        "renditions",
        "not decodable",
    ),
    "file URL": (
        Behaviour(result=lambda r: replace(r, renditions=(replace(r.renditions[0], url="file:///etc/passwd"),))),
        "segments",
        "not http or https",
    ),
    "endless": (Behaviour(endless_result=True), "segments", "longer than"),
}


@pytest.mark.media
@pytest.mark.parametrize("lie", _STREAM_LIES)
def test_lies_about_video_fail_by_name(streamed_clip: Fixture, tmp_path: Path, lie: str) -> None:
    behaviour, row, words = _STREAM_LIES[lie]
    result, _ = run(streamed_clip, behaviour, tmp_path, stream=True)
    assert row in failures(result), failures(result)
    assert words in failures(result)[row]
    assert not result.ok


@pytest.mark.media
@pytest.mark.parametrize(
    ("filters", "row", "words"),
    [
        (("setpts=PTS+9000",), "continuity of P144p30fps16x9", "between segments 0 and 1"),
        (("scale=250:144",), "renditions", "250x144 instead of 256x144"),
        (("select=gt(n\\,5)",), "renditions", "54 frames instead of"),
    ],
    ids=["shifted", "other size", "frames lost"],
)
def test_second_segment_transcoded_wrongly_fails(
    streamed_clip: Fixture, tmp_path: Path, filters: tuple[str, ...], row: str, words: str
) -> None:
    from baton.selftest.inspector import Inspector

    segment = streamed_clip.source.segments[1].path
    data = transcode(segment, tmp_path / "bad.ts", *filters)
    facts = asyncio.run(Inspector.best().inspect(tmp_path / "bad.ts"))
    bad = Made(data, facts.pixels)
    behaviour = Behaviour(rendition=lambda seq, _i, made: bad if seq == 1 else made)
    result, _ = run(streamed_clip, behaviour, tmp_path, stream=True)
    assert words in failures(result).get(row, ""), failures(result)


@pytest.mark.media
def test_other_audio_fails(streamed_clip: Fixture, tmp_path: Path) -> None:
    first = next(iter(streamed_clip.renditions.values()))[0]
    behaviour = Behaviour(rendition=lambda _s, _i, _m: first)  # the first segment's rendition for every segment
    result, _ = run(streamed_clip, behaviour, tmp_path, stream=True)
    assert "audio differs" in failures(result)["renditions"]


@pytest.mark.media
def test_orchestrator_that_never_answers_a_segment_fails_in_time(streamed_clip: Fixture, tmp_path: Path) -> None:
    result, _ = run(streamed_clip, Behaviour(segment_silent=True), tmp_path, stream=True)
    assert failures(result)["segments"] == "segment 0: header timeout: no answer within 2 s"


@pytest.mark.media
def test_paid_orchestrator_is_told_that_the_probe_has_no_tickets(streamed_clip: Fixture, tmp_path: Path) -> None:
    behaviour = Behaviour(
        signed=True,
        info=lambda i: replace(i, price=Price(7, 3), ticket_params=TICKETS),
        segment_refusal=(400, "Insufficient balance"),
    )
    result, _ = run(streamed_clip, behaviour, tmp_path, stream=True)
    assert "Insufficient balance (nothing was paid: --pay)" in failures(result)["segments"]


@pytest.mark.media
def test_stream_that_needs_more_than_is_offered_is_not_sent(tmp_path: Path, streamed_clip: Fixture) -> None:
    from tests.unit.selftest.made import make_clip

    clip = make_clip(tmp_path / "hevc.mp4", seconds=2, video=("libx265", "-x265-params", "log-level=error"))
    fake = FakeOrchestrator(streamed_clip.renditions, Behaviour())
    result = asyncio.run(probe(fake, tmp_path, clip))
    assert failures(result) == {"capabilities for a stream": "missing for this one: HEVC decode"}
    assert fake.seen.segments == []


def test_nobody_there_fails_at_the_connection(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        endpoint = Endpoint.parse(f"https://127.0.0.1:{taken.getsockname()[1]}")
        result = asyncio.run(
            run_probe(
                endpoint=endpoint,
                key=GatewayKey(),
                video=None,
                profiles=PROFILES,
                limit_s=30,
                progress=SilentProgress(),
            )
        )
    assert list(failures(result)) == ["connection"]
    assert not list(tmp_path.iterdir())
