"""From the codec library's errors to the texts that gateways know (video.md 7.11).

One table by class. What is not in it is ``Unknown error occurred`` for the peer and its own words for our log.
"""

import errno

import av.error

from baton.kernel.errors import Text, TranscodeError

__all__ = ["library_error"]

_BY_CLASS: tuple[tuple[type[BaseException], str], ...] = (
    (av.error.InvalidDataError, Text.INVALID_DATA),
    (av.error.DecoderNotFoundError, Text.DECODER_NOT_FOUND),
    (av.error.DemuxerNotFoundError, Text.DEMUXER_NOT_FOUND),
    (av.error.EncoderNotFoundError, Text.ENCODER_NOT_FOUND),
    (av.error.MuxerNotFoundError, Text.MUXER_NOT_FOUND),
    (av.error.OptionNotFoundError, Text.OPTION_NOT_FOUND),
    (av.error.ArgumentError, Text.INVALID_ARGUMENT),
    (av.error.FileNotFoundError, Text.NO_SUCH_FILE),
    (FileNotFoundError, Text.NO_SUCH_FILE),
    (MemoryError, Text.NO_MEMORY),
)

_BY_ERRNO = {errno.EIO: Text.IO_ERROR, errno.ENODEV: Text.NO_SUCH_DEVICE, errno.EINVAL: Text.INVALID_ARGUMENT}


def library_error(error: BaseException, *, doing: str, text: str = "") -> TranscodeError:
    """The error a gateway shall read for what the library raised while ``doing`` something.

    Args:
        error: what was raised; an error that already has its text is returned as it is.
        doing: a few words for our log.
        text: the peer's text where the place decides it and not the class.
    """
    if isinstance(error, TranscodeError):
        return error
    detail = f"{doing}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return TranscodeError(Text.NO_MEMORY, detail=detail)
    return TranscodeError(text or _text(error), detail=detail)


def _text(error: BaseException) -> str:
    for kind, text in _BY_CLASS:
        if isinstance(error, kind):
            return text
    return _BY_ERRNO.get(getattr(error, "errno", None) or 0, Text.UNKNOWN)
