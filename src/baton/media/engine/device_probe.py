"""What a device was seen to do: the same trials as in software, four renditions each, and what they fell back on.

A trial that fell back to software has still proven its capability; which part of it is the device's work stands in
the report beside it (video.md 5.7). Encoder sessions are counted by opening them until the card refuses, because
nothing else tells how many there are (video.md 11.3 item 31).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from baton.kernel.clock import Clock, SystemClock
from baton.kernel.errors import TranscodeError
from baton.kernel.profiles import VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.encoders.registry import DEVICE_ENCODERS, ENCODERS
from baton.media.engine.hardware import DECODERS, scaling_refusal
from baton.media.engine.workshop import Workshop
from baton.media.job import EncoderTuning, EngineReport

__all__ = ["MOST_SESSIONS", "RENDITIONS", "Told", "count_sessions", "with_device"]

RENDITIONS: Final = 4
"""Identical renditions of each trial: a card that serves one session only is no use for ladders (video.md 5.7)."""
MOST_SESSIONS: Final = 32
"""More are not tried; cards without a limit have memory for hundreds."""
_PATIENCE_S = 8.0
_TEXT_CHARS, _MOST_FALLBACKS = 500, 64
_SMALL = VideoProfile(name="session", width=256, height=144, bitrate_bps=200_000, fps=25)
_SMALL_PICTURE = Picture(width_px=256, height_px=144, time_base=Fraction(1, 25), frame_rate=Fraction(25))


@dataclass(slots=True)
class Told:
    """What the trials of a probe told about who did the work."""

    fallbacks: dict[str, None] = field(default_factory=dict)
    """In the order in which they came, each once."""
    on_device: dict[str, bool] = field(default_factory=dict)
    """Whether a codec was decoded or encoded without a word of software, by "decode h264" or "encode H264"."""

    def hear(self, parts: Iterable[str], fallbacks: Iterable[str]) -> None:
        """A trial is done that needed ``parts``."""
        said = list(fallbacks)
        self.fallbacks |= dict.fromkeys(said)
        for part in parts:
            self.on_device[part] = not any(text.startswith(f"{part} ") for text in said)


def with_device(report: EngineReport, told: Told, *, shop: Workshop, tuning: EncoderTuning) -> EngineReport:
    """The report of a probe, with what the device did of it and how many encoder sessions it runs at once."""
    working = _working(told, shop)
    names = {encoder.codec: encoder.library_name for encoder in working}
    fallbacks = dict(told.fallbacks)
    sessions = 0
    if working:
        sessions, limit = count_sessions(working[0], shop=shop, tuning=tuning)
        if limit:
            fallbacks[f"encode in software beyond {sessions} sessions: {limit}"] = None
    fallbacks[scaling_refusal()] = None
    return replace(
        report,
        encoders=tuple(
            names.get(encoder.codec, encoder.library_name)
            for encoder in ENCODERS
            if encoder.library_name in report.encoders
        ),
        decoders=tuple(f"{codec} (cuda)" for codec in DECODERS if told.on_device.get(f"decode {codec}")),
        encoder_sessions=sessions,
        fallbacks=tuple(text[:_TEXT_CHARS] for text in fallbacks)[:_MOST_FALLBACKS],
    )


def _working(told: Told, shop: Workshop) -> list[Encoder]:
    """The device's encoders that were seen to work."""
    return [
        encoder for encoder in DEVICE_ENCODERS[shop.acceleration] if told.on_device.get(f"encode {encoder.codec.name}")
    ]


def count_sessions(
    encoder: Encoder, *, shop: Workshop, tuning: EncoderTuning, clock: Clock | None = None
) -> tuple[int, str]:
    """How many encoders could be open at once, and why not one more; no reason when our own bounds ended it."""
    clock = clock or SystemClock()
    until_s = clock.monotonic() + _PATIENCE_S
    device = shop.device.settings if shop.device is not None else None
    opened: list[OpenEncoder] = []
    try:
        while len(opened) < MOST_SESSIONS and clock.monotonic() < until_s:
            coder = OpenEncoder.open(encoder, _SMALL, _SMALL_PICTURE, tuning, global_header=False, device=device)
            opened.append(coder)
    except TranscodeError as error:
        return len(opened), error.detail or error.text
    finally:
        for coder in opened:
            coder.close()
    return len(opened), ""
