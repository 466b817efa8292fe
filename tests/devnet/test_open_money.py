"""Opening the money of a node on a chain: whatever stops it half-way, nothing that was opened stays open."""

import json
import threading
from pathlib import Path

import pytest
from aiohttp import ClientSession
from eth_account import Account

from baton.app.assemble import run as run_node
from baton.app.money import open_money
from baton.chain.rpc import JsonRpc
from baton.chain.signer import KeystoreSigner
from baton.config.load import Loaded, load
from baton.devnet import Devnet
from baton.kernel.clock import ManualClock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import SilentMetrics
from baton.storage.data_dir import DataDir
from baton.storage.database import Database
from tests.support import run


def loaded(devnet: Devnet, folder: Path, *flags: str, price: str = "1200") -> Loaded:
    key = folder / "key.json"
    key.write_text(
        json.dumps(Account.encrypt(devnet.accounts.orchestrator.private_key, "", kdf="pbkdf2", iterations=1))
    )
    words = [
        *("--network", "devnet", "--eth-url", devnet.rpc_url, "--data-dir", str(folder)),
        *(
            "--eth-controller",
            "0x" + devnet.addresses.controller.hex(),
            "--eth-keystore-path",
            str(key),
            "--price-per-unit",
            price,
            *flags,
        ),
    ]
    return load(words, environ={}, home=folder, directory=folder)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[ClientSession]:
    """Every connection pool to an endpoint that was opened."""
    found: list[ClientSession] = []
    post = JsonRpc._post

    async def noted(self: JsonRpc, document: object) -> object:
        try:
            return await post(self, document)
        finally:
            if self._session is not None and self._session not in found:
                found.append(self._session)

    monkeypatch.setattr(JsonRpc, "_post", noted)
    return found


def assert_let_go(folder: Path, sessions: list[ClientSession]) -> None:
    assert sessions
    assert all(session.closed for session in sessions)
    assert "database writer" not in {thread.name for thread in threading.enumerate()}

    async def again() -> None:
        await Database.open(folder / "money.sqlite3").close()

    run(again())  # its lock is free


def test_a_feed_that_is_none_leaves_nothing_open(devnet: Devnet, tmp_path: Path, sessions: list[ClientSession]) -> None:
    async def story() -> None:
        settings = loaded(devnet, tmp_path, "--price-feed-addr", "0x" + "11" * 20, price="1USD").settings
        signer = KeystoreSigner(devnet.accounts.orchestrator.private_key)
        with DataDir.acquire(tmp_path) as data_dir, pytest.raises(StartError, match="price feed"):
            await open_money(settings, data_dir=data_dir, signer=signer, clock=ManualClock(), metrics=SilentMetrics())

    run(story())
    assert_let_go(tmp_path, sessions)


def test_what_was_opened_is_let_go_once(devnet: Devnet, tmp_path: Path, sessions: list[ClientSession]) -> None:
    async def story() -> None:
        settings = loaded(devnet, tmp_path).settings
        signer = KeystoreSigner(devnet.accounts.orchestrator.private_key)
        with DataDir.acquire(tmp_path) as data_dir:
            money = await open_money(
                settings, data_dir=data_dir, signer=signer, clock=ManualClock(), metrics=SilentMetrics()
            )
            assert not any(session.closed for session in sessions)
            await money.close()
            await money.close()

    run(story())
    assert_let_go(tmp_path, sessions)


def test_a_node_that_fails_before_its_money_runs_lets_go_of_it(
    devnet: Devnet, tmp_path: Path, sessions: list[ClientSession]
) -> None:
    bad = loaded(devnet, tmp_path, "--http-addr", "203.0.113.1:8935")
    assert run_node(bad, lambda: bad, devices=()) != ExitCode.OK
    assert_let_go(tmp_path, sessions)
