"""The reference's benchmark flags and what they become, and what both commands refuse."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from baton.ops.commands import bench, livepeer_bench
from baton.ops.commands.livepeer_bench import translate


def test_operator_s_line_is_understood() -> None:
    line = "-in bbb/source.m3u8 -transcodingOptions opts.json -nvidia 0,1 -concurrentSessions 4 -live=false"
    assert translate(line.split()) == [
        *("--csv", "--in=bbb/source.m3u8", "--transcoding-options=opts.json", "--nvidia=0,1", "--sessions=4"),
        "--no-live",
    ]


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("-live", ["--live"]),
        ("--live=T", ["--live"]),
        ("-mpeg7Sign", ["--mpeg7-sign"]),
        ("-mpeg7Sign=false", []),
        ("-repeat=2 --segs 5", ["--repeat=2", "--segs=5"]),
        ("-concurrentSessionDelay 500ms", ["--session-delay=500ms"]),
        ("-outPrefix /tmp/-x", ["--out-prefix=/tmp/-x"]),
        ("-log 4 -netint= -nvidia=", []),
    ],
)
def test_go_s_syntax(words: str, ours: list[str]) -> None:
    assert translate(words.split()) == ["--csv", *ours]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("-bogus 1", "unknown flag -bogus"),
        ("-in", "flag needs an argument: -in"),
        ("x.m3u8", "unexpected argument x.m3u8"),
        ("-live false", "unexpected argument false"),
        ("-live=maybe", "-live must be true or false"),
        ("-netint 0", "-netint: these devices are not supported"),
        ("---in x", "unknown flag ---in"),
    ],
)
def test_what_go_would_refuse(words: str, reason: str) -> None:
    with pytest.raises(click.UsageError, match=reason):
        translate(words.split())


def test_missing_input_ends_with_1_as_there() -> None:
    result = CliRunner().invoke(livepeer_bench.command, ["-concurrentSessions", "4"])
    assert result.exit_code == 1
    assert "-in <input.m3u8>" in result.output


def test_help_lists_the_flags() -> None:
    result = CliRunner().invoke(livepeer_bench.command, ["-help"])
    assert result.exit_code == 0
    assert "-concurrentSessions" in result.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--csv", "--json"], "exclude one another"),
        (["--repeat", "2"], "say which with --sessions"),
        (["--out-prefix", "x"], "say which with --sessions"),
        (["--sessions", "0"], "--sessions"),
        (["--time-limit", "soon"], "must be a duration"),
        (["--session-delay", "-1s"], "must be a duration"),
        (["--transcoding-options", "P1p"], "neither a file nor a preset"),
        (["--encoder-preset", "warp"], "--encoder-preset must be one of"),
        (["--engine-children", "0"], "--engine-children must be a whole number"),
        (["--nvidia", "0,0"], "--nvidia"),
    ],
    ids=str,
)
def test_wrong_words_end_with_2_before_anything_runs(words: list[str], reason: str) -> None:
    result = CliRunner().invoke(bench.command, words)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-in", "x.m3u8", "-transcodingOptions", "P721"], "Invalid value for -transcodingOptions: 'P721' is neither"),
        (["-in", "x.m3u8", "-concurrentSessions", "0"], "Invalid value for -concurrentSessions: 0 is not in the range"),
    ],
)
def test_mistakes_are_told_in_the_reference_s_spelling(words: list[str], reason: str) -> None:
    result = CliRunner().invoke(livepeer_bench.command, words)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


@pytest.mark.parametrize("json_wanted", [True, False])
def test_missing_file_ends_with_1_and_the_reason(json_wanted: bool, tmp_path: Path) -> None:  # noqa: FBT001 -- a parameter of pytest
    words = ["--in", str(tmp_path / "none.mp4"), *(["--json"] if json_wanted else [])]
    result = CliRunner().invoke(bench.command, words)
    assert result.exit_code == 1
    reason = json.loads(result.output)["failure"] if json_wanted else result.output
    assert "No such file" in reason


def test_the_reference_s_command_hands_the_exit_code_on(tmp_path: Path) -> None:
    result = CliRunner().invoke(livepeer_bench.command, ["-in", str(tmp_path / "none.m3u8")])
    assert result.exit_code == 1
    assert "No such file" in result.output


def test_unwritable_prefix_ends_with_1_and_the_reason(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench.command, ["--sessions", "1", "--out-prefix", str(tmp_path / "none" / "x")])
    assert result.exit_code == 1
    assert "renditions cannot be written" in result.output
