"""The cell that a node makes for its engine children: what it names, and what a kernel without it means."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.app import cell as cell_module
from baton.app.cell import engine_cell
from baton.config.load import load
from baton.config.model import Settings
from baton.kernel.errors import ExitCode, StartError
from baton.media.sandbox import Offered
from baton.storage.data_dir import DataDir

WHOLE, NOTHING = Offered(7, seccomp=True), Offered(0, seccomp=False)


def settings(folder: Path, *words: str) -> Settings:
    return load(["--data-dir", str(folder), *words], environ={}, home=folder, directory=folder).settings


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(cell_module, "offered", lambda: WHOLE)
    return monkeypatch


def test_children_get_the_spool_by_name_and_an_empty_temp_folder(kernel: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del kernel
    (tmp_path / "engine-temp" / "left").mkdir(parents=True)
    with DataDir.acquire(tmp_path) as data_dir:
        cell = engine_cell(settings(tmp_path, "--engine-paths", "/dev/dri,/dev/mine*,/opt/codecs"), data_dir)
    assert cell is not None
    assert cell.named == (str(tmp_path / "work"),)
    assert cell.writable == (str(tmp_path / "engine-temp"),)
    assert cell.devices == ("/dev/dri", "/dev/mine*"), "a folder of programs is read, not written"
    assert {"/opt/codecs", "/dev/dri"} <= set(cell.readable)
    assert list((tmp_path / "engine-temp").iterdir()) == []
    assert (tmp_path / "engine-temp").stat().st_mode & 0o777 == 0o700
    assert not any(tmp_path.is_relative_to(tree) for tree in cell.readable)


def test_a_kernel_that_lacks_something_is_told_once_and_the_rest_is_kept(
    kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel.setattr(cell_module, "offered", lambda: NOTHING)
    with DataDir.acquire(tmp_path) as data_dir, capture_logs() as logs:
        assert engine_cell(settings(tmp_path), data_dir) is not None
    assert [(line["event"], line["they_could"]) for line in logs] == [
        ("cell of engine children is incomplete", NOTHING.lacking)
    ]


def test_a_required_cell_that_cannot_be_closed_keeps_the_node_from_starting(
    kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    required = settings(tmp_path, "--engine-sandbox", "require")
    with DataDir.acquire(tmp_path) as data_dir:
        assert engine_cell(required, data_dir) is not None
        kernel.setattr(cell_module, "offered", lambda: NOTHING)
        with pytest.raises(StartError, match="could read and write the node's files") as refused:
            engine_cell(required, data_dir)
    assert refused.value.exit_code is ExitCode.ENGINE


def test_a_key_among_programs_is_said_and_no_required_cell(kernel: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del kernel
    programs = tmp_path / "programs"
    words = ("--engine-paths", str(programs))
    with DataDir.acquire(programs / "data") as data_dir:
        with capture_logs() as logs:
            assert engine_cell(settings(programs / "data", *words), data_dir) is not None
        assert [line["event"] for line in logs] == ["cell of engine children holds secrets"]
        with pytest.raises(StartError, match="must read the folders around"):
            engine_cell(settings(programs / "data", *words, "--engine-sandbox", "require"), data_dir)


def test_no_cell_is_a_warning(kernel: pytest.MonkeyPatch, tmp_path: Path) -> None:
    del kernel
    with DataDir.acquire(tmp_path) as data_dir, capture_logs() as logs:
        assert engine_cell(settings(tmp_path, "--engine-sandbox", "off"), data_dir) is None
    assert [(line["event"], line["log_level"]) for line in logs] == [("engine children are in no cell", "warning")]
