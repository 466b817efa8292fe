import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from baton.kernel.errors import ExitCode, StartError
from baton.storage.data_dir import DataDir

ROOT = Path(__file__).parents[3]
HOLDER = (
    "import sys, pathlib; from baton.storage.data_dir import DataDir\n"
    "held = DataDir.acquire(pathlib.Path(sys.argv[1]))\n"
    "print('held', flush=True); sys.stdin.read()\n"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_and_its_folders_are_private(tmp_path: Path) -> None:
    with DataDir.acquire(tmp_path / "deep" / "data") as data:
        assert data.path == tmp_path / "deep" / "data"
        assert data.work == data.path / "work"
        assert data.token_secrets.parent == data.path
        assert (mode(data.path), mode(data.work), mode(data.path / "lock")) == (0o700, 0o700, 0o600)


def test_a_second_node_is_told_which_process_holds_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        expected = re.escape(f"data directory {tmp_path} is in use by another node (process {holder.pid})")
        with pytest.raises(StartError, match=expected) as refused:
            DataDir.acquire(tmp_path)
        assert refused.value.exit_code is ExitCode.DATA_DIR
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with DataDir.acquire(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_in_its_place_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartError, match=r"data cannot be used: there is a file of this name$") as refused:
        DataDir.acquire(tmp_path / "data")
    assert refused.value.exit_code is ExitCode.DATA_DIR


def test_released_is_free_for_the_next(tmp_path: Path) -> None:
    first = DataDir.acquire(tmp_path)
    first.release()
    first.release()
    DataDir.acquire(tmp_path).release()


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    data = DataDir.acquire(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        data.release()
        DataDir.acquire(tmp_path).release()
        child.communicate(b"\n")


@pytest.mark.parametrize("kind", ["file", "below a file", "dangling link"])
def test_a_place_that_cannot_be_a_directory_is_a_start_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "file" / "nowhere")
    path = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "data", "dangling link": tmp_path / "link"}
    with pytest.raises(StartError, match="cannot be used") as refused:
        DataDir.acquire(path[kind])
    assert refused.value.exit_code is ExitCode.DATA_DIR


def test_a_directory_we_may_not_write_is_a_start_error() -> None:
    with pytest.raises(StartError, match="data directory /proc cannot be used") as refused:
        DataDir.acquire(Path("/proc"))  # not even root may make files there
    assert refused.value.exit_code is ExitCode.DATA_DIR


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"1")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StartError, match="cannot be used"):
        DataDir.acquire(tmp_path)
    assert (tmp_path / "precious").read_bytes() == b"1"


def test_a_directory_others_may_write_is_warned_about(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with capture_logs() as logs, DataDir.acquire(tmp_path):
        pass
    assert [(e["event"], e["mode"]) for e in logs] == [("data directory can be written by others", "0777")]


def test_folders_are_tightened_and_links_in_their_place_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir(mode=0o755)
    (tmp_path / "other").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "other", target_is_directory=True)
    with DataDir.acquire(tmp_path) as data:
        assert mode(data.work) == 0o700
        with pytest.raises(StartError, match="it is a link"):
            data.folder("linked")


def test_a_held_lock_file_with_junk_in_it_still_refuses_politely(tmp_path: Path) -> None:
    with DataDir.acquire(tmp_path):
        (tmp_path / "lock").write_bytes(b"\xff\x00; rm -rf")
        with pytest.raises(StartError, match=r"process unknown"):
            DataDir.acquire(tmp_path)
