"""The node's key. Vectors are literal bytes: the network's (video.md 10.3) and those of the key file format itself."""

import copy
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from structlog.testing import capture_logs

from baton.chain.signer import KeystoreSigner, NoSigner
from baton.config.checks import find_key_file
from baton.jobs.ports import Signer
from baton.kernel.crypto import verify_message
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.ids import address_from_hex, to_checksum_hex
from tests.support import run
from tests.vectors import (
    ADDRESS,
    CHECKSUM_HEX,
    FLAT,
    FLAT_SIG,
    PING_REPLY,
    PING_VALUE,
    RENDITION_HASHES,
    REQUEST_SIG,
    SECRET,
)

PASSWORD = "correct horse"
OTHER_SECRET = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
OTHER_HEX = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"

# The two test vectors of the Web3 Secret Storage definition; both hold OTHER_SECRET under "testpassword".
SCRYPT_VECTOR: dict[str, Any] = {
    "address": "008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
PBKDF2_VECTOR: dict[str, Any] = {
    "address": "0x008AEEDA4D805471DF9B2A5B0F38A0C3BCBA786B",
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
        "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
        "kdf": "pbkdf2",
        "kdfparams": {
            "c": 262144,
            "dklen": 32,
            "prf": "hmac-sha256",
            "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
        },
        "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}


def key_file(folder: Path, secret: bytes = SECRET, *, name: str = "", **changes: object) -> Path:
    """A key file with a cheap key derivation."""
    content = {**Account.encrypt(secret, PASSWORD, kdf="pbkdf2", iterations=2), **changes}
    path = folder / (name or f"UTC--2024-01-01T00-00-00.0Z--{str(content['address']).removeprefix('0x')}")
    path.touch(0o600)
    path.write_text(json.dumps(content))
    return path


def unlocked(path: Path, *, account_hex: str = "", password: str = PASSWORD) -> KeystoreSigner:
    return run(KeystoreSigner.unlock(path, account_hex=account_hex, password=password))


def refusal(path: Path, *, account_hex: str = "", password: str = PASSWORD) -> str:
    with pytest.raises(StartError) as refused:
        unlocked(path, account_hex=account_hex, password=password)
    assert refused.value.exit_code is ExitCode.CONFIG
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_the_networks_vectors_are_signed_to_the_byte(tmp_path: Path) -> None:
    signer: Signer = unlocked(key_file(tmp_path))
    assert signer.address == ADDRESS
    assert signer.orch_id == CHECKSUM_HEX == "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
    assert signer.sign(CHECKSUM_HEX.encode()) == REQUEST_SIG
    assert signer.sign(PING_VALUE) == PING_REPLY
    assert signer.sign(FLAT) == FLAT_SIG
    result = bytes.fromhex(
        "b62bb95c11312a516314bbb34366ca746e79e3bab1102eb75df6db8ac708f7c4"
        "08d252675caa8ad8341e553ae7adfaf2463c6e84bf47c1ae42edab6c6593dad11c"
    )
    assert signer.sign(b"".join(RENDITION_HASHES)) == result
    assert verify_message(ADDRESS, b"".join(RENDITION_HASHES), result)


@pytest.mark.parametrize("vector", [SCRYPT_VECTOR, PBKDF2_VECTOR], ids=["scrypt", "pbkdf2"])
def test_key_files_of_the_format_definition_open(tmp_path: Path, vector: dict[str, Any]) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(vector))
    signer = unlocked(path, password="testpassword")
    assert signer.orch_id == OTHER_HEX
    assert signer.sign(b"m") == KeystoreSigner(OTHER_SECRET).sign(b"m")


def test_opening_a_key_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(SCRYPT_VECTOR))

    async def story() -> int:
        import asyncio

        turns = 0
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(KeystoreSigner.unlock(path, account_hex="", password="testpassword"))
            began = time.monotonic()
            while not opening.done() and time.monotonic() - began < 15:
                turns += 1
                await asyncio.sleep(0.001)
        return turns

    assert run(story()) > 10


def test_a_node_without_key_is_off_chain() -> None:
    signer: Signer = NoSigner()
    assert (signer.address, signer.orch_id, signer.sign(b"anything")) == (bytes(20), "offchain", b"")


def test_a_named_file_is_the_one_that_is_used(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    key_file(tmp_path, OTHER_SECRET)
    for account in ("", CHECKSUM_HEX, CHECKSUM_HEX.lower(), "0x" + "00" * 20):
        assert unlocked(path, account_hex=account).address == ADDRESS


def test_of_several_accounts_the_first_by_file_name_is_used_unless_one_is_named(tmp_path: Path) -> None:
    key_file(tmp_path, name="UTC--2")
    (tmp_path / "notes.txt").write_text("not a key")
    (tmp_path / "folder").mkdir()
    with capture_logs() as logs:
        assert unlocked(tmp_path).address == ADDRESS
    assert [(e["event"], e["file"]) for e in logs] == [("file in keystore ignored", "notes.txt")]
    key_file(tmp_path, OTHER_SECRET, name="UTC--1")
    with capture_logs() as logs:
        assert unlocked(tmp_path).orch_id == OTHER_HEX
    assert [(e["account"], e["others"]) for e in logs if e["event"] == "first of several accounts used"] == [
        (OTHER_HEX, 1)
    ]
    assert unlocked(tmp_path, account_hex=CHECKSUM_HEX).orch_id == CHECKSUM_HEX
    key_file(tmp_path, OTHER_SECRET, name="UTC--3")
    assert unlocked(tmp_path, account_hex=CHECKSUM_HEX.lower()).orch_id == CHECKSUM_HEX


@pytest.mark.parametrize("named", ["", CHECKSUM_HEX, OTHER_HEX, "0x" + "ab" * 20])
def test_settings_and_signer_mean_the_same_file(tmp_path: Path, named: str) -> None:
    """The settings look at the folder first and hand a file over; given the folder, the signer chooses that file."""
    key_file(tmp_path, name="UTC--2")
    key_file(tmp_path, OTHER_SECRET, name="UTC--1")
    (tmp_path / "A-note").write_text("not a key")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    file, problems = find_key_file(tmp_path, account=named.lower(), data_dir=tmp_path)
    if file is None:
        assert "0xabababab" in problems[0]
        assert (
            f"has no account {to_checksum_hex(address_from_hex(named))}, only {OTHER_HEX}, {CHECKSUM_HEX}"
            in refusal(tmp_path, account_hex=named)
        )
    else:
        assert unlocked(file).address == unlocked(tmp_path, account_hex=named).address
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_files_of_one_account_are_one_account(tmp_path: Path) -> None:
    key_file(tmp_path, name="a")
    key_file(tmp_path, name="b")
    assert unlocked(tmp_path).address == ADDRESS


def test_another_account_than_the_files_is_refused_in_the_known_words(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    text = refusal(path, account_hex=OTHER_HEX)
    assert "were both provided, but" in text
    assert "does not match the address found in keystore" in text
    assert OTHER_HEX in text


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    assert "was not found" in refusal(tmp_path / "nowhere")
    assert "has no accounts" in refusal(tmp_path)
    key_file(tmp_path)
    assert f"has no account {OTHER_HEX}" in refusal(tmp_path, account_hex=OTHER_HEX)
    assert "not an address" in refusal(tmp_path, account_hex="0x12")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"address":5}', b'{"address":"0xzz"}', b"\xff\xfe", b"[" * 60_000, b" " * 70_000],
)
def test_a_file_that_is_no_key_is_told_apart(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    assert refusal(path).startswith("error parsing address from keyfile")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"version": None},
        {"crypto": {}},
        {"crypto": None},
        {"crypto": {**PBKDF2_VECTOR["crypto"], "kdf": "none"}},
        {"crypto": {**PBKDF2_VECTOR["crypto"], "ciphertext": "zz"}},
        {"crypto": {**PBKDF2_VECTOR["crypto"], "kdfparams": {}}},
    ],
)
def test_a_key_file_with_broken_insides_is_told_apart(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert refusal(key_file(tmp_path, **changes)).startswith("error opening keystore")


def test_a_key_that_belongs_to_another_address_is_refused(tmp_path: Path) -> None:
    path = key_file(tmp_path, address=OTHER_HEX.lower().removeprefix("0x"))
    assert "belongs to another address" in refusal(path)


def test_a_wrong_passphrase_is_said_and_never_shown(tmp_path: Path) -> None:
    text = refusal(key_file(tmp_path), password="hunter2")
    assert text.startswith(f"wrong passphrase for {CHECKSUM_HEX}")
    assert "hunter2" not in text


def test_a_readable_key_file_is_warned_about(tmp_path: Path) -> None:
    path = key_file(tmp_path)
    path.chmod(0o644)
    with capture_logs() as logs:
        unlocked(path)
    assert [(e["event"], e["mode"]) for e in logs] == [("key file can be read by others", "0644")]


def test_the_key_does_not_leave_the_signer(tmp_path: Path) -> None:
    with capture_logs() as logs:
        signer = unlocked(key_file(tmp_path))
    shown = repr(signer) + str(signer) + f"{signer}" + repr(logs)
    assert SECRET.hex() not in shown
    assert repr(SECRET) not in shown
    assert repr(signer) == f"KeystoreSigner({CHECKSUM_HEX})"
    assert not hasattr(signer, "__dict__")
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be copied"):
            leak(signer)


def test_unlocking_leaves_the_recursion_limit_alone() -> None:
    code = (
        "import sys\n"
        "limit = sys.getrecursionlimit()\n"
        "from baton.chain.signer import _account_class\n"
        "account = _account_class()\n"
        "account.decrypt(account.encrypt(bytes(31) + b'1', 'x', kdf='pbkdf2', iterations=1), 'x')\n"
        "assert 'py_ecc' in sys.modules\n"
        "assert sys.getrecursionlimit() == limit, sys.getrecursionlimit()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
