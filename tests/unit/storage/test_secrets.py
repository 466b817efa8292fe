import asyncio
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from baton.jobs.tokens import TOKEN_LIFETIME_S, TokenKeys, TokenMint
from baton.kernel.clock import ManualClock
from baton.kernel.errors import ExitCode, StartError
from baton.storage import secret_ring
from baton.storage.secrets import OVERLAP_S, ROTATE_AFTER_S, TokenSecrets
from tests.support import eventually, run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token-secrets.json"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_start_makes_a_private_file_and_a_restart_keeps_the_secret(path: Path) -> None:
    clock = ManualClock()
    first = TokenSecrets.load(path, clock=clock)
    assert len(first.current) == 32
    assert mode(path) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    clock.advance(3600)
    assert TokenSecrets.load(path, clock=clock).current == first.current


def test_two_nodes_have_different_secrets(tmp_path: Path) -> None:
    clock = ManualClock()
    assert (
        TokenSecrets.load(tmp_path / "a", clock=clock).current != TokenSecrets.load(tmp_path / "b", clock=clock).current
    )


def test_a_stream_goes_on_over_rotation_and_restart_until_its_token_ends(path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        keys = TokenSecrets.load(path, clock=clock)
        port: TokenKeys = keys
        clock.advance(ROTATE_AFTER_S - 1)
        assert not await keys.rotate_if_due()
        token = TokenMint(keys=port, clock=clock).issue(caller="gateway")
        clock.advance(1)
        assert await keys.rotate_if_due()
        assert not await keys.rotate_if_due()
        later = TokenMint(keys=keys, clock=clock)
        assert later.require(token) == token
        assert later.obtained_by(token.session_id, "gateway")
        clock.advance(TOKEN_LIFETIME_S - 2)
        restarted = TokenMint(keys=TokenSecrets.load(path, clock=clock), clock=clock)
        assert restarted.require(token) == token
        assert later.issue(caller="gateway").token != token.token
        clock.advance(OVERLAP_S)
        assert not restarted.matches(token)

    run(story())


def test_old_secrets_do_not_pile_up(path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        keys = TokenSecrets.load(path, clock=clock)
        for _ in range(30):
            clock.advance(ROTATE_AFTER_S)
            assert await keys.rotate_if_due()
            assert len(keys.acceptable(clock.now())) == 2
        assert len(json.loads(path.read_bytes())["secrets"]) == 2
        assert mode(path) == 0o600

    run(story())


def test_a_file_others_could_read_is_closed_and_its_secret_retired(path: Path) -> None:
    clock = ManualClock()
    exposed = TokenSecrets.load(path, clock=clock)
    token = TokenMint(keys=exposed, clock=clock).issue(caller="gateway")
    path.chmod(0o644)
    with capture_logs() as logs:
        again = TokenSecrets.load(path, clock=clock)
    assert [(e["event"], e["log_level"]) for e in logs] == [("secrets could be read by others", "warning")]
    assert exposed.current.hex() not in str(logs)
    assert mode(path) == 0o600
    assert again.current != exposed.current
    assert TokenMint(keys=again, clock=clock).require(token) == token


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"{}",
        b"[]",
        b"null",
        b'{"version":2,"secrets":[]}',
        b'{"version":1,"secrets":[]}',
        b'{"version":1,"secrets":[{"secret":"00","created_at":0,"retired_at":null}]}',
        b'{"version":1,"secrets":[{"secret":"%s","created_at":0,"retired_at":5}]}' % (b"ab" * 32),
        b'{"version":1,"secrets":[{"secret":"%s","created_at":"x","retired_at":null}]}' % (b"ab" * 32),
        b'{"version":1,"secrets":[{"secret":"%s","created_at":%s,"retired_at":null}]}' % (b"ab" * 32, b"9" * 400),
        b'{"version":1,"secrets":{}}',
        b"[" * 60_000,
        b" " * 70_000,
    ],
)
def test_a_file_that_makes_no_sense_is_set_aside_and_the_node_starts(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)
    with capture_logs() as logs:
        keys = TokenSecrets.load(path, clock=ManualClock())
    assert [e["log_level"] for e in logs] == ["warning"]
    assert len(keys.current) == 32
    assert path.with_name("token-secrets.json.unreadable").read_bytes() == content
    assert TokenSecrets.load(path, clock=ManualClock()).current == keys.current


@given(
    content=st.binary(max_size=200)
    | st.recursive(st.none() | st.floats() | st.text(max_size=5), st.lists).map(
        lambda v: json.dumps({"version": 1, "secrets": v}).encode()
    )
)
def test_no_content_keeps_the_node_from_starting(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("secrets") / "file"
    path.touch(0o600)
    path.write_bytes(content)
    assert len(TokenSecrets.load(path, clock=ManualClock()).current) == 32


def test_times_from_a_clock_that_was_wrong_do_not_stop_rotation_or_keep_old_secrets(path: Path) -> None:
    async def story() -> None:
        ahead = ManualClock(now=4_000_000_000)
        keys = TokenSecrets.load(path, clock=ahead)
        ahead.advance(ROTATE_AFTER_S)
        assert await keys.rotate_if_due()
        right = ManualClock()
        keys = TokenSecrets.load(path, clock=right)
        assert len(keys.acceptable(right.now())) == 2
        right.advance(ROTATE_AFTER_S)
        assert await keys.rotate_if_due()
        assert len(keys.acceptable(right.now())) == 2
        right.advance(OVERLAP_S)
        assert keys.acceptable(right.now()) == (keys.current,)

    run(story())


def test_a_disk_that_refuses_keeps_the_old_secret_and_is_logged_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        del path, data
        raise OSError(28, os.strerror(28))

    async def story() -> None:
        clock = ManualClock()
        keys = TokenSecrets.load(path, clock=clock)
        before = keys.current
        clock.advance(ROTATE_AFTER_S)
        with monkeypatch.context() as patched, capture_logs() as logs:
            patched.setattr(secret_ring, "write_private", refuse)
            assert not await keys.rotate_if_due()
            assert not await keys.rotate_if_due()
        assert [e["event"] for e in logs] == ["secrets cannot be written"]
        assert keys.current == before
        assert await keys.rotate_if_due()
        assert keys.current != before

    run(story())


@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "no folder"])
def test_what_is_no_plain_file_is_a_start_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "token-secrets.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(b"1")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path = tmp_path / "missing" / "token-secrets.json"
    with pytest.raises(StartError, match="token secrets") as refused:
        TokenSecrets.load(path, clock=ManualClock())
    assert refused.value.exit_code is ExitCode.DATA_DIR


def test_the_secret_is_in_no_text_about_it(path: Path) -> None:
    keys = TokenSecrets.load(path, clock=ManualClock())
    shown = repr(keys) + str(keys) + repr(keys._secrets)
    assert keys.current.hex() not in shown
    assert repr(keys.current) not in shown


def test_the_service_rotates_by_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_ring, "_CHECK_S", 0.001)

    async def story() -> None:
        clock = ManualClock()
        keys = TokenSecrets.load(path, clock=clock)
        before = keys.current
        clock.advance(ROTATE_AFTER_S)
        async with asyncio.TaskGroup() as group:
            service = group.create_task(keys.run())
            await eventually(lambda: keys.current != before, what="the rotation")
            service.cancel()

    run(story())
