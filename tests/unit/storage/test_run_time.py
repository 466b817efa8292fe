"""A session limit set at run time: kept across restarts until the configuration says something else."""

import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.storage.run_time import KeptSessionLimit


def kept(folder: Path, *, configured: int) -> KeptSessionLimit:
    return KeptSessionLimit(path=folder / "run-time.json", configured=configured)


def test_nothing_was_set(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert kept(tmp_path, configured=10).read() is None
    assert logs == []


def test_a_limit_outlives_a_restart_and_is_private(tmp_path: Path) -> None:
    kept(tmp_path, configured=10).write(25)
    assert kept(tmp_path, configured=10).read() == 25
    assert stat.S_IMODE((tmp_path / "run-time.json").stat().st_mode) == 0o600


def test_a_new_configured_limit_is_the_later_word(tmp_path: Path) -> None:
    kept(tmp_path, configured=10).write(25)
    with capture_logs() as logs:
        assert kept(tmp_path, configured=12).read() is None
    assert [line["event"] for line in logs] == ["session limit of run time dropped"]
    assert kept(tmp_path, configured=10).read() is None, "what was dropped does not come back"


def test_setting_the_configured_limit_ends_it(tmp_path: Path) -> None:
    limits = kept(tmp_path, configured=10)
    limits.write(25)
    limits.write(10)
    limits.write(10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"[" * 4000,
        b'{"version": 2, "max_sessions": 5, "configured": 10}',
        b'{"version": 1, "max_sessions": 0, "configured": 10}',
        b'{"version": 1, "max_sessions": true, "configured": 10}',
        b'{"version": 1, "max_sessions": "5", "configured": 10}',
        b'{"version": 1, "max_sessions": 5.5, "configured": 10}',
        b'{"version": 1, "max_sessions": 1000001, "configured": 10}',
        b'{"version": 1, "max_sessions": 5}',
        b'{"version": 1, "max_sessions": 5, "configured": 10}' + b" " * 5000 + b"x",
    ],
)
def test_a_file_that_makes_no_sense_is_said_and_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run-time.json").write_bytes(content)
    with capture_logs() as logs:
        assert kept(tmp_path, configured=10).read() is None
    assert [line["event"] for line in logs] == ["run-time settings ignored"]


def test_a_link_or_a_folder_is_no_file_of_ours(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    kept(tmp_path, configured=10).write(25)
    (tmp_path / "run-time.json").rename(target)
    (tmp_path / "run-time.json").symlink_to(target)
    with capture_logs():
        assert kept(tmp_path, configured=10).read() is None
    (tmp_path / "run-time.json").unlink()
    (tmp_path / "run-time.json").mkdir()
    with capture_logs():
        assert kept(tmp_path, configured=10).read() is None
