"""A machine with cards as a test wants it: the real adapter in a process before a driver library of our own.

The library is compiled once for a test session. It is found the way the loader finds any: by the folders of
LD_LIBRARY_PATH of the process.
"""

import asyncio
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from baton.devices.model import Device, InventoryError, Reading, Survey

__all__ = ["Card", "NvmlMachine", "compile_library", "needs_compiler"]

SOURCE = Path(__file__).with_name("library.c")
ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("cc") or shutil.which("gcc")


def needs_compiler() -> str:
    if COMPILER is None:
        pytest.skip("a C compiler is not installed")
    return COMPILER


def compile_library(folder: Path, *defines: str) -> Path:
    """The folder that holds ``libnvidia-ml.so.1``."""
    command = [needs_compiler(), "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", *(f"-D{name}" for name in defines)]
    made = folder / f"library.{os.getpid()}"
    done = subprocess.run([*command, "-o", str(made), str(SOURCE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    made.rename(folder / "libnvidia-ml.so.1")
    return folder


@dataclass(frozen=True)
class Card:
    """One card. ``facts`` are lines of the script without the index; what is not there the card does not tell."""

    uuid: str
    facts: tuple[tuple[str, str | bytes], ...] = ()

    def lines(self, index: int) -> Iterable[bytes]:
        for key, value in (("uuid", self.uuid), *self.facts):
            yield f"{index}.{key} ".encode() + (value.encode() if isinstance(value, str) else value)


def _environment(library: Path | None, script: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "NVML_"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "NVML_SCRIPT": str(script)}
    return environment | ({"LD_LIBRARY_PATH": str(library)} if library is not None else {})


@dataclass
class NvmlMachine:
    """The machine, and the inventory of it. Satisfies ``DeviceInventory``."""

    folder: Path
    library: Path | None
    read_timeout_s: float = 5.0
    open_timeout_s: float = 10.0
    _rules: dict[str, str] = field(default_factory=dict)
    _cards: tuple[Card, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    @property
    def script(self) -> Path:
        return self.folder / "script.txt"

    def put(self, *cards: Card) -> None:
        """These cards are in the machine from now on."""
        self._cards = cards
        self._write()

    def rule(self, **rules: str | None) -> None:
        """Rules of the script by key, dots written as double underscores; None takes one back."""
        for key, value in rules.items():
            name = key.replace("__", ".").removeprefix("card")
            if value is None:
                self._rules.pop(name, None)
            else:
                self._rules[name] = value
        self._write()

    def _write(self) -> None:
        lines = [f"count {len(self._cards)}".encode()]
        lines += [line for index, card in enumerate(self._cards) for line in card.lines(index)]
        lines += [f"{key} {value}".encode() for key, value in self._rules.items()]
        fresh = self.script.with_suffix(".new")
        fresh.write_bytes(b"\n".join([*lines, b""]))
        fresh.replace(self.script)

    async def survey(self) -> Survey:
        return cast("Survey", await self._call("survey"))

    async def read(self, devices: Sequence[Device]) -> tuple[Reading | None, ...]:
        return cast("tuple[Reading | None, ...]", await self._call("read", tuple(devices)))

    async def close(self) -> None:
        await self._call("close")

    async def end(self, *, deadline_s: float = 10.0) -> int:
        """Let the process end by itself; its exit code."""
        process = self._started()
        assert process.stdin is not None
        process.stdin.close()
        return await asyncio.to_thread(process.wait, deadline_s)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            if not self.script.exists():
                self._write()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nvml.child", str(self.open_timeout_s), str(self.read_timeout_s)],
                cwd=ROOT,
                env=_environment(self.library, self.script),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._process

    async def _call(self, name: str, *arguments: object) -> Any:
        value, trouble = await asyncio.to_thread(self._exchange, (name, arguments))
        if trouble is not None:
            raise InventoryError(*trouble)
        return value

    def _exchange(self, request: tuple[str, tuple[object, ...]]) -> Any:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump(request, process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)  # noqa: S301 -- our own process, started by this test
