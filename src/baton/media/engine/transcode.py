"""One segment in, its renditions out: decode once, a thread per rendition (video.md 7.1).

The calling thread demultiplexes and decodes; each rendition scales, encodes and writes in its own thread behind a
bounded channel, so a slow one holds the decoder back and memory stays flat. The codec library leaves the interpreter's
lock while it works. Nothing outlives the call.
"""

from concurrent.futures import Future, ThreadPoolExecutor

from baton.kernel.clock import Clock, SystemClock
from baton.kernel.errors import Text, TranscodeError
from baton.media.engine.channel import Channel, ChannelAborted
from baton.media.engine.errors import library_error
from baton.media.engine.plan import Wish, plan
from baton.media.engine.rendition import Item, Rendition
from baton.media.engine.source import Source
from baton.media.engine.workshop import EncoderDesk, Workshop, workshop
from baton.media.job import RenditionOutput, TranscodeOutput, TranscodeRequest

__all__ = ["transcode", "transcode_in"]

_QUEUED_PX = 48_000_000
"""Decoded pixels that may wait for the slowest rendition: about 70 MB at 4:2:0."""
_LEAST_QUEUED, _MOST_QUEUED = 4, 32
_FALLBACK_CHARS = 500
"""Of each fallback; the library may be wordy."""


def transcode(request: TranscodeRequest) -> TranscodeOutput:
    """Make all renditions of a segment, in profile order.

    Raises:
        TranscodeError: with the exact text the gateway shall read (video.md 7.11); the library's words are its detail.
    """
    return transcode_in(workshop(request.tuning.acceleration), request)


def transcode_in(shop: Workshop, request: TranscodeRequest) -> TranscodeOutput:
    """``transcode`` in a workshop of the caller's."""
    clock: Clock = SystemClock()
    started_s = clock.monotonic()
    wishes = plan(request, find=shop.find_encoders)
    shop.begin(request)
    try:
        with Source(request.input_path, device=shop.device) as source:
            desks = [EncoderDesk(shop, wish, request, rendition=index) for index, wish in enumerate(wishes)]
            renditions = _run(source, wishes, desks, request)
    except BaseException:
        # Whatever it was, the stream's next segment begins with nothing of this one.
        shop.kept.drop_stream(request.session_key)
        raise
    told = [source.fallback, *(fallback for desk in desks for fallback in desk.fallbacks)]
    return TranscodeOutput(
        renditions=renditions,
        decoded_px=source.pixels_px,
        decoded_frames=source.frames,
        engine_ms=round((clock.monotonic() - started_s) * 1000),
        decoded_ms=source.duration_ms,
        fallbacks=tuple(dict.fromkeys(fallback[:_FALLBACK_CHARS] for fallback in told if fallback)),
    )


def _run(
    source: Source, wishes: tuple[Wish, ...], desks: list[EncoderDesk], request: TranscodeRequest
) -> tuple[RenditionOutput, ...]:
    limit = _queue_limit(source)
    channels: list[Channel[Item]] = [Channel(limit=limit) for _ in wishes]
    with ThreadPoolExecutor(max_workers=max(1, len(wishes)), thread_name_prefix="rendition") as threads:
        works: list[Future[RenditionOutput]] = []
        try:
            for wish, desk, channel in zip(wishes, desks, channels, strict=True):
                rendition = Rendition(wish, request=request, facts=source.facts, audio=source.audio, desk=desk)
                works.append(threads.submit(rendition.run, channel))
            if _feed(source, channels):
                for channel in channels:
                    channel.end()
        finally:
            for channel in channels:
                channel.abort()
        return _collect(works)


def _feed(source: Source, channels: list[Channel[Item]]) -> bool:
    """Decode into all channels; False when a rendition failed, which makes the rest pointless."""
    return all(channel.put(item) for item in source for channel in channels)


def _collect(works: list[Future[RenditionOutput]]) -> tuple[RenditionOutput, ...]:
    """All results, or the error of the first rendition that failed by itself and not because another did."""
    failure = _failure(works)
    if failure is None:
        return tuple(work.result() for work in works)
    # A new error: one that was raised in a rendition's thread knows its frames, and from here on they would know it,
    # so that codecs and pictures would stay until a garbage collection.
    text, detail = failure
    raise TranscodeError(text, detail=detail)


def _failure(works: list[Future[RenditionOutput]]) -> tuple[str, str] | None:
    errors = [error for error in (work.exception() for work in works) if error is not None]
    if not errors:
        return None
    chosen = library_error(min(errors, key=_consequence), doing="make a rendition")
    return chosen.text, chosen.detail


def _consequence(error: BaseException) -> int:
    """How little an error says about why a segment failed; a lost device explains everything."""
    if isinstance(error, ChannelAborted):
        return 3
    if not isinstance(error, TranscodeError):
        return 2
    return 0 if error.text == Text.UNRECOVERABLE else 1


def _queue_limit(source: Source) -> int:
    frame_px = max(1, source.video.width * source.video.height)
    return max(_LEAST_QUEUED, min(_MOST_QUEUED, _QUEUED_PX // frame_px))
