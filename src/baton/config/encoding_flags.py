"""Settings of how renditions are encoded and what is offered of it, a part of ``config.flags``."""

from baton.config import values
from baton.config.flag import TRANSCODING, Flag
from baton.config.values import Base, Kind, Raw

__all__ = ["ENCODING", "X264_PRESETS"]

X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


def _read_auto(raw: Raw, base: Base) -> str:
    return str(_AUTO_WORDS.read(str(raw).lower() if isinstance(raw, bool) else raw, base))


_AUTO_WORDS = values.choice("auto", "true", "false")
_AUTO = Kind(_AUTO_WORDS.label, _read_auto)

ENCODING = (
    Flag(
        "encoder-preset",
        "engine.preset",
        values.choice(*X264_PRESETS),
        "medium",
        "Speed preset of the software encoders: faster costs quality.",
        TRANSCODING,
    ),
    Flag(
        "encoder-buffer",
        "engine.buffer_s",
        values.duration(0.1, 10),
        "1s",
        "How much of its bitrate a rendition may borrow from what comes next; the bitrate stays the cap.",
        TRANSCODING,
    ),
    Flag(
        "hevc-encoding",
        "engine.hevc_encoding",
        _AUTO,
        "auto",
        "Offer HEVC renditions: `auto` where the start-up test shows that software keeps up with a live stream.",
        TRANSCODING,
    ),
    Flag(
        "hevc-decoding",
        "engine.hevc_decoding",
        _AUTO,
        "auto",
        "Offer HEVC as input: `auto` and `true` where the start-up test decodes it, `false` never.",
        TRANSCODING,
    ),
    Flag(
        "hdr",
        "engine.hdr",
        values.choice("tonemap", "passthrough"),
        "tonemap",
        "HDR and BT.2020 sources: bring them to BT.709, or cut their numbers to 8 bits as the reference does.",
        TRANSCODING,
    ),
)
