"""H.265 in software: x265."""

from baton.kernel.profiles import VideoCodec, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.job import EncoderTuning

__all__ = ["SoftwareH265"]

_LEAST_LOOKAHEAD_FRAMES = 5
"""x265 wants more lookahead than B-frames in a row."""
_LOOKAHEAD_FRAMES = {
    "ultrafast": 5,
    "superfast": 10,
    "veryfast": 15,
    "faster": 15,
    "fast": 15,
    "medium": 20,
    "slow": 25,
    "slower": 40,
    "veryslow": 40,
    "placebo": 60,
}
"""x265's own lookahead by preset, so that a cap never raises it."""


class SoftwareH265(Encoder):
    """x265, main profile. The encoder profiles of a request are H.264's: only their word on B-frames counts here."""

    key = "software_h265"
    codec = VideoCodec.H265
    library_name = "libx265"
    max_side_px = 16384

    def options(
        self,
        profile: VideoProfile,  # noqa: ARG002 -- the profiles of a request are H.264's
        picture: Picture,
        tuning: EncoderTuning,
    ) -> dict[str, str]:
        """Preset, silence, closed GOPs, and forced key frames as IDR."""
        own = {"log-level": "none", "open-gop": "0"}
        own_frames = _LOOKAHEAD_FRAMES.get(tuning.preset, 0)
        if picture.lookahead_cap_frames is not None and picture.lookahead_cap_frames < own_frames:
            own["rc-lookahead"] = str(max(_LEAST_LOOKAHEAD_FRAMES, picture.lookahead_cap_frames))
        if tuning.threads > 0:
            own["pools"] = str(tuning.threads)
        return {
            "preset": tuning.preset,
            "forced-idr": "1",
            "x265-params": ":".join(f"{name}={value}" for name, value in own.items()),
        }
