"""The settings of the record: databases and cluster secrets, never shown."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from baton.config.load import Loaded, load
from baton.config.model import MoneySettings
from baton.kernel.errors import ConfigError, ExitCode
from baton.ops.cli import group

SECRET = "0123456789abcdef0123456789abcdef"
POSTGRES = "postgresql://ann:geheim@db.example.org:5433/money"


def loaded(tmp_path: Path, *words: str) -> Loaded:
    return load(["--data-dir", str(tmp_path), *words], environ={}, home=tmp_path, directory=tmp_path)


def test_without_words_the_record_is_a_file_of_the_node_s_own(tmp_path: Path) -> None:
    assert loaded(tmp_path).settings.money == MoneySettings("", ())


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (POSTGRES, "postgresql+psycopg://ann:geheim@db.example.org:5433/money"),
        ("postgres://db/money?sslmode=require", "postgresql+psycopg://db/money?sslmode=require"),
        ("postgresql+psycopg:///money?host=/run/postgresql", "postgresql+psycopg:///money?host=/run/postgresql"),
        ("sqlite:////var/lib/money", "sqlite:////var/lib/money"),
    ],
)
def test_databases_are_understood(tmp_path: Path, given: str, understood: str) -> None:
    assert loaded(tmp_path, "--database-url", given).settings.money.database_url == understood


def test_a_relative_file_starts_where_the_command_does(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "--database-url", "sqlite:///money").settings
    assert settings.money.database_url == f"sqlite:///{tmp_path}/money"


def test_a_file_may_hold_the_url(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(POSTGRES + "\n")
    assert "geheim" in loaded(tmp_path, "--database-url", str(tmp_path / "url")).settings.money.database_url


@pytest.mark.parametrize(
    "given",
    [
        *("mysql://ann:geheim@x/y", "postgresql://ann:geheim@x", "postgresql:///y", "sqlite:///", "sqlite:///a?geheim"),
        *("geheim", "postgresql://ann:geheim@[x/y", "postgresql://ann:geheim@x:0/y", "postgresql://ann:geh eim@x/y"),
    ],
)
def test_others_are_refused_without_showing_them(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError, match="--database-url must be postgresql://") as refused:
        loaded(tmp_path, "--database-url", given)
    assert "geheim" not in str(refused.value)


def test_a_cluster_has_one_secret_or_two(tmp_path: Path) -> None:
    one = loaded(tmp_path, "--database-url", POSTGRES, "--cluster-secret", SECRET).settings
    assert one.money.cluster_secrets == (SECRET,)
    (tmp_path / "secret").write_text(f"{SECRET}\n{SECRET[::-1]}\n")
    two = loaded(tmp_path, "--database-url", POSTGRES, "--cluster-secret", str(tmp_path / "secret")).settings
    assert two.money.cluster_secrets == (SECRET, SECRET[::-1])


@pytest.mark.parametrize(
    ("given", "why"), [("short", "at least 32"), (f"{SECRET} {SECRET}1 {SECRET}2", "one secret, or two")]
)
def test_what_could_be_guessed_is_refused(tmp_path: Path, given: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        loaded(tmp_path, "--database-url", POSTGRES, "--cluster-secret", given)
    assert given not in str(refused.value)


@pytest.mark.parametrize("words", [(), ("--database-url", "sqlite:////x")])
def test_a_cluster_without_a_shared_record_would_credit_twice(tmp_path: Path, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="would each credit the same ticket"):
        loaded(tmp_path, "--cluster-secret", SECRET, *words)


def test_neither_is_ever_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, "--database-url", POSTGRES, "--cluster-secret", SECRET)
    shown = f"{found!r}{found.provenance}{found.changed}"
    assert "geheim" not in shown
    assert SECRET not in shown


def test_migrate_brings_a_database_up_to_date_and_says_so(tmp_path: Path) -> None:
    words = ["migrate", "--data-dir", str(tmp_path / "data"), "--json"]
    first = CliRunner().invoke(group, words)
    assert (first.exit_code, json.loads(first.output)["before"]) == (0, None)
    second = json.loads(CliRunner().invoke(group, words).output)
    assert second["before"] == second["after"] is not None
    assert second["database"] == str(tmp_path / "data" / "money.sqlite3")
    plain = CliRunner().invoke(group, words[:-1])
    assert "is up to date" in plain.output


def test_migrate_says_what_is_wrong_in_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "money").write_bytes(b"nothing" * 1000)
    words = ["migrate", "--data-dir", str(tmp_path), "--database-url", f"sqlite:///{tmp_path}/money", "--json"]
    done = CliRunner().invoke(group, words)
    assert done.exit_code == ExitCode.DATA_DIR
    assert "cannot be used" in json.loads(done.output)["error"]
    assert CliRunner().invoke(group, ["migrate", "--no-such"]).exit_code == ExitCode.CONFIG
