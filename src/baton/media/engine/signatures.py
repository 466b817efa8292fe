"""Perceptual hashes: the MPEG-7 video signature of a rendition, by the ``signature`` filter of an FFmpeg program.

The codec library of this process has no such filter, the program of the ``imageio-ffmpeg`` wheel has. It gets the very
frames that go into the encoder (video.md 7.10), raw and as they come. A signature of the decoded rendition would cost a
decoder and be another one: near enough for most pictures, and too far for the comparison of gateways now and then.

The program belongs to the engine child in every way. It is in its process group, so that whoever kills the child kills
it too; it is fed through a pipe, so that it ends when the child does; it reads nothing but that pipe and writes to
memory; its time, memory and output are bounded. When it fails, the rendition goes without a hash.
"""

import fcntl
import os
import select
import subprocess  # the program of an installed package with arguments of our own, see ``_command``
from contextlib import suppress
from io import FileIO

import av
from av.codec import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from baton.kernel.clock import Clock, SystemClock
from baton.media.engine.signature_format import is_complete, with_times

__all__ = ["PerceptualHash", "SignatureError", "find_ffmpeg"]

_STALL_S = 5.0
"""A program that takes nothing for so long will not take more."""
_RESERVE_S = 0.5
"""What is left of a segment's time when its hashes are given up: the answer must still reach the node."""
_MEMORY_BYTES = 4 << 30
_CPU_S = 300
_OUTPUT_BYTES = 64 << 20
_PIPE_BYTES = 1 << 20
_SHELL = "/bin/sh"
_LIMITED = (
    f"ulimit -v {_MEMORY_BYTES >> 10} && ulimit -t {_CPU_S} && ulimit -f {_OUTPUT_BYTES >> 9} && " + 'exec "$0" "$@"'
)
"""In its cell an engine may set limits of nobody but itself, and code of ours between fork and exec could wait forever
for a lock that another thread held. So a shell sets its own limits and becomes the program."""
_WORDS_BYTES = 300
_TROUBLE_CHARS = 1000


class SignatureError(Exception):
    """A signature could not be computed; the text is for the operator's log."""


def find_ffmpeg() -> str:
    """Path of the FFmpeg program.

    Raises:
        SignatureError: this machine has none.
    """
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError, OSError) as error:
        message = f"no FFmpeg program: {error}"
        raise SignatureError(message) from error


class PerceptualHash:
    """The hash of one rendition in the making. Owned by its thread; never raises, ``trouble`` says what went wrong.

    ``take`` each frame that is encoded, then ``end`` and ``result``; ``discard`` whatever happened.
    """

    def __init__(self, *, deadline_s: float, program: str | None = None, clock: Clock | None = None) -> None:
        """``deadline_s`` is when the answer must be there on the monotonic clock, ``inf`` for any time.

        ``program`` None takes the one that ``find_ffmpeg`` finds.
        """
        self.trouble = ""
        self._program = program
        self._clock = clock or SystemClock()
        now_s = self._clock.monotonic()
        left_s = deadline_s - now_s
        # Half of the time at most: every frame keeps its pace, and the rendition must still be done without the hash.
        self._give_up_s = now_s + min(left_s - _RESERVE_S, left_s / 2)
        self._times: list[int] = []
        self._run: _Run | None = None

    def take(self, picture: VideoFrame) -> None:
        """A frame on its way into the encoder, its time set."""
        if self.trouble:
            return
        try:
            if self._run is None:
                program = self._program or find_ffmpeg()
                self._run = _Run(program, picture, give_up_s=self._give_up_s, clock=self._clock)
            self._run.push(picture)
            self._times.append(picture.pts or 0)
        except (SignatureError, OSError, ValueError, av.FFmpegError) as error:  # no files or pipes left, for one
            self._fail(str(error))

    def end(self) -> None:
        """No frame comes any more; the program finishes while the encoder does."""
        if self._run is not None:
            self._run.close_input()

    def result(self, *, ticks_per_s: int) -> bytes:
        """The hash, or no bytes; ``ticks_per_s`` is the clock of the file that holds the rendition."""
        if self._run is None:
            self.trouble = self.trouble or "no frame"
            return b""
        try:
            signature = self._run.finish()
        except SignatureError as error:
            self._fail(str(error))
            return b""
        if not is_complete(signature, frames=len(self._times)):
            self._fail(f"{len(signature)} bytes are no signature of {len(self._times)} frames")
            return b""
        return with_times(signature, times=self._times, unit=ticks_per_s)

    def discard(self) -> None:
        """Leave no process and no file behind."""
        if self._run is not None:
            self._run.discard()
            self._run = None

    def _fail(self, trouble: str) -> None:
        self.trouble = trouble[:_TROUBLE_CHARS]
        self.discard()


class _Run:
    """One process that computes one signature."""

    def __init__(self, program: str, first: VideoFrame, *, give_up_s: float, clock: Clock) -> None:
        self._clock = clock
        self._give_up_s = give_up_s
        self._geometry = (first.width, first.height, first.format.name)
        self._packer = _packer(first)
        self._words, self._output = _memory_file("words"), _memory_file("signature")
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- nothing in it that a peer said
                _command(program, first, output_fd=self._output.fileno()),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=(self._output.fileno(),),
            )
        except OSError as error:
            self._words.close()
            self._output.close()
            message = f"{program}: {error}"
            raise SignatureError(message) from error
        self._widen()

    def push(self, picture: VideoFrame) -> None:
        """Hand a frame over. Raises ``SignatureError`` when the program is gone, stalls, or time is up."""
        if (picture.width, picture.height, picture.format.name) != self._geometry:
            message = "the picture changed its size on the way"
            raise SignatureError(message)
        try:
            packets = self._packer.encode(picture)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            message = f"frame could not be packed: {error}"
            raise SignatureError(message) from error
        for packet in packets:
            self._write(memoryview(packet))

    def close_input(self) -> None:
        """Nothing more to come."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def finish(self) -> bytes:
        """Wait for the end of the program; what it wrote. Raises ``SignatureError``."""
        self.close_input()
        wait_s = min(_STALL_S, max(0.0, self._give_up_s - self._clock.monotonic()))
        try:
            code = self._process.wait(timeout=wait_s)
        except subprocess.TimeoutExpired as error:
            message = f"not done {wait_s:.1f} s after the last frame"
            raise SignatureError(message) from error
        if code:
            raise self._ended()
        return _content(self._output)

    def discard(self) -> None:
        """Kill it if it lives, and close everything. Any number of times."""
        self._process.kill()
        self.close_input()
        self._process.wait()
        self._words.close()
        self._output.close()

    def _write(self, rest: memoryview) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            message = "frames after the last one"
            raise RuntimeError(message)
        gate = select.poll()
        gate.register(stdin, select.POLLOUT)
        while rest:
            try:
                rest = rest[os.write(stdin.fileno(), rest) :]
            except BlockingIOError as error:
                wait_s = min(_STALL_S, self._give_up_s - self._clock.monotonic())
                if wait_s <= 0 or not gate.poll(wait_s * 1000):
                    message = "the program takes no more frames" if wait_s > 0 else "no time left for it"
                    raise SignatureError(message) from error
            except BrokenPipeError as error:
                raise self._ended() from error

    def _ended(self) -> SignatureError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        words = _content(self._words)[-_WORDS_BYTES:].decode("utf-8", "backslashreplace").strip()
        return SignatureError(f"the FFmpeg program ended with {self._process.returncode}: {words}")

    def _widen(self) -> None:
        """A wide pipe that never blocks us."""
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
            with suppress(OSError):  # a user may have used up its share of pipe memory; then it is only slower
                fcntl.fcntl(self._process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _command(program: str, first: VideoFrame, *, output_fd: int) -> list[str]:
    return [
        *(_SHELL, "-c", _LIMITED, program, "-nostdin", "-hide_banner", "-loglevel", "error", "-filter_threads", "1"),
        *("-protocol_whitelist", "pipe", "-probesize", "32", "-f", "rawvideo", "-pixel_format", first.format.name),
        *("-video_size", f"{first.width}x{first.height}", "-i", "pipe:0"),
        *("-vf", f"signature=filename=/proc/self/fd/{output_fd}", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def _packer(first: VideoFrame) -> VideoCodecContext:
    """Writes frames without the padding that their lines have in memory."""
    if first.time_base is None:
        message = "frames without a unit of time"
        raise SignatureError(message)
    packer = CodecContext.create("rawvideo", "w")
    packer.width, packer.height, packer.pix_fmt = first.width, first.height, first.format.name
    packer.time_base = first.time_base  # with another one the frame's own time would be rewritten in place
    return packer


def _memory_file(name: str) -> FileIO:
    return FileIO(os.memfd_create(name), "r+b")


def _content(file: FileIO) -> bytes:
    return os.pread(file.fileno(), _OUTPUT_BYTES, 0)
