"""Four sources and one result: precedence, origins, every problem at once, nothing secret shown."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baton.config.load import load_management
from baton.config.model import BindAddress
from baton.config.origin import Source
from baton.kernel.errors import ConfigError
from baton.kernel.redaction import printable

from .conftest import Place

SESSIONS = "must be 'auto' or greater than zero (a number here: 'auto' is for remote transcoders)"

ACCOUNT = "ab" * 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    file=st.none() | st.integers(1, 99),
    variable=st.none() | st.integers(100, 199),
    option=st.none() | st.integers(200, 299),
)
def test_precedence(place: Place, file: int | None, variable: int | None, option: int | None) -> None:
    path = place.write("" if file is None else f"max-sessions = {file}\n")
    environ = {} if variable is None else {"BATON_MAX_SESSIONS": str(variable)}
    args = [] if option is None else ["--max-sessions", str(option)]
    loaded = place.load("--config", str(path), *args, environ=environ)
    row = next(row for row in loaded.provenance if row.name == "max-sessions")
    said = [(option, Source.FLAG), (variable, Source.ENVIRONMENT), (file, Source.FILE), (10, Source.DEFAULT)]
    value, source = next((value, source) for value, source in said if value is not None)
    assert loaded.settings.video.max_sessions == value
    assert (row.shown, row.origin.source) == (str(value), source)


def test_each_origin_names_its_place(place: Place) -> None:
    path = place.write("# a comment\nmax-sessions = 3\n\nmonitor = true\n")
    loaded = place.load("--config", str(path), "--drain-timeout", "5s", environ={"BATON_NODES": "a.example"})
    assert {row.name: (row.shown, str(row.origin)) for row in loaded.changed} == {
        "max-sessions": ("3", f"file ({path}:2)"),
        "monitor": ("true", f"file ({path}:4)"),
        "drain-timeout": ("5s", "command line (--drain-timeout)"),
        "nodes": ("a.example", "environment (BATON_NODES)"),
    }
    assert loaded.config_file == path


def test_a_strong_source_saves_a_wrong_weak_one(place: Place) -> None:
    path = place.write("max-sessions = 0\n")
    assert place.load("--config", str(path), "--max-sessions", "4").settings.video.max_sessions == 4


def test_native_types_of_the_file(place: Place) -> None:
    path = place.write(
        'monitor = true\nnodes = ["a.example", "b.example"]\ndrain-timeout = 12.5\nmedia-memory-limit = 1073741824\n'
    )
    tree = place.load("--config", str(path)).settings
    assert tree.management.monitor
    assert tree.port.nodes == ("https://a.example:8935", "https://b.example:8935")
    assert tree.lifecycle.drain_timeout_s == 12.5
    assert tree.storage.memory_limit_bytes == 1 << 30


def test_all_problems_of_all_sources_at_once(place: Place) -> None:
    path = place.write(
        'max-sessions = "many"\nmax_sessions = 3\nnetint = "0"\nrtmp-addr = "x"\nzzz = 1\n'
        "monitor = 1979-05-27\nnodes = [1]\n[port]\nhttp-addr = 1\n"
    )
    environ = {
        "BATON_ENGINE_CHILDREN": "0",
        "BATON_MAX_SESSION": "3",
        "BATON_REDEEMER_ADDR": "https://x",
        "BATON_TEST_X": "y",
    }
    found = place.problems("--config", str(path), "--http-addr", "ftp://x", "--gas-limit", "1", environ=environ)
    assert found == (
        "--gas-limit is not supported yet by this version",
        "unknown environment variable BATON_MAX_SESSION; did you mean BATON_MAX_SESSIONS?",
        "environment variable BATON_REDEEMER_ADDR: --redeemer-addr is not supported yet by this version",
        f"{path}:2: unknown setting max_sessions; did you mean max-sessions?",
        f"{path}:3: netint is not supported yet by this version",
        f"{path}:4: rtmp-addr is a setting of gateways and has no meaning for an orchestrator",
        f"{path}:5: unknown setting zzz",
        f"{path}:6: monitor must be a text, a number, true or false, or a list of texts",
        f"{path}:7: nodes must be a text, a number, true or false, or a list of texts",
        f"{path}:8: unknown section [port]; settings stand without sections",
        "unsupported --http-addr scheme \"ftp\"; got 'ftp://x' from command line (--http-addr)",
        f"--max-sessions {SESSIONS}; got 'many' from file ({path}:1)",
        "--engine-children must be a whole number from 1 to 256; got '0' from environment (BATON_ENGINE_CHILDREN)",
    )


def test_problems_between_settings_come_with_the_others(place: Place) -> None:
    found = place.problems("--cert-file", "c.pem", "--max-sessions", "0", "--eth-acct-addr", ACCOUNT)
    assert found == (
        f"--max-sessions {SESSIONS}; got '0' from command line (--max-sessions)",
        "--cert-file needs --key-file beside it",
        f"--eth-keystore-path was not found: {place.data_dir}/keystore",
    )


# Where the file is.


def test_the_file_in_the_data_directory_is_found(place: Place) -> None:
    path = place.write("max-sessions = 7\n", where=place.data_dir / "baton.toml")
    loaded = place.load()
    assert loaded.settings.video.max_sessions == 7
    assert loaded.config_file == path


def test_a_setting_of_three_words_takes_the_file_s_own_booleans(place: Place) -> None:
    place.write('hevc-encoding = true\nhevc-decoding = "false"\n', where=place.data_dir / "baton.toml")
    engine = place.load().settings.engine
    assert (engine.hevc_encoding, engine.hevc_decoding) == ("true", "false")


def test_a_named_file_replaces_that_one(place: Place) -> None:
    place.write("max-sessions = 7\n", where=place.data_dir / "baton.toml")
    path = place.write("monitor = true\n")
    loaded = place.load("--config", "baton.toml")
    assert loaded.config_file == path
    assert loaded.settings.video.max_sessions == 10
    assert place.load(environ={"BATON_CONFIG": str(path)}).config_file == path


def test_the_data_directory_named_elsewhere_is_where_the_file_is_looked_for(place: Place) -> None:
    place.write("max-sessions = 5\n", where=place.directory / "d" / "baton.toml")
    assert place.load("--data-dir", "d").settings.video.max_sessions == 5
    assert place.load(environ={"BATON_DATA_DIR": "d"}).settings.data_dir == place.directory / "d"


def test_a_file_found_in_the_data_directory_cannot_move_it(place: Place) -> None:
    path = place.write('data-dir = "/x"\n', where=place.data_dir / "baton.toml")
    assert place.problem() == (
        f"{path}:1: data-dir decides where this file is looked for; give it by --data-dir or use --config"
    )
    assert place.load("--config", str(path)).settings.data_dir == Path("/x")


def test_a_missing_or_broken_file(place: Place) -> None:
    assert place.problem("--config", "no.toml") == (
        f"configuration file {place.directory}/no.toml: No such file or directory"
    )
    path = place.write("max-sessions = \n")
    assert place.problem("--config", str(path)).startswith(f"configuration file {path} is not valid TOML: ")
    assert "line 1" in place.problem("--config", str(path))
    path.write_bytes(b"\xff\xfe")
    assert "is not valid TOML" in place.problem("--config", str(path))
    path.write_bytes(b"#" * ((1 << 20) + 1))
    assert place.problem("--config", str(path)) == f"configuration file {path} is larger than 1 MiB"
    assert "Is a directory" in place.problem("--config", str(place.directory))
    assert place.problem("--config", "") == "--config must be a path"


def test_relative_paths_start_where_they_were_written(place: Place) -> None:
    path = place.write('object-store = "here"\n', where=place.directory / "etc" / "baton.toml")
    loaded = place.load("--config", str(path), "--data-dir", "there")
    assert loaded.settings.storage.object_store == str(place.directory / "etc" / "here")
    assert loaded.settings.data_dir == place.directory / "there"


def test_an_empty_variable_is_not_set(place: Place) -> None:
    path = place.write("max-sessions = 3\n")
    loaded = place.load("--config", str(path), environ={"BATON_MAX_SESSIONS": "", "BATON_CONFIG": ""})
    assert loaded.settings.video.max_sessions == 3


# Addresses together.


@pytest.mark.parametrize(
    ("args", "uri", "bind"),
    [
        ([], "https://127.0.0.1:8935", BindAddress("", 8935)),
        (["--service-addr", "n.example"], "https://n.example:8935", BindAddress("", 8935)),
        (["--service-addr", "n.example:443"], "https://n.example:443", BindAddress("", 443)),
        (
            ["--service-addr", "n.example:443", "--http-addr", "http://127.0.0.1"],
            "https://n.example:443",
            BindAddress("127.0.0.1", 443, tls=False),
        ),
        (["--http-addr", ":9000"], "https://127.0.0.1:9000", BindAddress("", 9000)),
        (["--http-addr", "http://[::1]:9000"], "http://[::1]:9000", BindAddress("::1", 9000, tls=False)),
        (["--http-addr", "127.0.0.1:0"], "https://127.0.0.1:8935", BindAddress("127.0.0.1", 0)),
        (["--service-addr", "none", "--nodes", "a", "--no-transcoder"], "", BindAddress("", 8935)),
    ],
)
def test_service_address_and_listener(place: Place, args: list[str], uri: str, bind: BindAddress) -> None:
    port = place.load(*args).settings.port
    assert (port.service_uri, port.bind) == (uri, bind)


def test_a_node_that_takes_no_work_needs_others(place: Place) -> None:
    assert place.problem("--service-addr", "none") == (
        "--service-addr is none and there are no --nodes: a node needs one of them"
    )


def test_without_a_transcoder_there_is_no_work_yet(place: Place) -> None:
    assert "remote transcoders are not supported yet" in place.problem("--no-transcoder")
    idle = ("--service-addr", "none", "--nodes", "a", "--no-transcoder")
    assert place.problem(*idle, "--nvidia", "0") == "--nvidia has no use with --no-transcoder"


@pytest.mark.parametrize(
    ("listen", "manage", "collide"),
    [
        (":7000", "127.0.0.1:7000", True),
        ("127.0.0.1:7000", "127.0.0.1:7000", True),
        ("127.0.0.2:7000", "127.0.0.1:7000", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        (":7000", ":7001", False),
    ],
)
def test_two_listeners_on_one_port(place: Place, listen: str, manage: str, *, collide: bool) -> None:
    args = ["--http-addr", listen, "--cli-addr", manage]
    if collide:
        assert place.problem(*args) == "--http-addr and --cli-addr both listen on port 7000"
    else:
        assert place.load(*args).settings.management.bind.port in {7000, 0, 7001}


def test_limits_that_contradict_each_other(place: Place) -> None:
    assert "is above --max-connections (10)" in place.problem("--max-connections", "10")


@pytest.mark.parametrize("network", ["arbitrum-one-mainnet", "mainnet", "rinkeby", "arbitrum-one-rinkeby"])
def test_public_networks_are_refused_with_the_reason(place: Place, network: str) -> None:
    problem = place.problem("--network", network)
    assert "is not supported yet by this version: it takes tickets and cannot redeem the winning ones" in problem


@pytest.mark.parametrize("network", ["", "../../etc", "a/b", ".hidden", "n" * 64, "two words"])
def test_network_is_a_name(place: Place, network: str) -> None:
    assert place.problem("--network", network).startswith(
        "--network must be offchain, devnet, or the name of a private"
    )


def test_sessions_by_automatic_choice_are_refused_with_a_transcoder(place: Place) -> None:
    assert "'auto' cannot be used by a node with its own transcoder" in place.problem("--max-sessions", "auto")


# Warnings.


def test_warnings(place: Place) -> None:
    assert place.load("--service-addr", "n.example", "--verify-signatures").warnings == ()
    texts = place.load("--cli-addr", "0.0.0.0:7935", "--fetch-private-networks").warnings
    assert [text.split(":")[0] for text in texts] == [
        "--service-addr is not set",
        "--cli-addr listens beyond this machine (0.0.0.0)",
        "off-chain",
        "--fetch-private-networks",
    ]
    assert "is not a public address" in place.load("--service-addr", "0.0.0.0").warnings[0]
    assert "is not a public address" in place.load("--service-addr", "localhost:1").warnings[0]


# Certificates and keys.


def make_pair(folder: Path, name: str, *, password: bytes | None = None) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock),
    )
    return paths


def test_a_certificate_with_its_key(place: Place) -> None:
    certificate, key = make_pair(place.directory, "a")
    port = place.load("--cert-file", "a.crt", "--key-file", "a.key").settings.port
    assert (port.certificate_file, port.private_key_file) == (certificate, key)


def test_certificates_that_cannot_work(place: Place) -> None:
    make_pair(place.directory, "a")
    make_pair(place.directory, "b")
    make_pair(place.directory, "locked", password=b"secret")
    (place.directory / "junk.pem").write_text("junk")
    assert place.problem("--key-file", "a.key") == "--key-file needs --cert-file beside it"
    assert place.problem("--cert-file", "a.crt", "--key-file", "no.key") == (
        f"--key-file: no such file: {place.directory}/no.key"
    )
    for certificate, key in (("a.crt", "b.key"), ("junk.pem", "a.key"), ("locked.crt", "locked.key")):
        assert "cannot be used together" in place.problem("--cert-file", certificate, "--key-file", key)
    cleartext = ["--cert-file", "a.crt", "--key-file", "a.key", "--http-addr", "http://:1"]
    assert "has no use" in place.problem(*cleartext)


@pytest.fixture
def closed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that may not be entered. Mode bits would not keep out a root user, who may run tests too."""
    folder, seen = place.directory / "closed", Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if folder in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return seen(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    return folder


def test_files_that_may_not_be_looked_at_are_problems_with_their_reason(place: Place, closed: Path) -> None:
    make_pair(place.directory, "a")
    certificate = place.problem("--cert-file", "closed/a.crt", "--key-file", "a.key")
    assert certificate == f"--cert-file: Permission denied: {closed}/a.crt"
    account = place.problem("--eth-keystore-path", "closed/key")
    assert account == f"--eth-keystore-path {closed}/key: Permission denied"


def test_a_data_directory_that_may_not_be_entered_has_no_file_of_settings(place: Place, closed: Path) -> None:
    assert place.load("--data-dir", str(closed)).config_file is None


def key_file(folder: Path, name: str, account: str = ACCOUNT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({"address": account, "version": 3}))
    return path


def test_a_key_file_or_a_directory_of_them(place: Place) -> None:
    other = "cd" * 20
    second = key_file(place.directory / "ks", "UTC--2", other)
    first = key_file(place.directory / "ks", "UTC--1")
    (place.directory / "ks" / "A-note").write_text("not a key")
    for args, found in (
        (["--eth-keystore-path", "ks"], first),
        (["--eth-keystore-path", "ks", "--eth-acct-addr", f"0x{other}"], second),
        (["--eth-keystore-path", "ks/UTC--2"], second),
        (["--eth-keystore-path", "ks/UTC--2", "--eth-acct-addr", other.upper()], second),
    ):
        assert place.load(*args).settings.key.keystore_file == found


def test_an_account_alone_means_the_keystore_of_the_data_directory(place: Place) -> None:
    found = key_file(place.data_dir / "keystore", "UTC--1")
    assert place.load("--eth-acct-addr", ACCOUNT).settings.key.keystore_file == found
    assert place.load().settings.key.keystore_file is None


def test_keys_that_are_not_there_or_not_meant(place: Place) -> None:
    key_file(place.directory / "ks", "UTC--1")
    (place.directory / "empty").mkdir()
    (place.directory / "junk").write_text('{"address": 5}')
    other = "0x" + "cd" * 20
    for args, words in (
        (["--eth-keystore-path", "no"], "was not found"),
        (["--eth-keystore-path", "empty"], "no key file in this directory"),
        (["--eth-keystore-path", "junk"], "it is not a key file"),
        (
            ["--eth-keystore-path", "ks", "--eth-acct-addr", other],
            f"no key file of account {other} in this directory, only of 0x{ACCOUNT[-40:].lower()}; no account is ever",
        ),
        (["--eth-keystore-path", "ks/UTC--1", "--eth-acct-addr", other], "were both provided, but"),
        (["--eth-password", "x"], "--eth-password has no use without"),
    ):
        assert words in place.problem(*args)


# Secrets.


def test_a_passphrase_may_be_a_file(place: Place) -> None:
    key_file(place.directory, "key")
    secret = place.directory / "secret.txt"
    secret.write_text("  s3cret\n")
    base = ["--eth-keystore-path", "key", "--eth-password"]
    assert place.load(*base, "secret.txt").settings.key.password == "s3cret"
    assert place.load(*base, "a phrase").settings.key.password == "a phrase"
    (place.directory / "empty").touch()
    assert place.load(*base, "empty").settings.key.password == "empty"
    assert place.load(*base, str(place.directory)).settings.key.password == str(place.directory)
    assert place.load(*base, "x" * 5000).settings.key.password == "x" * 5000
    secret.write_bytes(b"\xff")
    assert "names a file that cannot be read" in place.problem(*base, "secret.txt")
    secret.write_bytes(b"x" * 70_000)
    assert "names a file that is too large" in place.problem(*base, "secret.txt")


def test_a_passphrase_file_without_permission(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key_file(place.directory, "key")
    secret = place.directory / "secret.txt"
    secret.write_text("s3cret")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("baton.config.load._read_bounded", refuse)
    found = place.problem("--eth-keystore-path", "key", "--eth-password", "secret.txt")
    assert "--eth-password names a file that cannot be read; got '***'" in found


def test_no_secret_is_ever_shown(place: Place) -> None:
    key_file(place.directory, "key")
    path = place.write('auth-webhook-url = "https://user:hunter2@hook.example/x?token=hunter2,b=hunter2"\n')
    loaded = place.load("--config", str(path), "--eth-keystore-path", "key", "--eth-password", "hunter2")
    assert loaded.settings.key.password == "hunter2"
    shown = {row.name: row.shown for row in loaded.provenance}
    assert shown["eth-password"] == "***"
    assert shown["auth-webhook-url"] == "https://***@hook.example/x?***"
    assert "hunter2" not in repr(loaded.provenance)


@pytest.mark.parametrize(
    "args",
    [
        ["--auth-webhook-url", "ftp://user:hunter2@x/?k=hunter2"],
        ["--auth-webhook-url", "https://user:hun/ter2hunter2@x:y"],
        ["--object-store", "s3://key:hunter2@region/"],
        ["--object-store", "s3://key:hun/ter2hunter2@region/bucket"],
        ["--object-store", "s3://key:hunter2"],
        ["--object-store", "s3+https://hunter2@host/bucket"],
        ["--object-store", "gs://hunter2@bucket?keyfile=hunter2"],
        ["--service-addr", "https://user:hunter2@x"],
        ["--service-addr", "user:hunter2@x"],
        ["--nodes", "good.example,https://user:hunter2@x/?q=hunter2"],
        ["--http-addr", "http://user:hunter2@x:1"],
        ["--eth-password", "hunter2"],
    ],
)
def test_no_secret_is_in_a_problem(place: Place, args: list[str]) -> None:
    found = place.problems(*args, "--max-sessions", "0")
    assert len(found) == 2 or args[0] == "--eth-password"
    assert "hunter2" not in "\n".join(found)


def test_hostile_values_are_shown_harmless(place: Place) -> None:
    assert r"\x1b[2J" in place.problem("--encoder-preset", "\x1b[2J\n")


# Commands that only look for the node.


def test_finding_the_node_ignores_the_problems_of_other_settings(place: Place) -> None:
    path = place.write('max-sessions = 0\nnonsense = 1\ncli-addr = "127.0.0.1:7000"\ndata-dir = "d"\n')
    target = load_management(["--config", str(path)], environ={}, home=place.home, directory=place.directory)
    assert target.bind == BindAddress("127.0.0.1", 7000, tls=False)
    assert target.data_dir == place.directory / "d"
    with pytest.raises(ConfigError, match="cli-addr must"):
        load_management(["--cli-addr", "a b"], environ={}, home=place.home, directory=place.directory)
    with pytest.raises(ConfigError, match="unknown option --monitor"):
        load_management(["--monitor"], environ={}, home=place.home, directory=place.directory)


@given(st.dictionaries(st.text(max_size=8) | st.sampled_from(["max-sessions", "nodes"]), st.integers() | st.text()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_no_file_breaks_the_loader(place: Place, content: dict[str, int | str]) -> None:
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in content.items()]
    path = place.write("\n".join(lines).encode("utf-8", "replace").decode())
    try:
        place.load("--config", str(path))
    except ConfigError as error:
        assert all(printable(problem, limit=1 << 20) == problem for problem in error.problems)  # noqa: PT017 -- or not


@pytest.mark.parametrize("option", ["--data-dir", "--eth-keystore-path", "--cert-file", "--network", "--config"])
def test_a_name_longer_than_any_file_s_is_a_problem_like_others(place: Place, option: str) -> None:
    problems = place.problems(option, "a" * 300)
    assert any(option.removeprefix("--") in problem or "File name too long" in problem for problem in problems)


def test_problems_can_be_shown_on_a_terminal(place: Place) -> None:
    (problem,) = place.problems("--eth-keystore-path", "a\x1b[31m")
    assert "a\\x1b[31m" in problem
