"""The watch over skipped tests really bites: a run with an unlisted skip fails where CI=true."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import AllowedSkips, Skip

ROOT = Path(__file__).resolve().parents[3]


def load(tmp_path: Path, text: str) -> AllowedSkips:
    file = tmp_path / "allowed.toml"
    file.write_text(text)
    return AllowedSkips.load(file, environments={"here": lambda: True, "elsewhere": lambda: False})


def test_reason_listed_for_this_environment_is_allowed(tmp_path: Path) -> None:
    allowed = load(tmp_path, '[here]\nreasons = ["needs a GPU*"]\ntests = ["tests/x.py::*"]')
    assert allowed.allows(Skip(test_id="tests/a.py::b", reason="needs a GPU of ours"))
    assert allowed.allows(Skip(test_id="tests/x.py::b", reason="whatever"))
    assert not allowed.allows(Skip(test_id="tests/a.py::b", reason="is slow"))


def test_reason_listed_for_another_environment_is_not_allowed(tmp_path: Path) -> None:
    allowed = load(tmp_path, '[elsewhere]\nreasons = ["*"]')
    assert not allowed.allows(Skip(test_id="tests/a.py::b", reason="needs a GPU"))


@pytest.mark.parametrize("text", ["[nowhere]\nreasons = []", '[here]\nreason = ["*"]'])
def test_words_that_mean_nothing_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="unknown"):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("ci", "body", "code"),
    [
        ("true", "pytest.skip('too tired')", 1),
        ("", "pytest.skip('too tired')", 0),
        ("true", "pass", 0),
    ],
)
@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_unlisted_skip_fails_the_run_only_in_ci(
    tmp_path: Path, ci: str, body: str, code: int, workers: list[str]
) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "test_inner.py").write_text(f"import pytest\ndef test_inner():\n    {body}\n")
    plugin = "import tests.conftest as ours\npytest_configure = ours.pytest_configure\n"
    (folder / "conftest.py").write_text(plugin)
    environment = {**os.environ, "CI": ci, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    options = ["-c", "/dev/null", "--rootdir", str(folder), "-p", "no:cacheprovider", "-q", *workers]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == code, done.stdout
    assert ("too tired" in done.stdout) is ("tired" in body)
