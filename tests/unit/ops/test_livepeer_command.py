"""``baton livepeer`` as a command: help, versions, check, problems and exit codes."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from baton.config.livepeer import SPELLINGS
from baton.kernel.version import NODE_VERSION, VERSION
from baton.ops.cli import group


def call(*args: str, environ: Mapping[str, str] | None = None, home: Path) -> Result:
    clean = {name: None for name in os.environ if name.startswith(("BATON_", "LP_"))}
    return CliRunner().invoke(group, ["livepeer", *args], env={**clean, "HOME": str(home), **(environ or {})})


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help_names_every_flag_that_works(tmp_path: Path, word: str) -> None:
    result = call(word, home=tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    about_the_run = {"config", "version", "orchestrator"}
    for row in SPELLINGS.values():
        assert (f"  -{row.name} " in result.stdout) == (row.works or row.name in about_the_run), row.name
    assert " --" not in result.stdout


@pytest.mark.parametrize("args", [["-version"], ["--version"], ["-orchestrator", "-version=true", "-ethUrl", "x"]])
def test_versions(tmp_path: Path, args: list[str]) -> None:
    result = call(*args, home=tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:2] == [f"Livepeer Node Version: {NODE_VERSION}", f"Baton version: {VERSION}"]
    assert [line.partition(":")[0] for line in lines[2:]] == [
        "Python runtime version",
        "Architecture",
        "Operating system",
    ]


def test_version_by_variable(tmp_path: Path) -> None:
    assert call(environ={"LP_VERSION": "true"}, home=tmp_path).stdout.startswith("Livepeer Node Version: ")


def test_a_line_that_cannot_be_read_has_no_version(tmp_path: Path) -> None:
    result = call("-orchestrator", "-transcoder", "-version", "-nods", "x", home=tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[1:] == ["  - unknown flag -nods; did you mean -nodes?"]


def test_problems_go_to_standard_error_with_code_2(tmp_path: Path) -> None:
    result = call("-orchestrator", "-redeemerAddr", "x", "-monitor=2", home=tmp_path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == "baton: 3 problems with the settings; nothing was started"
    last = result.stderr.splitlines()[-1]
    assert last.startswith("This version is an orchestrator with its own transcoder")
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "moving-from-livepeer.md").read_text("utf-8")
    assert last in " ".join(guide.split())
    assert not (tmp_path / ".lpData").exists()


def test_a_mere_mistake_is_not_told_what_is_missing(tmp_path: Path) -> None:
    result = call("-orchestrator", "-transcoder", "-maxSessions", "x", home=tmp_path)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


def test_check_shows_settings_and_starts_nothing(tmp_path: Path) -> None:
    result = call("-orchestrator", "-transcoder", "-check", environ={"LP_MAXSESSIONS": "4"}, home=tmp_path)
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["max-sessions"] == ["4", "environment", "(LP_MAXSESSIONS)"]
    assert rows["transcoder"] == ["true", "command", "line", "(-transcoder)"]
    assert rows["data-dir"] == [str(tmp_path / ".lpData" / "offchain" / "baton"), "default"]
    assert "-serviceAddr is not set" in result.stderr
    assert not (tmp_path / ".lpData").exists()
