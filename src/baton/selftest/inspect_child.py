"""Child process of the inspector where no FFmpeg binary exists: decodes one file with PyAV and writes the same reports.

Usage: ``python -m baton.selftest.inspect_child FILE CONTAINER``; writes ``frames.txt`` and ``packets.txt`` into the
working directory and exits 1 with one line on stderr when the file cannot be decoded. Never imported by the node.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["main", "report"]


def report(path: str, container: str) -> tuple[str, str]:
    """The two reports of ``mediafacts.parse_reports`` for a file. Raises ``av.error.FFmpegError``."""
    import av

    with av.open(path, format=container, options={"protocol_whitelist": "file"}) as source:
        if not source.streams.video:
            message = "no video"
            raise ValueError(message)
        video = source.streams.video[0]
        audio = source.streams.audio[0] if source.streams.audio else None
        frames = ["#tb 0: 1/90000", f"#dimensions 0: {video.width}x{video.height}"]
        packets = ["#tb 0: 1/90000"]
        if audio is not None:
            frames.append("#tb 1: 1/90000")
        for packet in source.demux(*(stream for stream in (video, audio) if stream is not None)):
            if packet.stream is audio:
                if packet.size:
                    digest = hashlib.md5(bytes(packet), usedforsecurity=False).hexdigest()
                    frames.append(_line(1, _ticks(packet.dts, packet.time_base), packet.size, digest))
                continue
            if packet.size:
                packets.append(_line(0, _ticks(packet.dts, packet.time_base), packet.size, "-"))
            frames.extend(_decoded(packet))
    return "\n".join(frames) + "\n", "\n".join(packets) + "\n"


def _decoded(packet: object) -> Iterator[str]:
    for frame in packet.decode():  # type: ignore[attr-defined]  # av.Packet, imported only inside the child
        yield _line(0, _ticks(frame.pts, frame.time_base), frame.width * frame.height, "-")


def _ticks(value: int | None, base: object) -> int:
    from fractions import Fraction

    return round(Fraction(str(base)) * (value or 0) * 90_000)


def _line(stream: int, ticks: int, size_bytes: int, digest: str) -> str:
    return f"{stream}, {ticks}, {ticks}, 0, {size_bytes}, {digest}"


def main(arguments: list[str]) -> int:
    """Write the reports; 0 when the file was decoded."""
    import av

    try:
        frames, packets = report(arguments[0], arguments[1])
    except (av.error.FFmpegError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    Path("frames.txt").write_text(frames, encoding="utf-8")
    Path("packets.txt").write_text(packets, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
