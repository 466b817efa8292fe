"""Which database and which secrets a node's settings mean."""

from dataclasses import replace
from pathlib import Path

from baton.app import record
from baton.config.load import load
from baton.config.model import MoneySettings, Settings
from baton.kernel.clock import ManualClock
from baton.storage.data_dir import DataDir

CLUSTER = ("0123456789abcdef0123456789abcdef",)
SHARED = MoneySettings("postgresql+psycopg://h/x", CLUSTER)


def settings(folder: Path, money: MoneySettings | None = None) -> Settings:
    made = load(["--data-dir", str(folder)], environ={}, home=folder, directory=folder).settings
    return replace(made, money=money or MoneySettings())


def test_a_node_alone_has_a_file_and_secrets_of_its_own(tmp_path: Path) -> None:
    alone = settings(tmp_path)
    assert record.database_place(alone) == tmp_path / "money.sqlite3"
    assert not record.is_shared(alone)
    with DataDir.acquire(tmp_path) as data_dir:
        assert data_dir.money == record.database_place(alone)
        tickets = record.ticket_secrets(alone, data_dir, clock=ManualClock())
        tokens = record.token_secrets(alone, data_dir, clock=ManualClock())
        assert tickets.current != tokens.current
        assert record.ticket_secrets(alone, data_dir, clock=ManualClock()).current == tickets.current
    assert {"token-secrets.json", "ticket-secrets.json"} <= {path.name for path in tmp_path.iterdir()}


def test_nodes_of_a_cluster_have_the_cluster_s_and_keep_none(tmp_path: Path) -> None:
    one, two = (settings(tmp_path / name, SHARED) for name in ("one", "two"))
    assert record.is_shared(one)
    assert record.database_place(one) == record.database_place(two) == SHARED.database_url
    found = []
    for node in (one, two):
        with DataDir.acquire(node.data_dir) as data_dir:
            tickets = record.ticket_secrets(node, data_dir, clock=ManualClock())
            tokens = record.token_secrets(node, data_dir, clock=ManualClock())
            found.append((tickets.all, tokens.acceptable(0.0)))
            assert not data_dir.ticket_secrets.exists()
            assert not data_dir.token_secrets.exists()
    assert found[0] == found[1]


def test_the_reference_s_database_lies_beside_our_folder_in_its_own(tmp_path: Path) -> None:
    ours = settings(tmp_path / "baton")
    assert record.reference_database(ours) is None
    (tmp_path / "lpdb.sqlite3").touch()
    assert record.reference_database(ours) == tmp_path / "lpdb.sqlite3"
    assert record.reference_database(settings(tmp_path / "another")) is None
