"""Renditions on disk, named as the reference's benchmark names them (video.md 7.13)."""

import asyncio
import os
from pathlib import Path

from baton.kernel.profiles import VideoProfile
from baton.media.job import TranscodeOutput
from baton.selftest.bench.figures import Timing
from baton.selftest.bench.plan import BenchError

__all__ = ["RenditionFiles"]


class RenditionFiles:
    """Writes ``<prefix>_<profile>_<its number>_<session>_<segment>.ts``, and ``.bin`` beside it for signatures."""

    def __init__(self, prefix: str, profiles: tuple[VideoProfile, ...]) -> None:
        """Sees whether files can be made there.

        Raises:
            BenchError: they cannot.
        """
        self._prefix = prefix
        self._names = tuple(
            # A name out of a file shall be a name, not a way to another folder.
            profile.name.replace(os.sep, "_").replace("\0", "_")
            for profile in profiles
        )
        folder = Path(prefix).parent
        # Access is asked first: a folder that we may not look at raises.
        if "\0" in prefix or not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
            message = f"renditions cannot be written to {prefix!r}: no folder to write in"
            raise BenchError(message)

    async def write(self, timing: Timing, output: TranscodeOutput) -> None:
        """Write the renditions of one segment.

        Raises:
            BenchError: the disk does not take them.
        """
        try:
            await asyncio.to_thread(self._write, timing, output)
        except (OSError, ValueError) as error:
            message = f"renditions cannot be written to {self._prefix!r}: {getattr(error, 'strerror', None) or error}"
            raise BenchError(message) from error

    def _write(self, timing: Timing, output: TranscodeOutput) -> None:
        for number, (name, rendition) in enumerate(zip(self._names, output.renditions, strict=True)):
            path = Path(f"{self._prefix}_{name}_{number}_{timing.session}_{timing.segment}.ts")
            path.write_bytes(rendition.data)
            if rendition.perceptual_hash:
                path.with_name(f"{path.name}.bin").write_bytes(rendition.perceptual_hash)
