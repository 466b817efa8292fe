"""An engine whose device can be broken and mended while its children run: a folder stands for the device.

Runs inside real engine children; their environment names the folder. The file ``mode`` in it says what the device does
to whatever uses it: ``fine``, ``slow``, ``crash``, ``lost`` (its context is gone), ``hang`` or ``dumb`` (the probe
passes and all work fails). Content that begins with ``poison`` kills on any device. Streams are kept until they are let
go of; traces of everything are left in the folder for tests to wait for.
"""

import ctypes
import os
import time
from pathlib import Path

from baton.kernel.errors import Text, TranscodeError
from baton.media.job import EncoderTuning, EngineReport, RenditionOutput, TranscodeOutput, TranscodeRequest

__all__ = ["FOLDER", "probe", "release", "transcode"]

FOLDER = "SIMULATED_DEVICE"
"""The variable that names the device's folder."""

_CAPABILITIES = (*range(13), 26)


def transcode(request: TranscodeRequest) -> TranscodeOutput:
    content = Path(request.input_path).read_bytes()
    _note(f"begin {request.session_key}")
    if content.startswith(b"poison"):
        ctypes.string_at(0)
    mode = _mode()
    _suffer("lost" if mode == "dumb" else mode)
    _kept(request.session_key).touch()
    renditions = tuple(
        RenditionOutput(data=bytes(1000), pixels=p.width * p.height, frames=1, width=p.width, height=p.height)
        for p in request.profiles
    )
    _note(f"done {request.session_key}")
    return TranscodeOutput(renditions=renditions, decoded_px=1, decoded_frames=1, engine_ms=1)


def probe(tuning: EncoderTuning) -> EngineReport:
    del tuning
    _note("probe")
    if _mode() != "dumb":
        _suffer(_mode())
    return EngineReport(
        capability_ids=_CAPABILITIES, refused=(), engine="simulated", encoders=("h264_sim",), decoders=("h264",)
    )


def release(session_key: str) -> None:
    _kept(session_key).unlink(missing_ok=True)
    _note(f"release {session_key}")


def _suffer(mode: str) -> None:
    if mode == "crash":
        ctypes.string_at(0)
    if mode == "lost":
        raise TranscodeError(Text.UNRECOVERABLE, detail="the context is gone")
    while mode == "hang":
        time.sleep(0.05)
    if mode == "slow":
        time.sleep(1.0)


def _device() -> Path:
    return Path(os.environ[FOLDER])


def _mode() -> str:
    return (_device() / "mode").read_text(encoding="ascii").strip()


def _kept(session_key: str) -> Path:
    return _device() / f"kept-{os.getpid()}-{session_key}"


def _note(what: str) -> None:
    with (_device() / "log").open("a", encoding="ascii") as log:
        log.write(f"{os.getpid()} {what}\n")
