"""The reference's sources, rule by rule (operator.md 2): Go's flags, ``LP_`` variables, its configuration file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.config.livepeer import SPELLINGS, variable_of
from baton.config.livepeer_sources import read_lp_file, read_lp_variables, read_lp_words

from .livepeer import COMBINED, Operator


def texts(words: list[str]) -> dict[str, str]:
    heard = read_lp_words(words)
    assert heard.problems == ()
    return {name: word.text for name, word in heard.words.items()}


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        (["-maxSessions", "4"], {"maxSessions": "4"}),
        (["-maxSessions=4"], {"maxSessions": "4"}),
        (["--maxSessions", "4"], {"maxSessions": "4"}),
        (["--maxSessions=4"], {"maxSessions": "4"}),
        (["-nodes=a=b"], {"nodes": "a=b"}),
        (["-nodes="], {"nodes": ""}),
        (["-nodes", ""], {"nodes": ""}),
        (["-nodes", "-monitor"], {"nodes": "-monitor"}),
        (["-monitor"], {"monitor": "true"}),
        (["--monitor"], {"monitor": "true"}),
        (["-monitor=false"], {"monitor": "false"}),
        (["-monitor="], {"monitor": ""}),
        (["-monitor", "-transcoder"], {"monitor": "true", "transcoder": "true"}),
        (["-v", "99"], {"v": "99"}),
        (["-v=6"], {"v": "6"}),
        (["-maxSessions", "1", "-maxSessions", "2"], {"maxSessions": "2"}),
        (["-engine-children", "4", "-verify-signatures"], {"engine-children": "4", "verify-signatures": "true"}),
        (["-monitor", "--"], {"monitor": "true"}),
    ],
    ids=str,
)
def test_flag_syntax_of_go(words: list[str], heard: dict[str, str]) -> None:
    assert texts(words) == heard


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-maxSessions"], "flag needs an argument: -maxSessions"),
        (["-"], "unexpected argument '-'"),
        (["start"], "unexpected argument 'start'"),
        (["--", "-monitor"], "unexpected argument '-monitor'"),
        (["---monitor"], "bad flag syntax: ---monitor"),
        (["-=x"], "bad flag syntax: -=x"),
        (["--=x"], "bad flag syntax: --=x"),
        (["-monitor", "false"], "-monitor false: a switch takes its value after an equals sign, -monitor=false"),
        (["-maxSesions", "4"], "unknown flag -maxSesions; did you mean -maxSessions?"),
        (["-maxsessions=4"], "unknown flag -maxsessions; did you mean -maxSessions?"),
        (["--max-sessions", "4"], "unknown flag -max-sessions; did you mean -maxSessions?"),
        (["-ticket-ev", "4"], "unknown flag -ticket-ev; did you mean -ticketEV?"),
        (["-zzz"], "unknown flag -zzz"),
        (["-ethPasword", "hunter2"], "unknown flag -ethPasword; did you mean -ethPassword?"),
        (["-check=yes"], "unknown flag -check"),
        (["-bad\x1b[31m"], "unknown flag -bad\\x1b[31m"),
    ],
    ids=str,
)
def test_mistake_is_named_and_reading_goes_on(words: list[str], problem: str) -> None:
    heard = read_lp_words(words if words[0] == "--" else [*words, "-network=offchain"])
    if words == ["-maxSessions"]:  # it took the next flag for its value, as Go does
        assert heard.words["maxSessions"].text == "-network=offchain"
        heard = read_lp_words(words)
    elif words[0] != "--":
        assert heard.words["network"].text == "offchain"
    assert heard.problems[0].startswith(problem)
    assert len(heard.problems) == 1
    assert "hunter2" not in heard.problems[0]


@pytest.mark.parametrize("word", ["-h", "-help", "--h", "--help"])
def test_help_in_every_spelling(word: str) -> None:
    assert read_lp_words([*COMBINED, word]).wants_help


@given(st.lists(st.text(max_size=12) | st.sampled_from(["-nodes", "-monitor", "--", "-v=3", "-x"]), max_size=6))
def test_no_words_break_the_reader(words: list[str]) -> None:
    heard = read_lp_words(words)
    assert set(heard.words) <= set(SPELLINGS)
    assert all(problem.isprintable() for problem in heard.problems)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("ethUrl", "LP_ETHURL"),
        ("maxSessions", "LP_MAXSESSIONS"),
        ("engine-children", "LP_ENGINE_CHILDREN"),
        ("a.b/c", "LP_A_B_C"),
        ("v", "LP_V"),
    ],
)
def test_names_of_variables(name: str, variable: str) -> None:
    assert variable_of(name) == variable


def test_every_flag_has_a_variable_of_its_own() -> None:
    variables = [variable_of(name) for name, row in SPELLINGS.items() if not row.instead]
    assert len(set(variables)) == len(variables)


def test_variables_are_read_and_an_empty_one_is_none() -> None:
    heard = read_lp_variables(
        {"LP_MAXSESSIONS": "4", "LP_MONITOR": "1", "LP_NODES": "", "PATH": "x", "LP_DATADIR": "d"}
    )
    assert {name: (word.text, str(word.origin)) for name, word in heard.words.items()} == {
        "maxSessions": ("4", "environment (LP_MAXSESSIONS)"),
        "monitor": ("1", "environment (LP_MONITOR)"),
        "dataDir": ("d", "environment (LP_DATADIR)"),
    }
    assert (heard.problems, heard.warnings) == ((), ())


def test_unknown_variable_is_told_and_ignored(operator: Operator) -> None:
    loaded = operator.combined(environ={"LP_MAXSESSION": "4", "LP_QQQ": "1", "BATON_MONITOR": "true"})
    assert loaded.settings.video.max_sessions == 10
    assert not loaded.settings.management.monitor
    assert loaded.warnings[:3] == (
        "environment variable BATON_MONITOR is not read here, LP_ variables are",
        "unknown environment variable LP_MAXSESSION is ignored; did you mean LP_MAXSESSIONS?",
        "unknown environment variable LP_QQQ is ignored",
    )


def test_configuration_file_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "livepeer.conf"
    path.write_bytes(
        b"# a comment\r\n\r\n   # another\nmaxSessions 4\n  network   offchain  \r\nmonitor\n"
        b"serviceAddr a.example:8935 # where we are\nobjectStore /a b#c\nnodes #x\nethPassword  # none\nmaxSessions 5"
    )
    heard = read_lp_file(path)
    assert heard.problems == ()
    assert {name: word.text for name, word in heard.words.items()} == {
        "maxSessions": "5",
        "network": "offchain",
        "monitor": "true",
        "serviceAddr": "a.example:8935",
        "objectStore": "/a b#c",
        "nodes": "#x",
        "ethPassword": "# none",
    }
    assert str(heard.words["monitor"].origin) == f"file ({path}:6)"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"maxSesions 4", ":1: unknown setting maxSesions; did you mean maxSessions?"),
        (b"\n-monitor true", ":2: unknown setting -monitor; did you mean monitor?"),
        (b"ethPasword hunter2", ":1: unknown setting ethPasword; did you mean ethPassword?"),
        (b"monitor\ttrue", ":1: unknown setting monitor\\ttrue; did you mean monitor?"),
        (b"config other.conf", ":1: -config cannot stand in its own file"),
        (b"\xff\xfe", " is not UTF-8 text"),
        (b"#" * ((1 << 20) + 1), " is larger than 1 MiB"),
    ],
    ids=["misspelt", "dash", "secret", "tab", "config", "bytes", "size"],
)
def test_unusable_file_is_fatal(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "livepeer.conf"
    path.write_bytes(content)
    assert read_lp_file(path).problems == (f"Error parsing config: {path}{problem}",)


def test_missing_file_and_directory_are_fatal(operator: Operator) -> None:
    gone = operator.directory / "gone.conf"
    assert operator.problems(*COMBINED, "-config", "gone.conf") == (
        f"Error parsing config: {gone}: No such file or directory",
    )
    assert operator.problems(*COMBINED, environ={"LP_CONFIG": "gone.conf"}) == (
        f"Error parsing config: {gone}: No such file or directory",
    )
    assert "Is a directory" in operator.problems(*COMBINED, "-config", str(operator.directory))[0]
    assert operator.problems(*COMBINED, "-config", "a\0b") == ("-config must be a path",)


@pytest.mark.parametrize("line", [None, 3])
@pytest.mark.parametrize("variable", [None, 2])
@pytest.mark.parametrize("file", [None, 1])
def test_precedence(operator: Operator, file: int | None, variable: int | None, line: int | None) -> None:
    path = operator.file("" if file is None else f"maxSessions {file}\n")
    args = () if line is None else ("-maxSessions", str(line))
    environ = {} if variable is None else {"LP_MAXSESSIONS": str(variable)}
    loaded = operator.combined("-config", path, *args, environ=environ)
    assert loaded.settings.video.max_sessions == (line or variable or file or 10)
    origin = next(str(row.origin) for row in loaded.provenance if row.name == "max-sessions")
    said = (
        (line, "command line (-maxSessions)"),
        (variable, "environment (LP_MAXSESSIONS)"),
        (file, f"file ({path}:1)"),
        (10, "default"),
    )
    assert origin == next(text for value, text in said if value)
    assert loaded.config_file == Path(path)


def test_file_of_the_variable_and_of_the_command_line(operator: Operator) -> None:
    path = operator.file("orchestrator\ntranscoder\nmaxSessions 4\n")
    assert operator.load(environ={"LP_CONFIG": path}).settings.video.max_sessions == 4
    assert operator.combined("-config", "", environ={"LP_CONFIG": path}).settings.video.max_sessions == 10
    assert operator.ask(environ={"LP_CONFIG": path}).config_file == Path(path)
