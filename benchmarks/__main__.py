"""Runs the benchmarks one after another: ``python -m benchmarks [NAME...] [--quick] [--json] [--rounds N]``.

Each runs in a process of its own, so that none inherits what another left in memory. With ``--json`` the documents come
as one list. The exit code says only whether all measurements worked, not whether a goal was met.
"""

import argparse
import asyncio
import json
import sys
import time

__all__ = ["MODULES", "main"]

MODULES = {
    "upload": "benchmarks.upload",
    "discovery": "benchmarks.discovery",
    "cost": "benchmarks.node_cost",
    "frames": "benchmarks.segment_path",
}


async def _run(module: str, arguments: list[str], *, keep: bool) -> tuple[int, str]:
    pipe = asyncio.subprocess.PIPE if keep else None
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdout=pipe)
    output, _ = await process.communicate()
    return process.returncode or 0, (output or b"").decode()


def main() -> int:
    """Run what was asked for; 1 when a measurement did not work."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Baton's benchmarks, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODULES)}; all without")
    parser.add_argument("--quick", action="store_true", help="measure less: whether everything runs")
    parser.add_argument("--json", action="store_true", help="one document for machines")
    parser.add_argument("--rounds", type=int, help="how often the sides take turns")
    parser.add_argument("--streams", type=int, nargs="+", help="streams at once, for frames")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MODULES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    arguments = ["--quick"] * options.quick + ["--json"] * options.json
    if options.rounds:
        arguments += ["--rounds", str(options.rounds)]
    if options.streams:
        arguments += ["--streams", *(str(number) for number in options.streams)]
    documents, failed = [], False
    for name in options.names or MODULES:
        started = time.monotonic()
        if not options.json:
            print(f"--- {name}", flush=True)
        code, output = asyncio.run(_run(MODULES[name], arguments, keep=options.json))
        failed = failed or code != 0
        if options.json:
            documents += [json.loads(output)] if not code else []
        else:
            print(f"{name} took {time.monotonic() - started:.0f} s\n", flush=True)
    if options.json:
        print(json.dumps(documents))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
