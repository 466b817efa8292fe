"""Looks into media files with an FFmpeg that is not the node's: the judge of every rendition.

The binary of the ``imageio-ffmpeg`` wheel, else an ``ffmpeg`` on the path, else PyAV in a child
process. Files come from strangers: the format is fixed beforehand (no playlist can send the decoder elsewhere), only
plain files are opened, and time, memory and output of the child are limited.
"""

import asyncio
import contextlib
import resource
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from baton.selftest.mediafacts import MediaFacts, parse_reports

__all__ = ["InspectError", "Inspector", "child_environment", "find_ffmpeg", "run_bounded"]

_TIMEOUT_S = 120.0
_MEMORY_BYTES = 4 << 30
_REPORT_BYTES = 64 << 20
_COMPLAINTS = 3
_COMPLAINT_CHARS = 200
_OUTPUT_BYTES = 1 << 20


class InspectError(Exception):
    """A file that cannot be judged: not media of the expected kind, or beyond every limit."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A child that ended by itself."""

    returncode: int
    stdout: str
    stderr: str


def find_ffmpeg() -> str | None:
    """Path of an FFmpeg binary, the wheel's first; None when this machine has none."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return shutil.which("ffmpeg")
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return shutil.which("ffmpeg")


def child_environment() -> dict[str, str]:
    """Environment of a Python child: it finds this very package, wherever it was imported from, and little else."""
    import os

    root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH", "")
    path = f"{root}{os.pathsep}{known}" if known else root
    return {**os.environ, "PYTHONPATH": path}


async def run_bounded(command: tuple[str, ...], *, timeout_s: float, cwd: str | None = None) -> Finished:
    """Run a program to its end with limits on time, memory and output; killed when it oversteps or we are cancelled.

    Raises:
        InspectError: it did not end in time or talked too much.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env=child_environment(),
        start_new_session=True,
    )
    try:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
            resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            return Finished(await process.wait(), stdout, stderr)
    except TimeoutError as error:
        message = f"{Path(command[0]).name} did not finish within {timeout_s:g} s"
        raise InspectError(message) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _read(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None  # noqa: S101 -- both pipes were asked for above
    kept = bytearray()
    while chunk := await stream.read(1 << 16):
        if len(kept) < _OUTPUT_BYTES:
            kept += chunk
    return bytes(kept[:_OUTPUT_BYTES]).decode("utf-8", "replace")


class Inspector:
    """Judges files with one engine, chosen once."""

    def __init__(self, *, ffmpeg: str | None) -> None:
        """``ffmpeg`` is the binary to use; None uses PyAV in a child process."""
        self._ffmpeg = ffmpeg

    @classmethod
    def best(cls) -> "Inspector":
        """The most independent engine of this machine."""
        return cls(ffmpeg=find_ffmpeg())

    async def engine(self) -> str:
        """What judges, in words."""
        if self._ffmpeg is None:
            return "PyAV (this machine has no other FFmpeg)"
        finished = await run_bounded((self._ffmpeg, "-version"), timeout_s=_TIMEOUT_S)
        words = finished.stdout.split()
        return f"FFmpeg {words[2]}" if len(words) > 2 else "FFmpeg"  # noqa: PLR2004 -- "ffmpeg version X"

    async def inspect(self, path: Path, *, container: str = "mpegts") -> MediaFacts:
        """Decode all of ``path``.

        Raises:
            InspectError: not a ``container`` file with video, or a decoder that gave up.
        """
        with tempfile.TemporaryDirectory(prefix="baton-inspect-") as folder:
            command = self._command(path, container)
            finished = await run_bounded(command, timeout_s=_TIMEOUT_S, cwd=folder)
            lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
            complaints = tuple(line[:_COMPLAINT_CHARS] for line in lines[:_COMPLAINTS])
            if finished.returncode != 0:
                message = "; ".join(complaints) or f"decoder ended with {finished.returncode}"
                raise InspectError(message)
            try:
                return await asyncio.to_thread(_read_reports, Path(folder), complaints)
            except (OSError, ValueError) as error:
                message = f"no report from the decoder: {error}"
                raise InspectError(message) from error

    def _command(self, path: Path, container: str) -> tuple[str, ...]:
        path = path.resolve()
        if self._ffmpeg is None:
            return (sys.executable, "-m", "baton.selftest.inspect_child", str(path), container)
        return (
            *(self._ffmpeg, "-v", "error", "-nostdin", "-y", "-copyts", "-noautorotate"),
            *("-protocol_whitelist", "file", "-f", container, "-i", str(path)),
            *("-map", "0:v:0", "-map", "0:a:0?", "-c:a", "copy", "-noautoscale", "-fps_mode", "passthrough"),
            *("-enc_time_base", "demux", "-c:v", "rawvideo", "-pix_fmt", "gray", "-fs", str(_REPORT_BYTES)),
            *("-f", "framehash", "-hash", "md5", "frames.txt"),
            *("-map", "0:v:0", "-c", "copy", "-fs", str(_REPORT_BYTES), "-f", "framecrc", "packets.txt"),
        )


def _read_reports(folder: Path, complaints: tuple[str, ...]) -> MediaFacts:
    reports = []
    for name in ("frames.txt", "packets.txt"):
        report = folder / name
        if report.stat().st_size > _REPORT_BYTES:
            message = f"report longer than {_REPORT_BYTES} bytes"
            raise ValueError(message)
        reports.append(report.read_text("utf-8", "replace"))
    return parse_reports(frames=reports[0], packets=reports[1], complaints=complaints)
