"""What the reference's flags come to: roles, defaults, refusals by name, "unset" that matters, places of files."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from baton.config.flags import FLAGS
from baton.config.later import LATER
from baton.config.livepeer import SPELLINGS, Spelling
from baton.config.livepeer_load import Role, respell, role_of
from baton.config.model import BindAddress
from baton.config.origin import Source
from baton.kernel.devices import DeviceSelection
from baton.kernel.errors import ConfigError, ExitCode

from .livepeer import COMBINED, Operator
from .test_flag_table import REFERENCE

SESSIONS = "must be 'auto' or greater than zero (a number here: 'auto' is for remote transcoders)"

ACCOUNT = "ab" * 20
OTHER = "cd" * 20
REFUSED = tuple(row for row in SPELLINGS.values() if not row.works and not row.no_effect)
UNSET_MATTERS = {"minGasPrice", "pricePerUnit", "reward", "httpIngest", "localVerify", "hevcDecoding"}


def key_file(folder: Path, account: str, *, name: str = "key") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({"address": account}))
    return path


# The table.


def test_every_flag_of_the_reference_is_known() -> None:
    assert not REFERENCE - {row.setting for row in SPELLINGS.values()}
    assert {row.name for row in SPELLINGS.values() if row.unset_matters} == UNSET_MATTERS
    assert {"datadir", "broadcaster", "pricePerBroadcaster", "aiRunnerImage"} == {
        row.name for row in SPELLINGS.values() if row.instead
    }
    assert all(SPELLINGS[row.instead] for row in SPELLINGS.values() if row.instead)


def test_every_setting_of_ours_can_be_given() -> None:
    assert FLAGS.keys() <= {row.setting for row in SPELLINGS.values()}


@pytest.mark.parametrize("row", SPELLINGS.values(), ids=lambda row: row.name)
def test_row_of_the_table_is_what_its_setting_is(row: Spelling) -> None:
    if row.works:
        kind = FLAGS[row.setting].kind
        assert row.switch == (kind.is_boolean or row.name == "hevcDecoding")
    if not row.works and row.name not in {"config", "version", "j"} and not row.no_effect:
        assert row.setting in LATER
    if row.switch and not row.unset_matters:
        assert row.default in {"true", "false"}
    if row.unset_matters:
        assert row.default is None


# Roles (operator.md 1.1).


@pytest.mark.parametrize(
    ("on", "role"),
    [
        (["redeemer", "remoteSigner", "orchestrator", "transcoder"], Role.REDEEMER),
        (["remoteSigner", "orchestrator"], Role.REMOTE_SIGNER),
        (["orchestrator", "transcoder", "aiWorker", "gateway"], Role.ORCHESTRATOR),
        (["transcoder", "aiWorker"], Role.TRANSCODER),
        (["aiWorker", "broadcaster"], Role.AI_WORKER),
        (["broadcaster", "reward"], Role.GATEWAY),
        (["gateway", "initializeRound"], Role.GATEWAY),
        (["reward"], Role.CHAIN_SERVICE),
        (["initializeRound"], Role.CHAIN_SERVICE),
        ([], Role.NONE),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_first_match_decides_the_role(on: list[str], role: Role) -> None:
    assert role_of(on) is role


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ([], "No services enabled; must be at least one of"),
        (["-orchestrator=false", "-transcoder=0"], "No services enabled; must be at least one of"),
        (["-transcoder"], "-transcoder without -orchestrator, a transcoder that stands alone, is not supported yet"),
        (["-orchestrator"], "Running an orchestrator requires an -orchSecret for standalone mode or -transcoder"),
        (["-orchestrator", "-transcoder=false"], "Running an orchestrator requires an -orchSecret"),
    ],
    ids=str,
)
def test_role_that_is_not_there_is_the_one_problem(operator: Operator, args: list[str], problem: str) -> None:
    (found,) = operator.problems(*args)
    assert found.startswith(problem)


@pytest.mark.parametrize("name", ["redeemer", "gateway", "broadcaster", "aiWorker", "initializeRound", "reward"])
def test_role_with_a_flag_of_its_own_is_refused_by_it(operator: Operator, name: str) -> None:
    row = SPELLINGS[name]
    assert operator.problems(f"-{name}") == (f"-{name} {row.refusal}",)


def test_orchestrator_with_remote_transcoders_is_told_so(operator: Operator) -> None:
    if SPELLINGS["orchSecret"].works:
        pytest.fail("remote transcoders exist now: this role has to be allowed")
    assert operator.problems("-orchestrator", "-orchSecret", "hunter2") == (
        "-orchestrator without -transcoder needs remote transcoders, which this version does not have yet",
        "-orchSecret is not supported yet by this version",
    )


def test_a_switch_in_every_word_of_go(operator: Operator) -> None:
    for word in ("1", "t", "T", "true", "TRUE", "True"):
        assert operator.combined(f"-monitor={word}").settings.management.monitor
    for word in ("0", "f", "F", "false", "FALSE", "False"):
        assert not operator.combined(f"-monitor={word}").settings.management.monitor
    for word in ("yes", "on", "", "tRUE"):
        (problem,) = operator.problems(*COMBINED, f"-monitor={word}")
        assert problem == f"invalid boolean value {word!r} for -monitor from command line (-monitor)"


def test_a_switch_that_may_be_unset_is_three_things(operator: Operator) -> None:
    assert operator.combined().settings.engine.hevc_decoding == "auto"
    for word, meant in (("-hevcDecoding", "true"), ("-hevcDecoding=T", "true"), ("-hevcDecoding=0", "false")):
        assert operator.combined(word).settings.engine.hevc_decoding == meant


# Refusals.


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_flag_without_feature_is_refused_by_name_alone(operator: Operator, row: Spelling) -> None:
    if row.name in {"config", "version", "orchestrator"}:
        return
    other = {"true": "false", "false": "true"}.get(row.default or "", "true") if row.switch else "hunter2"
    problems = operator.problems(*COMBINED, f"-{row.name}={other}")
    assert f"-{row.name} {row.refusal}" in problems
    assert not any("hunter2" in problem for problem in problems)
    path = operator.file(f"orchestrator\ntranscoder\n{row.name} {other}\n")
    if row.name not in {"redeemer", "remoteSigner"}:
        assert operator.problems("-config", path) == (f"-{row.name} {row.refusal}; it is given by file ({path}:3)",)


def test_the_texts_of_a_refusal(operator: Operator) -> None:
    assert operator.problems(*COMBINED, "-redeemerAddr", "https://user:pass@rpc.example/key", "-rtmpAddr", ":1935") == (
        "-redeemerAddr is not supported yet by this version",
        "-rtmpAddr is a setting of gateways and has no meaning for an orchestrator",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["-testTranscoder"],
        ["-autoAdjustPrice=true"],
        ["-redeemer=false", "-gateway=false", "-aiWorker=f"],
        ["-ticketEV", "8e9"],
        ["-ticketEV=8000000000"],
        ["-transactionTimeout", "300s"],
        ["-pixelsPerUnit", "1"],
        ["-ethUrl", ""],
        ["-orchSecret="],
        ["-aiRunnerImage", "livepeer/ai-runner:latest"],
        ["-j=false", "-version=false"],
    ],
    ids=str,
)
def test_default_of_a_missing_feature_asks_for_nothing(operator: Operator, words: list[str]) -> None:
    assert operator.combined(*words).settings == operator.combined().settings


@pytest.mark.parametrize("words", [["-reward=false"], ["-localVerify=false"], ["-httpIngest=0"]])
def test_given_is_not_unset_where_that_matters(operator: Operator, words: list[str]) -> None:
    row = SPELLINGS[words[0].lstrip("-").partition("=")[0]]
    assert operator.problems(*COMBINED, *words) == (f"-{row.name} {row.refusal}",)


def test_a_strong_source_takes_a_refused_word_back(operator: Operator) -> None:
    path = operator.file("redeemerAddr host:8935\nmonitor perhaps\n")
    loaded = operator.combined("-config", path, "-redeemerAddr=", environ={"LP_MONITOR": "true"})
    assert loaded.settings.management.monitor


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["auto"], "-maxSessions 'auto' cannot be used when both -orchestrator and -transcoder are specified"),
        (
            ["0"],
            f"-maxSessions {SESSIONS}; got '0' from command line (-maxSessions)",
        ),
        (
            ["-1"],
            f"-maxSessions {SESSIONS}; got '-1' from command line (-maxSessions)",
        ),
        (
            ["ten"],
            f"-maxSessions {SESSIONS}; got 'ten' from command line (-maxSessions)",
        ),
        (
            [""],
            f"-maxSessions {SESSIONS}; got '' from command line (-maxSessions)",
        ),
    ],
    ids=str,
)
def test_sessions(operator: Operator, words: list[str], problem: str) -> None:
    assert operator.problems(*COMBINED, "-maxSessions", *words) == (problem,)


def test_two_kinds_of_devices_exclude_one_another(operator: Operator) -> None:
    with pytest.raises(ConfigError) as raised:
        operator.combined("-nvidia", "0", "-netint", "all")
    assert raised.value.problems[0] == "both -netint and -nvidia arguments specified, this is not supported"
    assert raised.value.exit_code is ExitCode.FAILED


def test_cards_are_chosen_as_before(operator: Operator) -> None:
    assert operator.combined("-nvidia", "0,1").settings.engine.nvidia == DeviceSelection((0, 1))
    assert operator.combined("-nvidia=all").settings.engine.nvidia == DeviceSelection(every=True)
    assert operator.combined(environ={"LP_NVIDIA": "2"}).settings.engine.nvidia == DeviceSelection((2,))
    assert not operator.combined("-nvidia", "").settings.engine.nvidia


def test_card_list_that_cannot_be_read_has_the_reference_s_words(operator: Operator) -> None:
    with pytest.raises(ConfigError) as raised:
        operator.combined("-nvidia", "0,0")
    assert raised.value.problems == (
        "Error while parsing '-nvidia 0,0' flag: card 0 is named twice; got '0,0' from command line (-nvidia)",
    )
    assert raised.value.exit_code is ExitCode.CONFIG


def test_other_kinds_of_cards_are_refused_by_name(operator: Operator) -> None:
    assert operator.problems(*COMBINED, "-netint", "all") == ("-netint is not supported yet by this version",)


def test_test_of_cards_can_be_left_to_what_every_node_has(operator: Operator) -> None:
    assert operator.combined().settings.engine.offer_tested
    assert not operator.combined("-testTranscoder=false").settings.engine.offer_tested


def test_every_problem_at_once_in_the_operator_s_spelling(operator: Operator) -> None:
    path = operator.file("network mainnet\nmaxSesions 4\nethPassword hunter2\n")
    problems = operator.problems(
        *(*COMBINED, "-config", path, "-redeemerAddr", "x", "-serviceAddr", "https://", "extra"),
        *("-httpAddr", "ftp://x:1", "-cert-file", "gone.pem", "-key-file", "gone.pem"),
        environ={"LP_GASLIMIT": "1", "LP_V": "loud"},
    )
    gone = operator.directory / "gone.pem"
    why = (
        "it takes tickets and cannot redeem the winning ones, so on a public network it would work for nothing; "
        "use offchain, devnet or a private network"
    )
    assert problems == (
        "unexpected argument 'extra'",
        f"Error parsing config: {path}:2: unknown setting maxSesions; did you mean maxSessions?",
        "-redeemerAddr is not supported yet by this version",
        "-gasLimit is not supported yet by this version; it is given by environment (LP_GASLIMIT)",
        f"-network 'mainnet' is not supported yet by this version: {why}; got 'mainnet' from file ({path}:1)",
        "-serviceAddr must have a host; got 'https://' from command line (-serviceAddr)",
        "unsupported -httpAddr scheme \"ftp\"; got 'ftp://x:1' from command line (-httpAddr)",
        "-v must be one of error, warning, info, debug; got 'loud' from environment (LP_V)",
        f"-cert-file: no such file: {gone}",
        f"-key-file: no such file: {gone}",
    )


def test_respelling_leaves_values_alone() -> None:
    assert respell("--no-transcoder and --service-addr; got '--nodes' in /a/--nodes") == (
        "-transcoder=false and -serviceAddr; got '--nodes' in /a/--nodes"
    )
    assert respell("--media-grace, --data-dir, --unheard-of") == "-media-grace, -dataDir, --unheard-of"


# Values.


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ([], BindAddress("", 8935)),
        (["-httpAddr", ""], BindAddress("", 8935)),
        (["-serviceAddr", "a.example:9000"], BindAddress("", 9000)),
        (["-serviceAddr", "a.example:9000", "-httpAddr", "127.0.0.1"], BindAddress("127.0.0.1", 9000)),
        (["-httpAddr", ":7000"], BindAddress("", 7000)),
        (["-httpAddr", "https://0.0.0.0:7000"], BindAddress("0.0.0.0", 7000)),
        (["-httpAddr", "http://127.0.0.1:7000/"], BindAddress("127.0.0.1", 7000, tls=False)),
    ],
    ids=str,
)
def test_where_the_service_port_listens(operator: Operator, given: list[str], bound: BindAddress) -> None:
    assert operator.combined(*given).settings.port.bind == bound


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [
        ([], "127.0.0.1", 7935),
        (["-cliAddr="], "127.0.0.1", 7935),
        (["-cliAddr", ":7000"], "127.0.0.1", 7000),
        (["-cliAddr", "10.0.0.1"], "10.0.0.1", 7935),
        (["-cliAddr", "10.0.0.1:7000"], "10.0.0.1", 7000),
    ],
    ids=str,
)
def test_where_the_management_port_listens(operator: Operator, given: list[str], host: str, port: int) -> None:
    bind = operator.combined(*given).settings.management.bind
    assert (bind.host, bind.port) == (host, port)


@pytest.mark.parametrize(
    ("word", "level"), [("0", "error"), ("1", "warning"), ("3", "info"), ("5", "debug"), ("99", "debug")]
)
def test_verbosity(operator: Operator, word: str, level: str) -> None:
    assert operator.combined("-v", word).settings.logs.level == level


def test_settings_that_only_baton_has(operator: Operator) -> None:
    path = operator.file("media-grace 90s\n")
    loaded = operator.combined(
        "-config", path, "--encoder-preset", "fast", environ={"LP_ENGINE_CHILDREN": "7"}
    ).settings
    assert (loaded.storage.grace_s, loaded.engine.preset, loaded.engine.children) == (90.0, "fast", 7)


def test_password_is_a_value_or_a_file(operator: Operator) -> None:
    key_file(operator.default_place / "keystore", ACCOUNT)
    (operator.directory / "secret").write_text("  from file\n")
    (operator.directory / "empty").write_text("")
    for said, password in (("secret", "from file"), ("plain", "plain"), ("empty", "empty"), (".", ".")):
        loaded = operator.combined("-ethAcctAddr", f"0x{ACCOUNT}", "-ethPassword", said)
        assert loaded.settings.key.password == password
        assert not any(password in row.shown for row in loaded.changed if row.name == "eth-password")


# Places.


def test_default_data_directory(operator: Operator) -> None:
    loaded = operator.combined()
    assert loaded.settings.data_dir == operator.default_place / "baton"
    assert not operator.default_place.exists()


@pytest.mark.parametrize("spelling", ["-dataDir", "--datadir", "-datadir"])
def test_data_directory_of_the_operator_has_a_folder_for_us(operator: Operator, spelling: str) -> None:
    loaded = operator.combined(spelling, "data")
    assert loaded.settings.data_dir == operator.directory / "data" / "baton"
    assert operator.combined(spelling, "/srv/lp").settings.data_dir == Path("/srv/lp/baton")
    assert operator.combined(spelling, "").settings.data_dir == operator.default_place / "baton"
    assert ("-datadir is deprecated; use -dataDir" in loaded.warnings) == spelling.endswith("datadir")


def test_of_two_spellings_the_last_counts_and_a_strong_source_beats_both(operator: Operator) -> None:
    path = operator.file("dataDir one\ndatadir two\n")
    assert operator.combined("-config", path).settings.data_dir.parent.name == "two"
    assert operator.combined("-datadir", "a", "-dataDir", "b").settings.data_dir.parent.name == "b"
    assert operator.combined("-config", path, "-dataDir", "c").settings.data_dir.parent.name == "c"
    assert operator.combined("-config", path, environ={"LP_DATADIR": "d"}).settings.data_dir.parent.name == "d"


def test_keystore_is_the_reference_s_and_read_when_an_account_is_named(operator: Operator) -> None:
    keystore = operator.default_place / "keystore"
    key_file(keystore, OTHER, name="a")
    mine = key_file(keystore, ACCOUNT, name="b")
    assert operator.combined().settings.key.keystore_file is None
    assert operator.combined("-ethAcctAddr", "0x" + "00" * 20).settings.key.keystore_file is None
    loaded = operator.combined("-ethAcctAddr", f"0x{ACCOUNT}")
    assert loaded.settings.key.keystore_file == mine
    row = next(row for row in loaded.provenance if row.name == "eth-keystore-path")
    assert (row.shown, row.origin.source) == (str(keystore), Source.FLAG)
    elsewhere = key_file(operator.directory, OTHER)
    assert operator.combined("-ethKeystorePath", "key").settings.key.keystore_file == elsewhere
    assert operator.combined("-ethKeystorePath", "", "-ethAcctAddr", ACCOUNT).settings.key.keystore_file == mine


def test_keys_that_cannot_be_used(operator: Operator) -> None:
    keystore = operator.default_place / "keystore"
    wanted = ("-ethAcctAddr", f"0x{ACCOUNT}")
    assert operator.problems(*COMBINED, *wanted) == (f"-ethKeystorePath was not found: {keystore}",)
    key_file(operator.directory, OTHER)
    (problem,) = operator.problems(*COMBINED, *wanted, "-ethKeystorePath", "key")
    assert problem.startswith("-ethKeystorePath and -ethAcctAddr were both provided, but the key file belongs to")
    (problem,) = operator.problems(*COMBINED, "-ethAcctAddr", "0x12")
    assert problem.startswith("-ethAcctAddr must be an account address")
    (problem,) = operator.problems(*COMBINED, "-dataDir", "a\0b")
    assert problem.startswith("-dataDir must be a path")


def test_flags_of_the_past(operator: Operator) -> None:
    loaded = operator.combined("-liveAICapRefreshModels", "x", "-broadcaster=false")
    assert loaded.warnings[:2] == (
        "-liveAICapRefreshModels has no effect",
        "-broadcaster is deprecated; use -gateway",
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    content=st.lists(
        st.tuples(
            st.sampled_from(sorted(SPELLINGS)), st.text(max_size=20) | st.sampled_from(["true", "0", "..", "a\0"])
        ),
        max_size=6,
    )
)
def test_no_file_breaks_the_start(operator: Operator, content: list[tuple[str, str]]) -> None:
    path = operator.file("".join(f"{name} {value}\n" for name, value in content))
    try:
        loaded = operator.combined("-config", path)
    except ConfigError as error:
        problems = error.problems
    else:
        assert loaded.settings.data_dir.name == "baton"
        return
    assert problems
    assert all(problem.isprintable() for problem in problems)
