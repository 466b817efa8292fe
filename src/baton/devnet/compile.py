"""Compiles the contracts of the devnet with the locked solc: ``python -m baton.devnet.compile``. Blocking.

For those who change a contract, and for the test that compares; a running devnet uses the committed artefacts.
"""

import argparse
import json
import subprocess  # node with a script of ours
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from baton.devnet.tools import DevnetError, default_cache, install, node_command

__all__ = ["artefact_text", "compile_contracts", "main"]

_FOLDER = Path(__file__).parent
_TIMEOUT_S = 120.0


def compile_contracts(cache: Path) -> Mapping[str, Mapping[str, Any]]:
    """``abi`` and ``bytecode`` of each contract by name.

    Raises:
        DevnetError: npm or solc cannot be had, or a contract does not compile.
    """
    node, _ = node_command()
    modules = install(cache, compiler=True)
    done = subprocess.run(  # noqa: S603 -- fixed script
        [*node, str(_FOLDER / "node" / "compile.cjs"), str(_FOLDER / "contracts"), str(modules)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise DevnetError(done.stderr)
    contracts: Mapping[str, Mapping[str, Any]] = json.loads(done.stdout)
    return contracts


def artefact_text(contract: Mapping[str, Any]) -> str:
    """How an artefact is kept: sorted, a line per entry of the interface."""
    entries = ",\n    ".join(json.dumps(entry, sort_keys=True) for entry in contract["abi"])
    return f'{{\n  "abi": [\n    {entries}\n  ],\n  "bytecode": "{contract["bytecode"]}"\n}}\n'


def main() -> int:
    """Compare the artefacts with a fresh compilation, or write them."""
    parser = argparse.ArgumentParser(description="Compile the contracts of the devnet.")
    parser.add_argument("--write", action="store_true", help="write the artefacts instead of comparing")
    parser.add_argument("--cache-dir", type=Path, default=default_cache(), help="where solc is kept")
    options = parser.parse_args()
    folder = _FOLDER / "artefacts"
    fresh = {f"{name}.json": artefact_text(entry) for name, entry in compile_contracts(options.cache_dir).items()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    if fresh == kept:
        return 0
    if not options.write:
        stale = sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))
        sys.stderr.write(f"stale, run scripts/contracts: {', '.join(stale)}\n")
        return 1
    folder.mkdir(exist_ok=True)
    for name in kept.keys() - fresh.keys():
        (folder / name).unlink()
    for name, text in fresh.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
