"""Which encoders there are, in order of preference. A new encoder is a file beside this one and a row here."""

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec
from baton.media.engine.encoders.base import Encoder
from baton.media.engine.encoders.software_h264 import SoftwareH264
from baton.media.engine.encoders.software_h265 import SoftwareH265

__all__ = ["ENCODERS", "encoder_for"]

ENCODERS: tuple[Encoder, ...] = (SoftwareH264(), SoftwareH265())


def encoder_for(codec: VideoCodec) -> Encoder:
    """The first encoder that makes ``codec``.

    Raises:
        TranscodeError: ``Encoder not found``; VP8 and VP9 have capability ids but no encoder anywhere.
    """
    for encoder in ENCODERS:
        if encoder.codec == codec:
            return encoder
    raise TranscodeError(Text.ENCODER_NOT_FOUND, detail=f"codec {codec!r}")
