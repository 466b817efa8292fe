"""Commands that documents tell people to type exist, with the options they are given."""

import re
import subprocess
import sys
from functools import cache

import pytest

from baton.kernel.errors import ExitCode
from tests.architecture.source import ROOT, tracked_files

DOCUMENTS = tuple(path for path in tracked_files() if path.suffix == ".md" and path.parent.name != "adr")


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "baton", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documented() -> set[tuple[str, tuple[str, ...]]]:
    """Commands with their options, from code blocks and from words in backticks."""
    found: set[tuple[str, tuple[str, ...]]] = set()
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        typed = re.findall(r"^(?:\.venv/bin/)?baton ([a-z]+)(.*)$", text, re.MULTILINE)
        typed += re.findall(r"`baton ([a-z]+)([^`\n]*)`", text)
        found |= {(command, tuple(re.findall(r"--[a-z][a-z-]+", rest))) for command, rest in typed}
    return found


@pytest.mark.parametrize(("command", "options"), sorted(documented()), ids=str)
def test_documented_command_exists_with_its_options(command: str, options: tuple[str, ...]) -> None:
    text = help_of(command)
    assert {option for option in options if not re.search(rf"{option}\b(?!-)", text)} == set()


def test_documents_do_name_commands() -> None:
    assert {command for command, _ in documented()} >= {"run", "status", "probe", "demo", "drain"}


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert named <= targets


@pytest.mark.parametrize("guide", ["lifecycle.md", "troubleshooting.md"])
def test_guides_explain_every_exit_code(guide: str) -> None:
    text = (ROOT / "docs" / "guide" / guide).read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert {*map(int, ExitCode)} - {ExitCode.OK} <= told
