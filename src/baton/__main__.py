"""``python -m baton`` and the ``baton`` command: the command line and nothing else."""

from baton.ops.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
