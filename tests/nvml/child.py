"""A process with the real adapter in it: reads calls on standard input, writes what they give on standard output.

The library is the one that the loader finds by LD_LIBRARY_PATH, as in production; that is why it is a process.
"""

import asyncio
import os
import pickle
import sys

from baton.devices.model import InventoryError
from baton.devices.nvml import NvmlInventory
from baton.kernel.clock import SystemClock


async def main(*, open_timeout_s: float, read_timeout_s: float) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # log lines go where errors go
    inventory = NvmlInventory(clock=SystemClock(), open_timeout_s=open_timeout_s, read_timeout_s=read_timeout_s)
    while True:
        try:
            # The other end is the test that started this process.
            name, arguments = await asyncio.to_thread(pickle.load, sys.stdin.buffer)
        except EOFError:
            return
        try:
            value, trouble = await getattr(inventory, name)(*arguments), None
        except InventoryError as error:
            value, trouble = None, (error.trouble, str(error))
        pickle.dump((value, trouble), answers)
        answers.flush()


if __name__ == "__main__":
    asyncio.run(main(open_timeout_s=float(sys.argv[1]), read_timeout_s=float(sys.argv[2])))
