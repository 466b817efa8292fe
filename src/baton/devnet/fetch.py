"""Fetches what a devnet needs before it is started: ``python -m baton.devnet.fetch``. Blocking."""

import argparse
import sys
from pathlib import Path

from baton.devnet.tools import DevnetError, anvil_program, default_cache, install, node_command

__all__ = ["main"]


def main() -> int:
    """Install anvil, and solc for its tests, unless they are there. Without npm it says so, and that is no failure."""
    parser = argparse.ArgumentParser(description="Fetch anvil and solc.")
    parser.add_argument("--cache-dir", type=Path, default=default_cache(), help="where they are kept")
    parser.add_argument("--no-compiler", action="store_true", help="anvil alone, as the demo needs it")
    arguments = parser.parse_args()
    cache: Path = arguments.cache_dir
    try:
        node_command()
    except DevnetError as error:
        sys.stderr.write(f"{error}\n")
        return 0
    try:
        anvil_program(cache)
        if not arguments.no_compiler:
            install(cache, compiler=True)
    except DevnetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
