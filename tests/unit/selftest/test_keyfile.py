"""Key files that the self test writes: a node reads them, and nobody else."""

import stat
from pathlib import Path

import pytest
from eth_account import Account

from baton.chain.signer import KeystoreSigner
from baton.selftest.keyfile import write_key_file
from tests.support import run

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")


def test_node_unlocks_it_with_the_empty_passphrase(tmp_path: Path) -> None:
    place = tmp_path / "key.json"
    write_key_file(place, KEY)
    assert run(KeystoreSigner.unlock(place, account_hex="", password="")).address == bytes.fromhex(
        "2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    )


def test_another_reader_of_key_files_finds_the_same_key(tmp_path: Path) -> None:
    place = tmp_path / "key.json"
    write_key_file(place, KEY)
    assert bytes(Account.decrypt(place.read_text(), "")) == KEY
    assert KEY.hex() not in place.read_text()


def test_it_is_ours_alone(tmp_path: Path) -> None:
    place = tmp_path / "key.json"
    write_key_file(place, KEY)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "key.json"
    place.write_text("mine")
    with pytest.raises(FileExistsError):
        write_key_file(place, KEY)
    assert place.read_text() == "mine"


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32)])
def test_what_is_no_key_leaves_no_file(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(ValueError, match=r"key|secret|scalar"):
        write_key_file(tmp_path / "key.json", key)
    assert not (tmp_path / "key.json").exists()
