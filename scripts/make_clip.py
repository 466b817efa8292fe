#!/usr/bin/env python3
"""Draw and encode the clip that `baton demo` streams: five moving scenes with hard cuts, and music.

Every picture and every sound is computed here from fixed seeds; nothing is taken from anywhere. The clip is 24 s of
720p30, H.264 High with three B-frames and a key frame every 2 s, with stereo AAC, in MP4. Run it with the Python of
`.venv`; it takes some minutes. The committed clip is the output of one run: another FFmpeg may give other bytes.

Licence of the clip: CC0 1.0 (``src/baton/selftest/media/LICENSE``). Licence of this script: as the rest of Baton.
"""

import argparse
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

WIDTH_PX = 1280
HEIGHT_PX = 720
FPS = 30
SCENE_S = 4.8
SAMPLE_RATE_HZ = 48_000
MAX_CLIP_BYTES = 4_000_000
OUTPUT = Path(__file__).resolve().parent.parent / "src" / "baton" / "selftest" / "media" / "clip.mp4"

Plane = NDArray[np.float32]
Scene = Callable[[float], Plane]

_rows_px, _columns_px = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
_COLUMNS = np.arange(WIDTH_PX, dtype=np.int64)
_TILE_PX = 1024


def fractal(seed: int, roughness: float) -> Plane:
    """Periodic noise of ``_TILE_PX`` squared in 0..1 whose spectrum falls with frequency to the ``roughness``."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(_TILE_PX)[:, None], np.fft.fftfreq(_TILE_PX)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(rng.standard_normal((_TILE_PX, _TILE_PX))) / frequency**roughness
    tile = np.fft.ifft2(spectrum).real
    low, high = float(np.min(tile)), float(np.max(tile))
    return np.asarray((tile - low) / (high - low), dtype=np.float32)


def sample(tile: Plane, y: Plane, x: Plane) -> Plane:
    """Bilinear look-up in a periodic tile."""
    y0, x0 = np.floor(y), np.floor(x)
    fy, fx = y - y0, x - x0
    row, column = y0.astype(np.int64) % _TILE_PX, x0.astype(np.int64) % _TILE_PX
    below, right = (row + 1) % _TILE_PX, (column + 1) % _TILE_PX
    top = tile[row, column] * (1 - fx) + tile[row, right] * fx
    bottom = tile[below, column] * (1 - fx) + tile[below, right] * fx
    return (top * (1 - fy) + bottom * fy).astype(np.float32)


def colour(*rgb: float) -> Plane:
    """One colour that broadcasts over a picture."""
    return np.array(rgb, dtype=np.float32)


def blend(low: Plane, high: Plane, amount: NDArray[np.floating]) -> Plane:
    """From one colour to another, pixel by pixel."""
    mixed = low + (high - low) * np.clip(amount, 0, 1)[..., None]
    return np.asarray(mixed, dtype=np.float32)


def terrain() -> Scene:
    """Fly over hills: each screen column is walked from near to far over a height field."""
    heights = fractal(11, 1.9) ** 1.3 * 150
    texture = fractal(12, 1.1)
    steps = np.geomspace(4, 900, 240).astype(np.float32)[:, None]
    spread = ((_COLUMNS - WIDTH_PX / 2) / WIDTH_PX * 1.3).astype(np.float32)[None, :]
    clouds = fractal(13, 1.7)

    def draw(t: float) -> Plane:
        heading = 0.35 * np.sin(t * 0.7)
        forward, across = np.cos(heading), np.sin(heading)
        north = 90 + t * 42 + steps * (forward - spread * across)
        east = 60 + t * 9 + steps * (across + spread * forward)
        ground = sample(heights, north, east)
        horizon = HEIGHT_PX * 0.36 + 14 * np.sin(t * 1.1) + (_COLUMNS - WIDTH_PX / 2) * 0.06 * np.cos(t * 0.7)
        screen = horizon + (150 + 10 * np.sin(t) - ground) / steps * 620
        skyline = np.clip(np.minimum.accumulate(screen, axis=0), 0, HEIGHT_PX - 1).astype(np.int64)
        counts = np.bincount((skyline * WIDTH_PX + _COLUMNS).ravel(), minlength=HEIGHT_PX * WIDTH_PX)
        above = counts.reshape(HEIGHT_PX, WIDTH_PX)[::-1].cumsum(axis=0)[::-1]
        index = np.minimum(above, len(steps) - 1)
        slope = np.diff(ground, axis=1, append=ground[:, -1:]) / (steps * 0.001 + 0.05)
        light = 0.75 + np.clip(slope * 0.35, -0.45, 0.5)
        grain = sample(texture, north * 2.2, east * 2.2)
        shade = blend(colour(0.16, 0.3, 0.1), colour(0.5, 0.44, 0.3), (ground - 40) / 55 + grain - 0.5)
        shade = blend(shade, colour(0.95, 0.95, 0.98), (ground - 112 + grain * 36) / 14)
        shade *= (light * (0.7 + 0.6 * grain))[..., None]
        haze = np.broadcast_to((steps / 900) ** 0.8, ground.shape).astype(np.float32)
        shade = blend(shade, colour(0.68, 0.78, 0.9), haze)
        picture = shade[index, _COLUMNS[None, :]]
        sky = blend(colour(0.72, 0.82, 0.93), colour(0.2, 0.42, 0.78), 1 - _rows_px / (HEIGHT_PX * 0.42))
        cover = sample(clouds, _rows_px * 1.4 + 30, _columns_px * 0.5 + t * 16 + heading * 500)
        sky = blend(sky, colour(1, 1, 1), (cover - 0.5) * 3)
        return np.where((above >= len(steps))[..., None], sky, picture).astype(np.float32)

    return draw


def sea() -> Scene:
    """A low sun over water: the slope of a sum of waves decides what a pixel mirrors."""
    horizon = HEIGHT_PX * 0.46
    clouds = fractal(21, 1.6)
    depth = 60 / np.maximum(_rows_px - horizon, 0.6)
    waves = [(0.9, 0.5, 1.7), (1.7, -0.8, 2.3), (3.1, 1.3, 3.1), (5.3, -2.9, 4.4), (8.9, 4.7, 5.9)]

    def draw(t: float) -> Plane:
        sun_x = WIDTH_PX * (0.62 - 0.03 * t)
        distance = np.hypot(_columns_px - sun_x, (_rows_px - horizon + 120) * 1.02)
        sky = blend(colour(0.98, 0.62, 0.3), colour(0.22, 0.24, 0.5), 1 - _rows_px / horizon)
        cover = sample(clouds, _rows_px * 2.2, _columns_px * 0.6 + t * 22)
        sky = blend(sky, colour(0.55, 0.27, 0.33), (cover - 0.46) * 3.2)
        sky = blend(sky, colour(1, 0.93, 0.66), np.exp(-((distance / 130) ** 2)) + (distance < 46) * 1.0)
        across = (_columns_px - WIDTH_PX / 2) * depth * 0.022 + t * 0.6
        along = depth * 9
        slope = np.zeros_like(_columns_px)
        for step, skew, speed in waves:
            slope += np.cos(along * step + across * skew + t * speed) / (1 + 0.25 * step)
        fade = np.clip(6 / (depth + 4), 0, 1)
        water = blend(colour(0.05, 0.12, 0.2), colour(0.82, 0.52, 0.34), 0.42 + slope * 0.22 * fade)
        glitter = np.exp(-(((_columns_px - sun_x) / (36 + (_rows_px - horizon) * 0.55)) ** 2)) * np.clip(
            slope - 0.35, 0, 1.4
        )
        water = blend(water, colour(1, 0.9, 0.62), glitter)
        return np.where((_rows_px < horizon)[..., None], sky, water).astype(np.float32)

    return draw


def city() -> Scene:
    """Pass a city at night: rows of houses with lit windows, nearer rows pass faster."""
    rng = np.random.default_rng(31)
    stars = (rng.random((HEIGHT_PX, WIDTH_PX)) > 0.9993).astype(np.float32)
    rows = []
    for layer in range(3):
        count, width_px = 90, 70 + 50 * layer
        tops = HEIGHT_PX * (0.5 + 0.1 * layer) - rng.random(count) * (230 - 40 * layer)
        lit = rng.random((count, 64, 8)) > 0.6
        tint = blend(colour(1, 0.78, 0.42), colour(0.7, 0.86, 1), rng.random(count).astype(np.float32))
        rows.append((width_px, 8 + 5 * layer, 40.0 * 2.6**layer, tops, lit, tint))

    def draw(t: float) -> Plane:
        picture = blend(colour(0.16, 0.13, 0.26), colour(0.02, 0.03, 0.09), 1 - _rows_px / HEIGHT_PX)
        picture += stars[..., None] * 0.8
        for layer, (width_px, pane_px, speed, tops, lit, tint) in enumerate(rows):
            x = _columns_px + t * speed
            house = (x // width_px).astype(np.int64) % len(tops)
            inside = x % width_px
            top = tops[house]
            wall = (_rows_px > top) & (inside > 2)
            floor, pane = (
                ((_rows_px - top) // (pane_px * 2)).astype(np.int64),
                (inside // (pane_px * 2)).astype(np.int64),
            )
            glass = ((_rows_px - top) % (pane_px * 2) > pane_px * 0.7) & (inside % (pane_px * 2) > pane_px * 0.9)
            on = lit[house, np.clip(floor, 0, 63), np.clip(pane, 0, 7)] & glass & (floor >= 0)
            base = colour(0.05, 0.05, 0.1) * (2.4 - 0.8 * layer)
            front = np.where(on[..., None], tint[house] * (0.35 + 0.3 * layer), base)
            picture = np.where(wall[..., None], front, picture).astype(np.float32)
        pole = (_columns_px + t * 1500) % 2300 < 26
        return np.where(pole[..., None], colour(0.01, 0.01, 0.015), picture).astype(np.float32)

    return draw


def forest() -> Scene:
    """Walk past tree trunks in mist, far ones pale and slow, near ones dark and fast."""
    rng = np.random.default_rng(41)
    bark, mist = fractal(42, 1.0), fractal(43, 1.8)
    layers = []
    for layer in range(6):
        count = 26 - 3 * layer
        places = np.sort(rng.random(count)) * (2400 + 500 * layer)
        layers.append((places, 8 + 9 * layer + rng.random(count) * 10, 26.0 * 1.75**layer, rng.random(count)))

    def draw(t: float) -> Plane:
        glow = np.exp(-(np.hypot(_columns_px - WIDTH_PX * 0.4, _rows_px - HEIGHT_PX * 0.25) / 420))
        picture = blend(colour(0.52, 0.62, 0.5), colour(0.98, 0.95, 0.78), glow)
        leaves = sample(bark, _rows_px * 1.3, _columns_px * 1.3 + t * 30)
        picture = blend(picture, colour(0.24, 0.4, 0.18), (leaves - 0.5) * 2.4 * (1 - _rows_px / HEIGHT_PX))
        for layer, (places, widths, speed, lean) in enumerate(layers):
            span = 2400 + 500 * layer
            near = layer / 5
            for place, width, tilt in zip(places, widths, lean, strict=True):
                centre = (place - t * speed) % span - 400 + (tilt - 0.5) * 0.18 * (_rows_px[:, :1] - HEIGHT_PX)
                left = max(int(centre.min() - width), 0)
                right = min(int(centre.max() + width) + 1, WIDTH_PX)
                if left >= right:
                    continue
                part, y = picture[:, left:right], _rows_px[:, left:right]
                offset = (_columns_px[:, left:right] - centre) / width
                trunk = np.abs(offset) < 0.5 + 0.1 * (y / HEIGHT_PX) ** 4
                grain = sample(bark, y * 0.6 + place, offset * width * 3 + place)
                round_light = np.clip(0.9 - np.abs(offset + 0.25), 0.1, 1) * (0.4 + grain)
                wood = (colour(0.34, 0.25, 0.17) * round_light[..., None]).astype(np.float32)
                wood = blend(wood, colour(0.62, 0.69, 0.57), np.full_like(grain, 0.85 - 0.8 * near))
                picture[:, left:right] = np.where(trunk[..., None], wood, part)
            drift = sample(mist, _rows_px * 0.9, _columns_px * 0.4 + t * speed * 0.8 + layer * 200)
            picture = blend(
                picture, colour(0.8, 0.85, 0.74), (drift - 0.45) * 0.5 * (_rows_px / HEIGHT_PX) * (1.2 - near)
            )
        return picture

    return draw


def tunnel() -> Scene:
    """Rush through a winding tunnel whose wall is lit in rings."""
    wall = fractal(51, 1.2)

    def draw(t: float) -> Plane:
        x = _columns_px - WIDTH_PX / 2 - 190 * np.sin(t * 1.3)
        y = _rows_px - HEIGHT_PX / 2 - 90 * np.cos(t * 1.7)
        radius = np.hypot(x, y) + 8
        depth = 9000 / radius
        angle = np.arctan2(y, x) / np.pi * 512 + 60 * np.sin(depth * 0.012 + t)
        relief = sample(wall, depth * 3 + t * 330, angle)
        ring = np.clip(np.sin((depth * 3 + t * 330) * 2 * np.pi / 170) * 14 - 12.6, 0, 1)
        stone = blend(colour(0.1, 0.12, 0.17), colour(0.6, 0.5, 0.42), relief)
        stone = blend(stone, colour(0.45, 0.85, 0.95), ring * 0.75)
        return np.asarray(stone * np.clip(1.25 - depth / 150, 0, 1)[..., None], dtype=np.float32)

    return draw


def frames() -> Iterator[bytes]:
    """All frames in order as packed RGB, with a little sensor grain."""
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((HEIGHT_PX * 2, WIDTH_PX * 2, 1)).astype(np.float32) * 0.006
    for make in (terrain, city, sea, forest, tunnel):
        draw = make()
        for number in range(round(SCENE_S * FPS)):
            picture = draw(number / FPS)
            y, x = rng.integers(0, HEIGHT_PX), rng.integers(0, WIDTH_PX)
            picture = picture + noise[y : y + HEIGHT_PX, x : x + WIDTH_PX]
            yield (np.clip(picture, 0, 1) * 255).astype(np.uint8).tobytes()
        print(f"drew {make.__name__}", flush=True)


def music(path: Path, seconds: float) -> None:
    """Plucked chords over a bass with a soft beat, as a stereo WAV file."""
    total = np.zeros((int(seconds * SAMPLE_RATE_HZ), 2))
    rng = np.random.default_rng(2)

    def add(start_s: float, tone: NDArray[np.float64], pan: float) -> None:
        first = int(start_s * SAMPLE_RATE_HZ)
        part = tone[: max(len(total) - first, 0)]
        total[first : first + len(part)] += part[:, None] * np.array([1 - pan, pan])

    def pluck(semitone: int, length_s: float, loudness: float) -> NDArray[np.float64]:
        time = np.arange(int(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        pitch = 220 * 2 ** (semitone / 12) * 2 * np.pi * time
        tone = sum(np.sin(pitch * k) * np.exp(-time * (2.5 + 1.5 * k)) / k for k in range(1, 7))
        return np.asarray(tone * np.minimum(time * 300, 1) * loudness)

    def hat(loudness: float) -> NDArray[np.float64]:
        time = np.arange(int(0.08 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        return np.asarray(np.diff(rng.standard_normal(len(time)), prepend=0) * np.exp(-time * 70) * loudness)

    chords = ((0, 3, 7, 12), (-4, 0, 3, 8), (3, 7, 10, 15), (-2, 2, 5, 10))
    beat_s = 0.3
    for beat in range(int(seconds / beat_s)):
        chord = chords[beat // 8 % len(chords)]
        add(beat * beat_s, pluck(chord[(beat * 3) % 4] + 12 * (beat % 3 == 0), 1.4, 0.16), 0.3 + 0.4 * (beat % 2))
        add(beat * beat_s, hat(0.05 if beat % 2 else 0.02), 0.5)
        if beat % 4 == 0:
            add(beat * beat_s, pluck(chord[0] - 24, 1.8, 0.4), 0.5)
    total *= 0.8 / np.abs(total).max()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((total * 32767).astype("<i2").tobytes())


def main() -> int:
    """Draw, encode, and refuse a clip that is too large for the repository."""
    parser = argparse.ArgumentParser(description="Draw and encode the demo clip.")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "music.wav"
        music(sound, SCENE_S * 5)
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-hide_banner", "-loglevel", "warning",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH_PX}x{HEIGHT_PX}", "-r", str(FPS), "-i", "-",
            "-i", str(sound), "-map", "0:v", "-map", "1:a",
            "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
            "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
            "-c:v", "libx264", "-profile:v", "high", "-preset", "veryslow", "-b:v", "940k", "-maxrate", "1800k",
            "-bufsize", "3600k", "-bf", "3", "-g", str(2 * FPS), "-sc_threshold", "0", "-flags", "+cgop",
            "-c:a", "aac", "-b:a", "128k", "-ar", str(SAMPLE_RATE_HZ),
            "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", str(output),
        ]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
            assert encoder.stdin is not None  # noqa: S101  # a pipe was asked for
            for frame in frames():
                encoder.stdin.write(frame)
            encoder.stdin.close()
        size = output.stat().st_size
    print(f"{output}: {size} bytes")
    return encoder.returncode or int(size > MAX_CLIP_BYTES)


if __name__ == "__main__":
    sys.exit(main())
