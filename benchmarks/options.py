"""What every benchmark takes on its command line, and how it hands its figures over.

``--quick`` measures less, for a look at whether everything runs; ``--json`` prints one document instead of a table.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from benchmarks.machine import describe, load

__all__ = ["Options", "report"]


@dataclass(frozen=True, slots=True)
class Options:
    """How much to measure and how to print it."""

    quick: bool
    as_json: bool
    wanted_rounds: int | None
    streams: tuple[int, ...]

    @classmethod
    def parse(cls, description: str, arguments: Sequence[str] | None = None) -> Self:
        """From the command line."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--quick", action="store_true", help="measure less")
        parser.add_argument("--json", action="store_true", help="one document for machines")
        parser.add_argument("--rounds", type=int, help="how often the sides take turns")
        parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8], help="streams at once")
        chosen = parser.parse_args(arguments)
        return cls(quick=chosen.quick, as_json=chosen.json, wanted_rounds=chosen.rounds, streams=tuple(chosen.streams))

    def rounds(self, usual: int) -> int:
        """How often the sides take turns: what was asked for, else ``usual``, one when quick."""
        return self.wanted_rounds or (1 if self.quick else usual)

    def say(self, line: str) -> None:
        """A line for people, who want to see that it goes on."""
        if not self.as_json:
            print(line, flush=True)


def report(
    options: Options, name: str, *, rows: Sequence[dict[str, object]] = (), skipped: str = "", **more: object
) -> int:
    """Print the document, or where it was measured; returns the exit code of a benchmark that did its work."""
    if options.as_json:
        document = {"benchmark": name, "machine": describe(), "load": load(), "skipped": skipped, "rows": list(rows)}
        print(json.dumps({**document, **more}))
    elif skipped:
        print(f"{name}: not measured: {skipped}")
    else:
        machine = ", ".join(f"{key} {value}" for key, value in describe().items())
        print(f"{machine}; load average at the end {load():.1f}")
    return 0
