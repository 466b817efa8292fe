"""An operator's line in the reference's spelling becomes a node that a gateway can use (operator.md 17.3)."""

import json
import secrets
import sys
from pathlib import Path

import pytest
from eth_account import Account

from tests.clips import decoded_px, make_segments
from tests.e2e.commands import baton
from tests.node import Node
from tests.peer.gateway import PeerGateway
from tests.peer.keys import PeerKey
from tests.peer.segments import preset

pytestmark = [pytest.mark.node, pytest.mark.media]

ON_CHAIN = (
    *(
        "-network",
        "arbitrum-one-mainnet",
        "-ethUrl",
        "https://user:hunter2@rpc.example",
        "-orchestrator",
        "-transcoder",
    ),
    *("-nvidia", "0,1", "-pricePerUnit", "0.41USD", "-pixelsPerUnit", "1e12", "-serviceAddr", "host.example:8935"),
    *("-monitor",),
)
"""The combined node as operators run it."""


class LivepeerNode(Node):
    """The same without a chain and GPUs: flags, two variables and a file, each as the reference reads them."""

    def __init__(self, lp_data: Path, key: PeerKey) -> None:
        super().__init__(lp_data)
        self._key = key
        self._secret = lp_data.with_name("secret.txt")
        self._file = lp_data.with_name("livepeer.conf")

    def prepare(self) -> None:
        """The keystore of the reference, a file that holds its passphrase, and a configuration file."""
        keystore = self.data_dir / "keystore"
        keystore.mkdir(parents=True)
        password = secrets.token_hex(8)
        content = Account.encrypt(self._key.secret, password, kdf="pbkdf2", iterations=2)
        path = keystore / f"UTC--2024-01-01T00-00-00.0Z--{self._key.address.hex()}"
        path.touch(0o600)
        path.write_text(json.dumps(content))
        self._secret.write_text(f"{password}\n")
        self._file.write_text(
            f"# as before\nmonitor\nmaxSessions 3 # of two machines\ncliAddr :{self.management_port}\n"
        )

    @property
    def command(self) -> list[str]:
        """The operator's line."""
        variables = [f"LP_ETHPASSWORD={self._secret}", "LP_MAXSESSIONS=5"]
        return [
            *["env", *variables, sys.executable, "-m", "baton", "livepeer", "-config", str(self._file)],
            *["-network", "offchain", "-datadir", str(self.data_dir), "-ethAcctAddr", f"0x{self._key.address.hex()}"],
            *["-orchestrator", "-transcoder", "-serviceAddr", f"127.0.0.1:{self.port}", "--v=6", "-pixelsPerUnit", "1"],
            *[f"-httpAddr=127.0.0.1:{self.port}", "-testTranscoder=true"],
        ]


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_operator_s_command_line_serves_a_gateway(tmp_path: Path) -> None:
    key = PeerKey.fresh()
    node = LivepeerNode(tmp_path / "lpData", key)
    node.prepare()
    before = files_below(node.data_dir)
    segment = make_segments(tmp_path, count=1, seconds=1)[0]
    try:
        node.start()
        status = {row["name"]: (row["value"], row["where"]) for row in node.status()["settings"]}
        assert status["max-sessions"] == ("5", "LP_MAXSESSIONS")
        assert status["monitor"] == ("true", f"{tmp_path / 'livepeer.conf'}:2")
        assert "livepeer_versions" in node.manage("/metrics").text
        with PeerGateway(node.url) as gateway:
            info = gateway.get_orchestrator()
            assert info.transcoder == node.url
            assert info.address == key.address
            post = gateway.compose(segment, info=info, profiles=[preset("P144p30fps16x9")], duration_ms=1000)
            delivered = gateway.deliver(post)
            gateway.verify_signature(delivered.answer, delivered.renditions, key.address)
            assert decoded_px(delivered.renditions[0]) == delivered.pixels[0]
            gateway.end_all()
        node.stop()
    finally:
        node.kill()
    node.check_log()
    about = [str(line.fields.get("about")) for line in node.log() if line.event == "settings warning"]
    assert "-datadir is deprecated; use -dataDir" in about
    new = files_below(node.data_dir) - before
    assert "baton/token-secrets.json" in new
    assert all(Path(name).parts[0] == "baton" for name in new)


def test_line_of_a_public_network_is_refused_without_its_secrets(tmp_path: Path) -> None:
    done = baton(tmp_path, "livepeer", *ON_CHAIN, "-dataDir", str(tmp_path / "lpData"))
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "-network 'arbitrum-one-mainnet' is not supported yet by this version" in done.stderr
    assert not (tmp_path / "lpData").exists()
