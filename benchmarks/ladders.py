"""The renditions that benchmarks make, and bare FFmpeg making the same with the settings of the node's encoders."""

from pathlib import Path

from baton.kernel.profiles import PRESETS, VideoProfile
from baton.media.process import ChildCommand

__all__ = ["LADDER_720", "LADDER_1080", "PRESET", "Ladder", "bare_command", "describe_ladder"]

PRESET = "veryfast"
Ladder = tuple[VideoProfile, ...]

LADDER_720: Ladder = tuple(PRESETS[name] for name in ("P240p30fps16x9", "P360p30fps16x9", "P576p30fps16x9"))
LADDER_1080: Ladder = tuple(PRESETS[name] for name in ("P240p30fps16x9", "P360p30fps16x9", "P720p30fps16x9"))


def describe_ladder(ladder: Ladder) -> str:
    """The ladder in one line."""
    return ", ".join(f"{profile.width}x{profile.height}" for profile in ladder)


def bare_command(ffmpeg: str, ladder: Ladder, folder: Path, name: str) -> list[str]:
    """FFmpeg making the ladder from stdin as the node's encoders do (rate control, B-frames, first frame IDR).

    Engine children step back from other programs (``nice``), so bare FFmpeg does the same: otherwise a busy machine
    would compare priorities.
    """
    command = ["nice", "-n", str(ChildCommand().niceness)]
    command += [ffmpeg, "-hide_banner", "-loglevel", "error", "-y", "-copyts", "-f", "mpegts", "-i", "pipe:0"]
    for index, profile in enumerate(ladder):
        rate = str(profile.bitrate_bps)
        command += ["-map", "0:v:0", "-map", "0:a:0?"]
        command += ["-vf", f"scale={profile.width}:{profile.height},fps={profile.fps}"]
        command += ["-c:v", "libx264", "-preset", PRESET, "-bf", "3", "-forced-idr", "1", "-pix_fmt", "yuv420p"]
        command += ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-c:a", "copy"]
        command += ["-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", str(folder / f"{name}-{index}.ts")]
    return command
