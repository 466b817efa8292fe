"""The command line of a node: every form of an option, and every mistake in one pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.config.argv import kebab, read_command_line


def test_forms_of_options() -> None:
    line = read_command_line(
        ["--max-sessions", "4", "--network=offchain", "--no-transcoder", "--monitor", "-v", "6", "--nodes=a=b"]
    )
    assert line.problems == ()
    assert line.values == {
        "max-sessions": "4",
        "network": "offchain",
        "transcoder": "false",
        "monitor": "true",
        "log-level": "6",
        "nodes": "a=b",
    }


@pytest.mark.parametrize("words", [["-v6"], ["-v=6"], ["-v", "6"], ["--log-level", "6"]])
def test_verbosity_in_the_reference_s_manner(words: list[str]) -> None:
    assert read_command_line(words).values == {"log-level": "6"}


def test_the_last_word_counts() -> None:
    assert read_command_line(["--max-sessions", "1", "--max-sessions", "2"]).values == {"max-sessions": "2"}
    assert read_command_line(["--monitor", "--no-monitor"]).values == {"monitor": "false"}
    assert read_command_line(["--monitor=false"]).values == {"monitor": "false"}


def test_a_value_may_look_like_an_option_or_be_empty() -> None:
    line = read_command_line(["--eth-password", "--secret", "--nodes", "", "--object-store="])
    assert line.values == {"eth-password": "--secret", "nodes": "", "object-store": ""}


def test_words_about_the_run_itself() -> None:
    line = read_command_line(["--config", "a.toml", "--check"])
    assert (line.config, line.check, line.wants_help) == ("a.toml", True, False)
    assert read_command_line(["--config=b.toml"]).config == "b.toml"
    assert read_command_line(["-h"]).wants_help
    assert read_command_line(["--help"]).wants_help


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--netint", "0"], "--netint is not supported yet by this version"),
        (["--netint=0"], "--netint is not supported yet by this version"),
        (["--reward"], "--reward is not supported yet by this version"),
        (["--no-reward"], "--reward is not supported yet by this version"),
        (["--reward=false"], "--reward is not supported yet by this version"),
        (["--rtmp-addr", "x"], "--rtmp-addr is a setting of gateways and has no meaning for an orchestrator"),
        (["--orchestrator"], "--orchestrator is not an option here: `baton run` always is the orchestrator"),
        (["--max-session", "3"], "unknown option --max-session; did you mean --max-sessions?"),
        (["--maxSessions", "3"], "unknown option --maxSessions; did you mean --max-sessions?"),
        (["-maxSessions", "3"], "unknown option -maxSessions; did you mean --max-sessions?"),
        (["-maxSessions=3"], "unknown option -maxSessions; did you mean --max-sessions?"),
        (["-serviceAddr", "a:1"], "unknown option -serviceAddr; did you mean --service-addr?"),
        (["-verifySignatures"], "unknown option -verifySignatures; did you mean --verify-signatures?"),
        (["--gasLimit", "1"], "unknown option --gasLimit; --gas-limit is not supported yet by this version"),
        (["-netint", "0"], "unknown option -netint; --netint is not supported yet by this version"),
        (["-nvidia", "0"], "unknown option -nvidia; did you mean --nvidia?"),
        (["-reward"], "unknown option -reward; --reward is not supported yet by this version"),
        (["--service_addr", "x"], "unknown option --service_addr; did you mean --service-addr?"),
        (["--zzz"], "unknown option --zzz"),
        (["-z"], "unknown option -z"),
        (["--no-max-sessions"], "unknown option --no-max-sessions; did you mean --max-sessions?"),
        (["--max-sessions"], "--max-sessions needs a value"),
        (["--config"], "--config needs a value"),
        (["--check=1"], "--check takes no value"),
        (["word"], "unexpected argument 'word'"),
        (["-"], "unexpected argument '-'"),
        (["--", "--monitor"], "unexpected argument '--monitor'"),
        (["--\x1b[31m"], "unknown option --\\x1b[31m"),
    ],
)
def test_mistakes(words: list[str], problem: str) -> None:
    line = read_command_line(words)
    assert line.problems == (problem,)
    assert line.values == {}


def test_all_mistakes_of_a_line_are_found_at_once() -> None:
    line = read_command_line(
        ["--netint", "0,1", "--monitor", "--maxSessions", "3", "--redeemer-addr", "https://x", "--reward", "extra"]
    )
    assert line.problems == (
        "--netint is not supported yet by this version",
        "unknown option --maxSessions; did you mean --max-sessions?",
        "--redeemer-addr is not supported yet by this version",
        "--reward is not supported yet by this version",
        "unexpected argument 'extra'",
    )
    assert line.values == {"monitor": "true"}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("serviceAddr", "service-addr"),
        ("ticketEV", "ticket-ev"),
        ("aiRunnerContainersPerGPU", "ai-runner-containers-per-gpu"),
        ("liveAITrickleHostForRunner", "live-ai-trickle-host-for-runner"),
        ("MAX_SESSIONS", "max-sessions"),
        ("max-sessions", "max-sessions"),
    ],
)
def test_spelling(name: str, ours: str) -> None:
    assert kebab(name) == ours


@given(st.lists(st.text(max_size=20) | st.sampled_from(["--nodes", "--monitor", "-v", "--config", "--", "-"])))
def test_no_line_breaks_the_reader(words: list[str]) -> None:
    line = read_command_line(words)
    assert all(problem.isprintable() for problem in line.problems)
