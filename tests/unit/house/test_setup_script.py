"""Set-up in a copy of the checkout, with an installer that only writes down what it was asked to install."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
INSTALLER = """#!/usr/bin/env bash
echo "$@" >>"$UV_NOTES"
case "$*" in *--editable*) touch .venv/bin/baton && chmod +x .venv/bin/baton ;; esac
"""


class Checkout:
    """A copy of what set-up reads, and the notes of the installer."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.root.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in (*LOCKS, "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        tools = folder / "tools"
        tools.mkdir()
        (tools / "uv").write_text(INSTALLER)
        (tools / "uv").chmod(0o755)
        self.notes = folder / "notes"
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{tools}:/usr/bin:/bin",
            "UV_NOTES": str(self.notes),
            "BATON_PYTHON": os.path.realpath(sys.executable),
        }

    def setup(self, *options: str, code: int = 0, **environment: str) -> str:
        """Run the script from elsewhere; returns what it said."""
        done = subprocess.run(
            [str(self.root / "scripts" / "setup"), *options],
            cwd="/",
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def installed(self) -> list[str]:
        """What the installer was asked for since the last call."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return lines


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("setup"))
    made.setup()
    return made


@pytest.fixture(autouse=True)
def _known_state(checkout: Checkout) -> None:
    """Complete and quiet before each test, whatever the one before did."""
    shutil.copy(ROOT / "requirements.lock", checkout.root / "requirements.lock")
    (checkout.root / ".venv" / ".baton-setup").unlink()
    checkout.setup()
    checkout.installed()


def test_packages_come_from_the_lock_with_hashes_and_baton_without_its_own(checkout: Checkout) -> None:
    (checkout.root / ".venv" / ".baton-setup").unlink()
    checkout.setup()
    packages, baton = checkout.installed()
    assert "--require-hashes -r requirements.lock -r requirements-build.lock" in packages
    assert "--no-build-isolation --no-deps --editable ." in baton


def test_nothing_happens_when_nothing_changed(checkout: Checkout) -> None:
    started = time.monotonic()
    assert "nothing to do" in checkout.setup()
    assert checkout.installed() == []
    assert time.monotonic() - started < 5


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    with (checkout.root / "requirements.lock").open("a") as lock:
        lock.write("\n")
    checkout.setup()
    assert len(checkout.installed()) == 2


def test_tools_of_developers_stay_once_they_are_there(checkout: Checkout) -> None:
    checkout.setup("--dev")
    assert "-r requirements-dev.lock" in checkout.installed()[0]
    assert "nothing to do" in checkout.setup()
    with (checkout.root / "requirements.lock").open("a") as lock:
        lock.write("\n")
    checkout.setup()
    assert "-r requirements-dev.lock" in checkout.installed()[0]


def test_an_active_environment_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.root / ".venv" / ".baton-setup").unlink()
    checkout.setup(VIRTUAL_ENV=str(tmp_path), PYTHONPATH=str(tmp_path), PIP_TARGET=str(tmp_path))
    assert all("--python .venv/bin/python" in line for line in checkout.installed())
    assert list(tmp_path.iterdir()) == []


def test_an_environment_without_a_working_python_is_made_anew(checkout: Checkout) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert "making .venv" in checkout.setup()
    assert len(checkout.installed()) == 2


def test_an_interrupted_set_up_is_done_again(checkout: Checkout) -> None:
    (checkout.root / ".venv" / "bin" / "baton").unlink()
    checkout.setup()
    assert len(checkout.installed()) == 2


def test_unknown_option_is_an_error_and_help_is_not(checkout: Checkout) -> None:
    assert "unknown option" in checkout.setup("--everything", code=2)
    assert "--dev" in checkout.setup("--help")
    assert checkout.installed() == []
