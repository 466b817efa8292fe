"""H.264 and H.265 on an NVIDIA card: NVENC. Options answer to the NVIDIA column of video.md 7.2.

Frames are copied onto the device as they are, in the layout that software encoders take: the scaler rounds differently
for the card's favourite one, and a rendition's frames and hash shall not depend on who encodes it.
"""

from dataclasses import replace

from baton.kernel.errors import Text
from baton.kernel.profiles import EncoderProfile, VideoCodec, VideoProfile
from baton.media.engine.encoders.base import Encoder, Picture, b_frames, rate_control
from baton.media.job import EncoderTuning

__all__ = ["NvencH264", "NvencH265"]

_PROFILES = {
    EncoderProfile.H264_BASELINE: "baseline",
    EncoderProfile.H264_MAIN: "main",
    EncoderProfile.H264_HIGH: "high",
    # The constrained form is high without B-frames.
    EncoderProfile.H264_CONSTRAINED_HIGH: "high",
}
_CQ_ABOVE_CRF = 7
"""The card's constant quality counts that much higher for the same look."""
_MAX_CQ = 51
_DEFAULT_BITRATE_BPS = 2_000_000
"""The library's own default, which its way of making streams loses."""


class _Nvenc(Encoder):
    """What both have in common."""

    on_device = True
    stays_open = True
    running_error = Text.UNRECOVERABLE

    def options(
        self,
        profile: VideoProfile,
        picture: Picture,  # noqa: ARG002 -- the card's memory is bounded by the sessions that it takes
        tuning: EncoderTuning,  # noqa: ARG002 -- its preset is that of software encoders
    ) -> dict[str, str]:
        """Preset and forced key frames as IDR."""
        options = {"preset": "medium", "forced-idr": "1"}
        if profile.bitrate_bps <= 0:
            options["b"] = str(_DEFAULT_BITRATE_BPS)
        return options

    def rate_control(self, profile: VideoProfile, tuning: EncoderTuning) -> dict[str, str]:
        """Bitrate and buffer as for all encoders; quality on the card's own scale."""
        options = rate_control(replace(profile, quality=0), buffer_ms=tuning.buffer_ms)
        if 0 < profile.quality <= _MAX_CQ - _CQ_ABOVE_CRF:
            options["cq"] = str(profile.quality + _CQ_ABOVE_CRF)
        return options

    def b_frames(self, profile: VideoProfile) -> int:
        """None where timestamps pass through or nobody asked for a profile; else as in software."""
        if profile.frame_rate is None or profile.profile is EncoderProfile.DEFAULT:
            return 0
        return b_frames(profile.profile)

    def lead_in_frames(self, profile: VideoProfile, reorder_depth: int) -> int:
        """It sets decode times back by all its B-frames, and the library names the depth of reordering, which is 2."""
        return max(self.b_frames(profile), reorder_depth) if reorder_depth else 0


class NvencH264(_Nvenc):
    """NVENC H.264: every profile."""

    key = "nvenc_h264"
    codec = VideoCodec.H264
    library_name = "h264_nvenc"
    max_side_px = 4096

    def options(self, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> dict[str, str]:
        """With the profile."""
        options = super().options(profile, picture, tuning)
        if profile.profile in _PROFILES:
            options["profile"] = _PROFILES[profile.profile]
        return options


class NvencH265(_Nvenc):
    """NVENC H.265, main profile, high tier. The profiles of a request are H.264's: only B-frames follow them."""

    key = "nvenc_h265"
    codec = VideoCodec.H265
    library_name = "hevc_nvenc"
    max_side_px = 8192

    def options(self, profile: VideoProfile, picture: Picture, tuning: EncoderTuning) -> dict[str, str]:
        """With the tier."""
        return super().options(profile, picture, tuning) | {"tier": "high"}
