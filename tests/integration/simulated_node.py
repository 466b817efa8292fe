"""``baton run`` on simulated devices: the real program with other devices than this machine has.

python -m tests.integration.simulated_node FOLDER NAME,NAME --data-dir … further options of ``baton run``
"""

import os
import sys
from pathlib import Path

from baton import app
from baton.config.argv import read_command_line
from baton.config.load import Loaded, load
from baton.kernel.errors import StartError
from baton.ops.logs import configure_logging
from tests.media.simulating import QUICK_RULES, SimulatedDevice

__all__ = ["main"]


def main(folder: str, names: str, *words: str) -> int:
    """Run the node to its end; returns its exit code."""
    devices = [SimulatedDevice(Path(folder) / name, name) for name in names.split(",")]

    def read() -> Loaded:
        return load(read_command_line(words), environ=os.environ, home=Path.home(), directory=Path.cwd())

    loaded = read()
    configure_logging(loaded.settings.logs)
    try:
        return app.run(loaded, read, devices=tuple(d.as_engine_device for d in devices), rules=QUICK_RULES)
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
