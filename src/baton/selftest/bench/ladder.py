"""Which renditions a benchmark makes: names of presets, or a file that describes profiles as gateways' operators do.

Keys and rules of the file are video.md 7.14. Keys are matched without regard to case, as the reference reads them;
unknown ones are ignored and told. Every problem is found in one pass.
"""

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from baton.kernel.profiles import INTRA_ONLY_GOP, PRESETS, EncoderProfile, VideoCodec, VideoProfile
from baton.kernel.redaction import printable

__all__ = ["DEFAULT_LADDER", "Ladder", "LadderError", "parse_profiles", "read_ladder"]

DEFAULT_LADDER = "P240p30fps16x9,P360p30fps16x9,P720p30fps16x9"

_LARGEST_FILE_BYTES = 1 << 20
_MOST_PROFILES = 64
_LARGEST_SIDE_PX = 1 << 16
_LARGEST_NUMBER = 2**31 - 1
_LONGEST_GOP_S = 86_400.0
_BEST_QUALITY = 63
_NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        "width": _LARGEST_SIDE_PX,
        "height": _LARGEST_SIDE_PX,
        "bitrate": _LARGEST_NUMBER,
        "fps": _LARGEST_NUMBER,
        "fpsDen": _LARGEST_NUMBER,
        "quality": _BEST_QUALITY,
        # Renditions are 8-bit 4:2:0 whatever these say (video.md 7.1).
        "colorDepth": _LARGEST_NUMBER,
        "chromaFormat": _LARGEST_NUMBER,
    }
)
_TEXTS = frozenset({"name", "profile", "gop", "encoder"})
_KNOWN = frozenset(key.lower() for key in (*_NUMBERS, *_TEXTS))
_ENCODER_PROFILES: Mapping[str, EncoderProfile] = MappingProxyType(
    {
        "": EncoderProfile.DEFAULT,
        "none": EncoderProfile.DEFAULT,
        "h264baseline": EncoderProfile.H264_BASELINE,
        "h264main": EncoderProfile.H264_MAIN,
        "h264high": EncoderProfile.H264_HIGH,
        "h264constrainedhigh": EncoderProfile.H264_CONSTRAINED_HIGH,
    }
)
_CODECS: Mapping[str, VideoCodec] = MappingProxyType(
    {
        "": VideoCodec.H264,
        "h.264": VideoCodec.H264,
        "hevc": VideoCodec.H265,
        "vp8": VideoCodec.VP8,
        "vp9": VideoCodec.VP9,
    }
)


class LadderError(Exception):
    """Renditions that cannot be made of what was said; the text names every problem."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """The renditions of every segment."""

    profiles: tuple[VideoProfile, ...]
    notes: tuple[str, ...] = ()
    """What was ignored, for the operator."""


def read_ladder(text: str, *, directory: Path) -> Ladder:
    """Names of presets separated by commas, or a JSON file relative to ``directory``.

    Raises:
        LadderError: an unknown preset, no such file, or one that does not say which renditions.
    """
    path = directory / text.strip()
    if text.strip().lower().endswith(".json") or _is_there(path):
        return parse_profiles(_content(path))
    by_lower = {name.lower(): profile for name, profile in PRESETS.items()}
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name.lower() not in by_lower]
    if unknown:
        raise LadderError("; ".join(_unknown_preset(name) for name in unknown))
    if not names:
        message = "no renditions were named"
        raise LadderError(message)
    return Ladder(tuple(by_lower[name.lower()] for name in names))


def _unknown_preset(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), [known.lower() for known in PRESETS], n=1)
    known = {preset.lower(): preset for preset in PRESETS}
    hint = f"did you mean {known[close[0]]}?" if close else f"known are {', '.join(PRESETS)}"
    return f"{printable(name, limit=80)!r} is neither a file nor a preset; {hint}"


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        return True  # in a folder that we may not enter; reading says so
    except OSError:
        return False  # a list of presets that is too long for a file's name


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
        if len(content) > _LARGEST_FILE_BYTES:
            message = f"{path} is larger than 1 MiB"
            raise LadderError(message)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{path} is not UTF-8 text"
        raise LadderError(message) from error
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise LadderError(message) from error


def parse_profiles(content: str) -> Ladder:
    """The profiles of a JSON list.

    Raises:
        LadderError: with every problem found.
    """
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"the profiles are not JSON: {error}"
        raise LadderError(message) from error
    if not isinstance(rows, list) or not rows or len(rows) > _MOST_PROFILES:
        message = f"the profiles must be a list of 1 to {_MOST_PROFILES} objects"
        raise LadderError(message)
    problems: list[str] = []
    ignored: set[str] = set()
    profiles = [_profile(row, f"profile {number}", problems, ignored) for number, row in enumerate(rows, start=1)]
    if problems:
        raise LadderError("; ".join(problems))
    notes = tuple(f"key {printable(key, limit=80)!r} of the profiles is ignored" for key in sorted(ignored))
    return Ladder(tuple(profile for profile in profiles if profile is not None), notes)


def _profile(row: Any, where: str, problems: list[str], ignored: set[str]) -> VideoProfile | None:  # noqa: ANN401 -- whatever JSON holds
    if not isinstance(row, dict):
        problems.append(f"{where} is no object")
        return None
    before = len(problems)
    said = {key.lower(): value for key, value in row.items() if value is not None}
    ignored.update(key for key in row if key.lower() not in _KNOWN)
    numbers = {
        key: _number(said.get(key.lower(), 0), most, f"{where}: {key}", problems) for key, most in _NUMBERS.items()
    }
    texts = {key: _text(said.get(key, ""), f"{where}: {key}", problems) for key in _TEXTS}
    encoder_profile = _ENCODER_PROFILES.get(texts["profile"].lower())
    codec = _CODECS.get(texts["encoder"].lower())
    if encoder_profile is None:
        problems.append(
            f"{where}: profile {texts['profile']!r} is none of {', '.join(filter(None, _ENCODER_PROFILES))}"
        )
    if codec is None:
        problems.append(f"{where}: encoder {texts['encoder']!r} is none of H.264, HEVC, VP8, VP9")
    gop_ms = _gop_ms(texts["gop"], where, problems)
    if len(problems) > before or encoder_profile is None or codec is None:
        return None
    width, height, bitrate = numbers["width"], numbers["height"], numbers["bitrate"]
    return VideoProfile(
        name=texts["name"] or f"custom_{width}x{height}_{bitrate}",
        width=width,
        height=height,
        bitrate_bps=bitrate,
        fps=numbers["fps"],
        fps_den=numbers["fpsDen"],
        profile=encoder_profile,
        gop_ms=gop_ms,
        codec=codec,
        quality=numbers["quality"],
    )


def _number(value: object, most: int, where: str, problems: list[str]) -> int:
    if type(value) is int and 0 <= value <= most:
        return value
    problems.append(f"{where} must be a whole number from 0 to {most}")
    return 0


def _text(value: object, where: str, problems: list[str]) -> str:
    if isinstance(value, str):
        return value
    problems.append(f"{where} must be a text")
    return ""


def _gop_ms(text: str, where: str, problems: list[str]) -> int:
    """Seconds between key frames as milliseconds: empty leaves it to the encoder, "intra" is every frame."""
    if text in {"", "intra"}:
        return INTRA_ONLY_GOP if text else 0
    try:
        seconds = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        seconds = math.nan
    if 0 <= seconds <= _LONGEST_GOP_S:
        return round(seconds * 1000)
    problems.append(f"{where}: gop {printable(text, limit=40)!r} must be empty, intra, or seconds not below 0")
    return 0
