"""SEI units after their picture: found, moved, and otherwise left alone (video.md 7.4)."""

import re
from pathlib import Path

import av
import pytest

from baton.media.engine.seifix import with_sei_first
from tests.media import judge
from tests.media.engine_samples import PLAIN, ask, decode, made, ticks
from tests.media.samples import MATRIX, run_ffmpeg

pytestmark = pytest.mark.media

_START_CODE = b"\x00\x00\x00\x01"
_SEI = b"\x06\x05\x11" + bytes(range(1, 17)) + b"Z\x80"


def _stream(slices: int) -> Path:
    """Two seconds with access unit delimiters and so many slices per picture."""

    def make(folder: Path) -> None:
        source = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30", "-frames:v", "60"]
        coding = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-x264-params", f"slices={slices}:aud=1"]
        run_ffmpeg(*source, *coding, "-muxdelay", "0", "-f", "mpegts", str(folder / "sorted.ts"))

    return made(f"slices-{slices}", make) / "sorted.ts"


def _with_late_sei(path: Path, target: Path, place: int) -> bytes:
    """The same stream with a SEI unit in each access unit, ``place`` slices after its first slice's begin."""
    with av.open(str(path)) as source, av.open(str(target), mode="w", format="mpegts") as output:
        stream = source.streams.video[0]
        copy = output.add_mux_stream("h264", width=640, height=360)
        for packet in source.demux(stream):
            if not packet.size:
                continue
            units = [unit for unit in re.split(rb"\x00\x00\x00\x01|\x00\x00\x01", bytes(packet)) if unit]
            slices = [index for index, unit in enumerate(units) if unit[0] & 0x1F in {1, 5}]
            units.insert(slices[min(place, len(slices)) - 1] + 1, _SEI)
            changed = av.Packet(b"".join(_START_CODE + unit for unit in units))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe = packet.is_keyframe
            changed.stream = copy
            output.mux(changed)
    return target.read_bytes()


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("place", [1, 4])
def test_late_sei_costs_neither_frames_nor_times(slices: int, place: int, tmp_path: Path) -> None:
    sorted_stream = _stream(slices)
    damaged = tmp_path / "damaged.ts"
    data = _with_late_sei(sorted_stream, damaged, place)
    expected = ticks(judge.decoded_frames(sorted_stream))
    assert ticks(judge.decoded_frames(damaged)) != expected, "a plain reader is misled"
    rendition = ask(damaged, PLAIN).renditions[0]
    assert ticks(decode(rendition.data)) == expected
    repaired = with_sei_first(data)
    assert repaired is not None
    assert len(repaired) == len(data)
    assert sorted(repaired) == sorted(data)
    assert with_sei_first(repaired) is None


def test_ordinary_segments_are_not_touched() -> None:
    for sample in MATRIX:
        if sample.container == "mpegts":
            assert with_sei_first(sample.segments()[0].read_bytes()) is None, sample.name


def test_a_suspect_without_delimiters_is_left_alone(tmp_path: Path) -> None:
    data = _with_late_sei(_stream(1), tmp_path / "damaged.ts", 1)
    blind = re.sub(rb"\x00\x00\x01\x09", b"\x00\x00\x01\x0c", data)
    assert with_sei_first(blind) is None
    audio = b"".join(b"G\x41\x00\x10" + b"\x00\x00\x01\x65\x00\x00\x01\x06".ljust(184, b"\xff") for _ in range(9))
    assert with_sei_first(audio) is None


def test_damaged_tables_are_survived(tmp_path: Path) -> None:
    data = _with_late_sei(_stream(1), tmp_path / "damaged.ts", 1)
    for length in (0, 1, 187, 188, 189, 400, len(data) // 2, len(data) - 1):
        repaired = with_sei_first(data[:length])
        assert repaired is None or len(repaired) == length
    for position in range(188 * 4):
        broken = bytearray(data[: 188 * 40])
        broken[position] ^= 0xFF
        repaired = with_sei_first(bytes(broken))
        assert repaired is None or len(repaired) == len(broken)
