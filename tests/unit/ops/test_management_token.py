"""The operator's token: made once, private, replaced when it could have leaked."""

import os
import stat
from pathlib import Path

from baton.ops.token import TOKEN_FILE, ensure_token, read_token


def test_made_once_with_0600_and_kept(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        token = ensure_token(tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    assert len(token) >= 40
    assert ensure_token(tmp_path) == token == read_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]


def test_one_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    token = ensure_token(tmp_path)
    (tmp_path / TOKEN_FILE).chmod(0o640)
    fresh = ensure_token(tmp_path)
    assert fresh != token
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600


def test_a_link_a_pipe_and_junk_are_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a" * 43)
    (tmp_path / TOKEN_FILE).symlink_to(tmp_path / "elsewhere")
    assert read_token(tmp_path) is None
    assert ensure_token(tmp_path) != "a" * 43
    assert (tmp_path / "elsewhere").read_text() == "a" * 43
    (tmp_path / TOKEN_FILE).unlink()
    os.mkfifo(tmp_path / TOKEN_FILE)
    assert read_token(tmp_path) is None
    assert read_token(tmp_path / "nowhere") is None
    for junk in (b"", b"short", b"\xff" * 50, b"a\x00" * 40):
        (tmp_path / TOKEN_FILE).unlink()
        (tmp_path / TOKEN_FILE).write_bytes(junk)
        (tmp_path / TOKEN_FILE).chmod(0o600)
        assert read_token(tmp_path) is None
        assert len(ensure_token(tmp_path)) >= 40
