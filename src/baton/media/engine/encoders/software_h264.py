"""H.264 in software: x264."""

from baton.kernel.profiles import EncoderProfile, VideoCodec, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.job import EncoderTuning

__all__ = ["SoftwareH264"]

_PROFILES = {
    EncoderProfile.H264_BASELINE: "baseline",
    EncoderProfile.H264_MAIN: "main",
    EncoderProfile.H264_HIGH: "high",
    # The constrained form is high without B-frames.
    EncoderProfile.H264_CONSTRAINED_HIGH: "high",
}
_LOOKAHEAD_FRAMES = {
    "ultrafast": 0,
    "superfast": 0,
    "veryfast": 10,
    "faster": 20,
    "fast": 30,
    "medium": 40,
    "slow": 50,
    "slower": 60,
    "veryslow": 60,
    "placebo": 60,
}
"""x264's own lookahead by preset, so that a cap never raises it."""


class SoftwareH264(Encoder):
    """x264: every profile, any machine."""

    key = "software_h264"
    codec = VideoCodec.H264
    library_name = "libx264"
    max_side_px = 16384

    def options(self, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> dict[str, str]:
        """Preset, profile, and forced key frames as IDR."""
        options = {"preset": tuning.preset, "forced-idr": "1"}
        if profile.profile in _PROFILES:
            options["profile"] = _PROFILES[profile.profile]
        own_frames = _LOOKAHEAD_FRAMES.get(tuning.preset, 0)
        if picture.lookahead_cap_frames is not None and picture.lookahead_cap_frames < own_frames:
            options["rc-lookahead"] = str(picture.lookahead_cap_frames)
        return options
