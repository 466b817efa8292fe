"""What an engine child has between its jobs: the device, the encoders that are kept open, and what it learned of both.

Here is decided who encodes a rendition: a kept encoder, a new one of the device, and when the device has none left, the
same after the other streams' kept ones are gone, and then the software encoder (video.md 11.4 item 39). Every step down
is told.
"""

import errno
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from threading import Lock

from baton.kernel.errors import Text, TranscodeError
from baton.kernel.profiles import OutputFormat
from baton.media.engine.encoders.base import Encoder, Picture
from baton.media.engine.encoders.opening import OpenEncoder
from baton.media.engine.encoders.registry import FindEncoders, encoders_for
from baton.media.engine.hardware import Device, Hardware
from baton.media.engine.kept import EncoderKey, KeptEncoders
from baton.media.engine.plan import Wish
from baton.media.job import Acceleration, TranscodeRequest

__all__ = ["EncoderDesk", "Workshop", "release", "workshop"]

_MOST_REFUSALS = 256
_STAY = frozenset({errno.ENOSYS, errno.ENOENT, errno.EPERM})
"""Refusals that will be the same next time: no encoder on the card, none in the driver, a size beyond it."""

_Refused = tuple[str, int, int, int]


class Workshop:
    """One per process and kind of device. Any thread, apart from ``begin``."""

    def __init__(
        self,
        acceleration: Acceleration,
        *,
        open_device: Callable[[], Hardware] = Device.open,
        find_encoders: FindEncoders = encoders_for,
        kept: KeptEncoders | None = None,
    ) -> None:
        """The device is opened when the first job comes. ``kept`` None keeps as many encoders as usual."""
        self.acceleration = acceleration
        self.kept = KeptEncoders() if kept is None else kept
        self.find_encoders = find_encoders
        self._open_device = open_device
        self._device: Hardware | None = None
        self._refused: OrderedDict[_Refused, str] = OrderedDict()
        self._worked: set[str] = set()
        self._stuck: set[str] = set()
        self._lock = Lock()

    @property
    def device(self) -> Hardware | None:
        """The device, opened by ``begin``; None in software."""
        return self._device

    def begin(self, request: TranscodeRequest) -> None:
        """A job comes: make the device ready and let go of what is not to be used again.

        Raises:
            TranscodeError: ``No such device`` or ``Unrecoverable state, restart process``.
        """
        if self.acceleration is not Acceleration.SOFTWARE and self._device is None:
            self._device = self._open_device()
        self.kept.drop_idle()
        if request.force_reinit:
            self.kept.drop_stream(request.session_key)

    def keeps(self, encoder: Encoder) -> bool:
        """Whether this encoder is kept between segments."""
        return encoder.stays_open and encoder.key not in self._stuck

    def does_not_go_on(self, encoder: Encoder) -> None:
        """A kept encoder did not take the next segment: this driver or library cannot do that."""
        with self._lock:
            self._stuck.add(encoder.key)
        self.kept.drop_encoder(encoder.key)

    def refusal(self, encoder: Encoder, picture: Picture, *, b_frames: int) -> str:
        """Why it is no use to try this encoder; empty when it is."""
        if max(picture.width_px, picture.height_px) > encoder.max_side_px:
            return f"{picture.width_px}x{picture.height_px} px is more than it takes"
        return self._refused.get((encoder.key, picture.width_px, picture.height_px, b_frames), "")

    def opened(self, encoder: Encoder) -> None:
        """It could be opened."""
        with self._lock:
            self._worked.add(encoder.key)

    def refused(self, encoder: Encoder, picture: Picture, error: TranscodeError, *, b_frames: int) -> None:
        """It could not be opened; remembered where that will not change.

        Raises:
            TranscodeError: ``Unrecoverable state, restart process`` when it is no refusal but a device in trouble:
                the encoder worked in this process and now meets an error that nobody can name (video.md 7.11).
        """
        number = getattr(error.__cause__, "errno", None)
        if number in _STAY:
            with self._lock:
                self._refused[(encoder.key, picture.width_px, picture.height_px, b_frames)] = error.detail
                while len(self._refused) > _MOST_REFUSALS:
                    self._refused.popitem(last=False)
        elif encoder.key in self._worked and number not in {errno.ENOMEM, errno.EINVAL, errno.EBUSY, errno.EAGAIN}:
            raise TranscodeError(Text.UNRECOVERABLE, detail=error.detail) from error


class EncoderDesk:
    """Where one rendition gets its encoders and brings them back. Owned by its thread."""

    def __init__(self, shop: Workshop, wish: Wish, request: TranscodeRequest, *, rendition: int) -> None:
        """``rendition`` is its index in the request."""
        self.fallbacks: list[str] = []
        self._shop = shop
        self._wish = wish
        self._request = request
        self._rendition = rendition
        self._global_header = False
        self._key: EncoderKey | None = None

    def open(self, picture: Picture, *, first_pts: int, first_of_file: bool) -> OpenEncoder:
        """An encoder for frames like ``picture``, the first at ``first_pts``; the caller's until it is brought back.

        Only the first encoder of a file can put its parameter sets into the head.

        Raises:
            TranscodeError: nobody can encode this, or the device is lost.
        """
        self._global_header = first_of_file and self._wish.profile.format is OutputFormat.MP4
        for encoder in self._wish.encoders:
            self._key = self._key_of(encoder, picture)
            if self._key is not None:
                coder = self._shop.kept.take(self._key, first_pts=first_pts)
                if coder is not None:
                    return coder
            if encoder is self._wish.encoders[-1]:
                return self._new(encoder, picture)
            coder = self._try(encoder, picture)
            if coder is not None:
                return coder
        raise TranscodeError(Text.ENCODER_NOT_FOUND, detail=f"no encoder makes {self._wish.profile.codec.name}")

    def renew(self, coder: OpenEncoder, picture: Picture, *, first_pts: int) -> OpenEncoder:
        """A new encoder like the kept one that failed with the first frame. Raises like ``open``."""
        self._shop.does_not_go_on(coder.encoder)
        self.fallbacks.append(f"open {coder.encoder.key} for each segment: it did not go on after the last one")
        coder.close()
        return self.open(picture, first_pts=first_pts, first_of_file=self._global_header)

    def bring_back(self, coder: OpenEncoder) -> None:
        """The segment is done with it: it is kept or closed."""
        if self._key is None or not self._shop.keeps(coder.encoder):
            coder.close()
            return
        coder.rest()
        self._shop.kept.put(self._key, coder)
        if not self._shop.keeps(coder.encoder):  # another rendition found out meanwhile
            self._shop.kept.drop_encoder(coder.encoder.key)

    def _try(self, encoder: Encoder, picture: Picture) -> OpenEncoder | None:
        """An encoder of the device, or None when the next one must do."""
        b_frames = encoder.b_frames(self._wish.profile)
        reason = self._shop.refusal(encoder, picture, b_frames=b_frames)
        if not reason:
            try:
                return self._new(encoder, picture)
            except TranscodeError as error:
                reason = error.detail
                trouble = error
            if self._shop.kept.drop_others(self._request.session_key):
                try:
                    return self._new(encoder, picture)
                except TranscodeError as error:
                    reason = error.detail
                    trouble = error
            self._shop.refused(encoder, picture, trouble, b_frames=b_frames)
        self.fallbacks.append(f"encode {self._wish.profile.codec.name} in software: {reason}")
        return None

    def _new(self, encoder: Encoder, picture: Picture) -> OpenEncoder:
        device = self._shop.device
        coder = OpenEncoder.open(
            encoder,
            self._wish.profile,
            picture,
            self._request.tuning,
            global_header=self._global_header,
            device=device.settings if device is not None else None,
        )
        self._shop.opened(encoder)
        return coder

    def _key_of(self, encoder: Encoder, picture: Picture) -> EncoderKey | None:
        """Where an encoder is kept; None for one that is not."""
        if not self._request.session_key or not self._shop.keeps(encoder):
            return None
        if self._wish.profile.frame_rate is None:
            # A guess, which may differ from segment to segment by a little.
            picture = replace(picture, frame_rate=Fraction(round(picture.frame_rate) or 1))
        return EncoderKey(
            session_key=self._request.session_key,
            rendition=self._rendition,
            encoder=encoder.key,
            profile=self._wish.profile,
            picture=picture,
            tuning=self._request.tuning,
            global_header=self._global_header,
        )


@cache
def workshop(acceleration: Acceleration) -> Workshop:
    """The workshop of this process; it lives as long."""
    return Workshop(acceleration)


def release(session_key: str) -> None:
    """Let go of all that is kept of a stream, at once (video.md 11.2 item 21). ``ChildCommand.release`` names this."""
    for acceleration in Acceleration:
        shop = workshop(acceleration)
        shop.kept.drop_stream(session_key)
        shop.kept.drop_idle()
