"""``baton probe`` against a real node: it passes over TLS, in cleartext and with a key, and fails what is not there."""

import json
from pathlib import Path

import pytest
from eth_account import Account

from tests.e2e.commands import baton
from tests.node import Node, free_port, running_node
from tests.unit.selftest.made import make_clip

pytestmark = [pytest.mark.node, pytest.mark.media, pytest.mark.timeout(150)]


def verdicts(report: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in report["checks"]}


def probe(tmp_path: Path, node: Node, *arguments: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    done = baton(tmp_path, "probe", node.url, "--json", *arguments)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


OF_THE_MACHINE = {"speed", "discovery latency"}
"""Verdicts that a busy machine may turn; what they judge is proven with figures in the unit tests of the probe."""


def passes(code: int, report: dict[str, list[dict[str, str]]]) -> bool:
    failed = {name for name, verdict in verdicts(report).items() if verdict == "fail"}
    return failed <= OF_THE_MACHINE and code == (1 if failed else 0)


def test_node_of_ours_passes_with_and_without_a_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=5)
    key = tmp_path / "key"
    key.write_text("46" * 32)
    with running_node(tmp_path / "data") as node:
        code, report = probe(tmp_path, node)
        assert passes(code, report), report
        assert {"connection", "TLS", "ALPN", "certificate", "discovery latency", "ping"} <= verdicts(report).keys()
        assert report["renditions"] == []

        code, report = probe(tmp_path, node, "--file", str(clip), "--key-file", str(key))
        assert passes(code, report), report
        assert {row["protocol"] for row in report["renditions"]} == {"HTTP/2", "HTTP/1.1"}
        assert len(report["renditions"]) == 6
        assert verdicts(report)["continuity of P240p30fps16x9"] == "pass"

        done = baton(tmp_path, "probe", node.url.removeprefix("https://"))
        if done.returncode == 0:
            assert f"{node.url}: every check passed" in done.stdout
        else:
            assert "discovery latency" in done.stdout, done.stdout


def test_cleartext_node_passes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=2)
    with running_node(tmp_path / "data", tls=False) as node:
        code, report = probe(tmp_path, node, "--file", str(clip))
    assert passes(code, report), report
    assert verdicts(report)["TLS"] == "info"
    assert {row["protocol"] for row in report["renditions"]} == {"HTTP/1.1"}


def test_node_with_a_key_passes_and_its_signatures_are_checked(tmp_path: Path) -> None:
    account = Account.from_key(bytes([0x46]) * 32)
    keystore = tmp_path / "keystore"
    keystore.mkdir()
    (keystore / "key.json").write_text(json.dumps(Account.encrypt(account.key, "pass", kdf="pbkdf2", iterations=1000)))
    clip = make_clip(tmp_path / "clip.mp4", seconds=2)
    flags = ("--eth-keystore-path", str(keystore), "--eth-acct-addr", account.address, "--eth-password", "pass")
    with running_node(tmp_path / "data", *flags) as node:
        code, report = probe(tmp_path, node, "--file", str(clip))
    reasons = {check["name"]: check["reason"] for check in report["checks"] if check["verdict"] == "pass"}
    assert passes(code, report), report
    assert reasons["address"] == account.address
    assert reasons["ping"] == "signed by the stated address"
    assert reasons["result signature"] == "covers every rendition"


def test_draining_node_is_told_apart_from_a_good_one(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", seconds=2)
    with running_node(tmp_path / "data") as node:
        address = node.management_url.removeprefix("http://")
        drained = baton(tmp_path, "drain", "--cli-addr", address, "--data-dir", str(node.data_dir))
        assert drained.returncode == 0, drained.stderr
        code, report = probe(tmp_path, node, "--file", str(clip))
    reasons = {check["name"]: check["reason"] for check in report["checks"] if check["verdict"] == "fail"}
    assert code == 1
    assert "OrchestratorCapped" in reasons["discovery"]


def test_nobody_there_fails(tmp_path: Path) -> None:
    done = baton(tmp_path, "probe", f"https://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "no connection" in done.stdout
