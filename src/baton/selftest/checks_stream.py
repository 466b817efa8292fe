"""Judgments about a streamed clip: pixels, sizes, audio, joints, signatures, times. Pure, like ``checks``.

They answer to video.md 4.8 (what makes a gateway leave), 7.3 (sizes), 7.4 and 10.8 (timestamps), 7.6 (pixels) and
7.7 (audio).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from baton.jobs.messages import SegmentResult
from baton.kernel.crypto import keccak256, verify_message
from baton.kernel.ids import ZERO_ADDRESS, Address, to_checksum_hex
from baton.kernel.profiles import VideoProfile, output_size
from baton.selftest.checks import Check, failed, info, passed, printable
from baton.selftest.mediafacts import TICKS_PER_S, MediaFacts

__all__ = [
    "JudgedRendition",
    "judge_answer",
    "judge_joints",
    "judge_result_signature",
    "rendition_faults",
]

_TICK_TOLERANCE = 1
"""Frame intervals that are not whole ticks round to either side."""
_FRAME_TOLERANCE = 1
"""A frame rate that does not divide the segment's duration leaves one frame more or less."""


@dataclass(frozen=True, slots=True)
class JudgedRendition:
    """One rendition of one segment: what was asked, what was reported, what was found; faults in words."""

    segment: int
    profile: VideoProfile
    reported_px: int
    size_bytes: int
    facts: MediaFacts | None
    faults: tuple[str, ...]


def judge_answer(result: SegmentResult, *, seq: int, profiles: Sequence[VideoProfile]) -> str:
    """What is wrong with an answered segment before any download; empty when nothing is."""
    if result.error:
        return f"error: {printable(result.error)}"
    if len(result.renditions) != len(profiles):
        return f"{len(result.renditions)} renditions instead of {len(profiles)}"
    if result.seq != seq:
        return f"answers segment {result.seq} instead of {seq}"
    return ""


def judge_result_signature(*, address: Address, renditions: Sequence[bytes], signature: bytes) -> Check:
    """Whether the result is signed over the hashes of its renditions, in profile order."""
    if address == ZERO_ADDRESS:
        return info("result signature", "none demanded: the node states no address")
    message = b"".join(keccak256(data) for data in renditions)
    if not verify_message(address, message, signature):
        return failed("result signature", f"not {to_checksum_hex(address)}'s over these renditions: PM Check Failed")
    return passed("result signature", "covers every rendition")


def _expected_frames(profile: VideoProfile, source: MediaFacts) -> tuple[int, int]:
    """Fewest and most frames a rendition may hold."""
    rate = profile.frame_rate
    if rate is None:
        return source.frames, source.frames
    span = Fraction(source.frame_pts[-1] - source.frame_pts[0], TICKS_PER_S) + _mean_interval_s(source)
    expected = span * rate
    return int(expected) - _FRAME_TOLERANCE, -int(-expected // 1) + _FRAME_TOLERANCE


def _mean_interval_s(facts: MediaFacts) -> Fraction:
    if facts.frames < 2:  # noqa: PLR2004 -- an interval lies between two
        return Fraction(0)
    return Fraction(facts.frame_pts[-1] - facts.frame_pts[0], TICKS_PER_S * (facts.frames - 1))


def rendition_faults(
    *, profile: VideoProfile, source: MediaFacts, rendition: MediaFacts, reported_px: int
) -> tuple[str, ...]:
    """Everything that is wrong with one rendition of one segment."""
    faults = [f"decoder: {printable(line)}" for line in rendition.complaints[:1]]
    if rendition.pixels != reported_px:
        faults.append(f"PixelMismatch: {reported_px} reported, {rendition.pixels} decoded")
    wanted = output_size(
        source=(source.width_px, source.height_px), requested=(profile.width, profile.height), codec=profile.codec
    )
    if (rendition.width_px, rendition.height_px) != wanted:
        faults.append(f"{rendition.width_px}x{rendition.height_px} instead of {wanted[0]}x{wanted[1]}")
    fewest, most = _expected_frames(profile, source)
    if not fewest <= rendition.frames <= most:
        faults.append(f"{rendition.frames} frames instead of {fewest if fewest == most else f'{fewest} to {most}'}")
    if profile.frame_rate is None and rendition.frame_pts != source.frame_pts:
        faults.append("timestamps differ from the source's")
    if rendition.audio_hashes != source.audio_hashes:
        same = len(set(rendition.audio_hashes) & set(source.audio_hashes))
        faults.append(
            f"audio differs: {same} of {len(source.audio_hashes)} packets are the source's, "
            f"{len(rendition.audio_hashes)} found"
        )
    if any(later <= earlier for earlier, later in pairwise(rendition.packet_dts)):
        faults.append("decode times do not rise")
    return tuple(faults)


def _is_due(step: int, source_step: int, profile: VideoProfile) -> bool:
    """Whether a joint of ``step`` ticks continues the stream.

    Where the rate does not divide the source's, the grid of output times falls anew into each segment, so the joint
    may be up to one source interval longer, but never nothing.
    """
    rate = profile.frame_rate
    due = Fraction(source_step) if rate is None else Fraction(TICKS_PER_S) / rate
    if abs(step - due) <= _TICK_TOLERANCE:
        return True
    aligned = abs(source_step - due) <= _TICK_TOLERANCE
    return not aligned and 0 < step <= due + source_step + _TICK_TOLERANCE


def judge_joints(profile: VideoProfile, source: Sequence[MediaFacts], renditions: Sequence[MediaFacts]) -> Check:
    """Whether a rendition's segments form one stream: one frame interval at each joint and rising decode times.

    The one known exception is kept: a stream that starts near zero may overlap by the B-frame delay between its first
    two segments (video.md 7.4).
    """
    name = f"continuity of {printable(profile.name, 60)}"
    if len(renditions) < 2:  # noqa: PLR2004 -- a joint lies between two
        return info(name, "one segment has no joints")
    for index, (before, after) in enumerate(pairwise(renditions)):
        if not before.frame_pts or not after.frame_pts:
            return failed(name, f"segment {index if not before.frame_pts else index + 1} holds no frame")
        step = after.frame_pts[0] - max(before.frame_pts)
        source_step = source[index + 1].frame_pts[0] - max(source[index].frame_pts)
        if not _is_due(step, source_step, profile):
            gap_s, place = step / TICKS_PER_S, f"between segments {index} and {index + 1}"
            return failed(name, f"{gap_s:+.4f} s {place} where the source has {source_step / TICKS_PER_S:+.4f} s")
        if after.packet_dts[0] <= before.packet_dts[-1] and index > 0:
            return failed(name, f"decode times go back between segments {index} and {index + 1}")
    return passed(name, f"one frame interval at each of {len(renditions) - 1} joints, decode times rise")
