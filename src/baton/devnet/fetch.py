"""Fetches what the tests of the devnet need before they run: ``python -m baton.devnet.fetch``. Blocking."""

import argparse
import sys
from pathlib import Path

from baton.devnet.tools import DevnetError, anvil_program, default_cache, install, node_command

__all__ = ["main"]


def main() -> int:
    """Install anvil and solc unless they are there. Without npm it says so, and that is no failure."""
    parser = argparse.ArgumentParser(description="Fetch anvil and solc.")
    parser.add_argument("--cache-dir", type=Path, default=default_cache(), help="where they are kept")
    cache: Path = parser.parse_args().cache_dir
    try:
        node_command()
    except DevnetError as error:
        sys.stderr.write(f"{error}\n")
        return 0
    try:
        anvil_program(cache)
        install(cache, compiler=True)
    except DevnetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
