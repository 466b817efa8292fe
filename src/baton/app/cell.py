"""The cell of this node's engine children, from its settings, its data directory and what the kernel has."""

import shutil

import structlog

from baton.config.model import SandboxMode, Settings
from baton.kernel.errors import ExitCode, StartError
from baton.media.sandbox import Cell, offered, trees_of_the_interpreter
from baton.storage.data_dir import DataDir

__all__ = ["engine_cell"]

log = structlog.get_logger("baton.app")

_TEMP = "engine-temp"


def engine_cell(settings: Settings, data_dir: DataDir) -> Cell | None:
    """What engine children are left with, their temp folder emptied; None for everything. Blocking.

    Raises:
        StartError: ``ExitCode.ENGINE``: a cell is required, and this kernel cannot close it, or secrets lie within.
    """
    engine = settings.engine
    if engine.sandbox is SandboxMode.OFF:
        log.warning("engine children are in no cell", meaning="a codec's fault may cost the node's files and keys")
        return None
    lacking = offered().lacking
    if lacking and engine.sandbox is SandboxMode.REQUIRE:
        message = f"--engine-sandbox is require, but on this kernel an engine child could {lacking}"
        raise StartError(message, exit_code=ExitCode.ENGINE)
    if lacking:
        log.warning(
            "cell of engine children is incomplete", they_could=lacking, remedy="a kernel with Landlock, 6.12 on"
        )
    temp = data_dir.folder(_TEMP)
    shutil.rmtree(temp, ignore_errors=True)
    shielded = (data_dir.path, settings.key.keystore_file, settings.port.private_key_file)
    secret = tuple(path for path in shielded if path is not None)
    cell = Cell(
        readable=(*trees_of_the_interpreter(unless_above=secret), *engine.paths),
        named=(str(data_dir.work),),
        writable=(str(data_dir.folder(_TEMP)),),
        # A library that a child could change is one that the node may load.
        devices=tuple(path for path in engine.paths if path.startswith("/dev/")),
    )
    shown = [str(path) for path in secret if cell.shows(path)]
    if shown and engine.sandbox is SandboxMode.REQUIRE:
        message = f"--engine-sandbox is require, but engine children must read the folders around {', '.join(shown)}"
        raise StartError(message, exit_code=ExitCode.ENGINE)
    if shown:
        log.warning("cell of engine children holds secrets", paths=shown, remedy="move them out of program folders")
    return cell
