"""Which encoders there are, in order of preference. A new encoder is a file beside this one and a row here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import VideoCodec
from baton.media.engine.encoders.base import Encoder
from baton.media.engine.encoders.nvenc import NvencH264, NvencH265
from baton.media.engine.encoders.software_h264 import SoftwareH264
from baton.media.engine.encoders.software_h265 import SoftwareH265
from baton.media.job import Acceleration

__all__ = ["DEVICE_ENCODERS", "ENCODERS", "FindEncoders", "encoder_for", "encoders_for"]

ENCODERS: tuple[Encoder, ...] = (SoftwareH264(), SoftwareH265())
"""Those that work on any machine."""

DEVICE_ENCODERS: Mapping[Acceleration, tuple[Encoder, ...]] = MappingProxyType(
    {Acceleration.SOFTWARE: (), Acceleration.NVIDIA: (NvencH264(), NvencH265())}
)
"""Those of a device; they come first where there is one."""


FindEncoders = Callable[[VideoCodec, Acceleration], tuple[Encoder, ...]]
"""Who may encode a codec, the preferred encoder first and the one that works everywhere last."""


def encoder_for(codec: VideoCodec) -> Encoder:
    """The first encoder that makes ``codec`` on any machine.

    Raises:
        TranscodeError: ``Encoder not found``; VP8 and VP9 have capability ids but no encoder anywhere.
    """
    for encoder in ENCODERS:
        if encoder.codec == codec:
            return encoder
    raise TranscodeError(Text.ENCODER_NOT_FOUND, detail=f"no encoder makes {getattr(codec, 'name', codec)}")


def encoders_for(codec: VideoCodec, acceleration: Acceleration) -> tuple[Encoder, ...]:
    """All encoders to try for ``codec``, the device's before the one that works everywhere.

    Raises:
        TranscodeError: ``Encoder not found``.
    """
    return (*(encoder for encoder in DEVICE_ENCODERS[acceleration] if encoder.codec == codec), encoder_for(codec))
