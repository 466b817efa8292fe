"""Every row of the protocol that we answer for has a test that exists, or a reason (docs/protocol/coverage.toml)."""

import ast
import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from baton.kernel.errors import NON_RETRYABLE_TEXTS

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "protocol" / "coverage.toml"
ANSWERS = ("tests", "not_applicable", "later")

BAD_INPUT = (
    *("garbage", "half-open", "headers", "truncated", "audio-only", "empty", "4k", "10-bit", "vfr", "numbers"),
    *("names", "endless", "vanishes"),
)
RETRYABLE = (
    "TranscoderInvalidDuration",
    "TranscoderInvalidClipConfig",
    "TranscoderInvalidHardware",
    "TranscoderInvalidInput",
    "TranscoderStopped",
    "TranscoderInvalidPixelformat",
    "Invalid data found when processing input",
    "Input/output error",
    "No such file or directory",
    "No such device",
    "Cannot allocate memory",
    "Unknown error occurred",
)
RESULT_TEXTS = (
    *("OrchestratorCapped", "OrchestratorBusy", "Missing local storage", "ErrTranscoderUnavailable"),
    *("MismatchedSegments", "ZeroSegments", "Session ended", "TranscoderBusy", "no transcoders available"),
    *("no transcoders can provide requested capabilities", "Remote transcoder took too long"),
    *("incompatible segment capabilities", "segment / profile mismatch"),
)
BEHAVIOUR = (
    *("payment-foo", "segment-foo", "hash", "transcode-error", "payment-error", "second-save", "duration"),
    *("profile-fields", "capacity", "refresh-payment", "transcode-results", "remote-upload", "remote-capacity"),
    *("remote-failure", "remote-silence"),
)
OPERATOR = (6, 9, 10, 11, 14, 15, 21)
"""Items of operator.md 23 that the first light brings, as far as what they speak of exists."""
CHAIN = (
    *("2", "3/functions", "3/events", "4.1/rounds", "4.1/initialization", "4.1/uninitialized"),
    *(f"4.2/{name}" for name in ("transcoder", "bond", "unbond", "pool", "hints", "reward", "fees")),
    *(f"4.3/{name}" for name in (*range(1, 14), "payout", "share", "batch", "sender")),
    *("4.4", "4.5", "9.2", "15/endpoint", "15/feed", "16/rewards", "16/tickets"),
)
REAL_PORT = ("tests/integration/",)
IN_SCOPE = frozenset({1, 4, *range(6, 15), *range(18, 22), 23, 24, 25, 26, 30, *range(33, 39), 42, 43})
"""Places where we do better, that the first light brings; 35 waits for payments."""

REQUIRED = frozenset(
    {
        "4.2/order",
        *(f"4.2/{n}" for n in range(1, 23)),
        *(f"4.5/{text}" for text in RESULT_TEXTS),
        *(f"7.11/{text}" for text in (*NON_RETRYABLE_TEXTS, *RETRYABLE)),
        *("10.1", "10.2", "10.3", "10.4", "10.5", "10.6/bits", "10.6/capacities", "10.6/versions", "10.6/cost"),
        *("10.7", "10.8", "10.9/request", "10.9/result", "10.9/end", "10.9/payment", "10.9/segment"),
        *("10.6/price-guard", "10.8/gpu", "10.9/transcoder"),
        *(f"10.10/{case}" for case in BEHAVIOUR),
        *(f"operator-23/{n}" for n in OPERATOR),
        *(f"11/{n}" for n in range(1, 44)),
        *(f"12/{n}" for n in range(1, 13)),
        *(f"bad-input/{name}" for name in BAD_INPUT),
        *(f"chain/{name}" for name in CHAIN),
    }
)


@functools.cache
def rows() -> tuple[dict[str, Any], ...]:
    """The rows of the table."""
    return tuple(tomllib.loads(TABLE.read_text(encoding="utf-8"))["row"])


@functools.cache
def names_in(path: str) -> frozenset[str]:
    """Names of the test functions of a file, with their class if they have one."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for case in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        names |= {
            f"{case.name}::{node.name}"
            for node in case.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def test_every_required_row_is_there_once() -> None:
    ids = [row["id"] for row in rows()]
    assert sorted(REQUIRED - set(ids)) == []
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("item", range(1, 26))
def test_every_better_place_of_payments_has_a_row(item: int) -> None:
    name = re.compile(rf"payments/18[./]{item}(?![0-9])")
    assert any(name.match(row["id"]) for row in rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["id"])
def test_row_has_one_answer_and_its_tests_exist(row: dict[str, Any]) -> None:
    assert row["what"]
    (answer,) = [key for key in ANSWERS if key in row]
    assert set(row) == {"id", "what", answer}
    assert row[answer]
    for test in row.get("tests", []):
        path, _, name = test.partition("::")
        assert path.startswith("tests/")
        assert (ROOT / path).is_file(), f"{row['id']}: no file {path}"
        assert name in names_in(path), f"{row['id']}: no test {name} in {path}"


@pytest.mark.parametrize(
    "row", [row for row in rows() if row["id"].startswith(("4.2/", "7.11/", "bad-input/"))], ids=lambda row: row["id"]
)
def test_row_of_checks_texts_and_bad_input_is_shown_over_the_real_port(row: dict[str, Any]) -> None:
    assert "tests" not in row or any(test.startswith(REAL_PORT) for test in row["tests"])


def test_what_the_first_light_promises_is_tested_not_postponed() -> None:
    promised = {f"11/{n}" for n in IN_SCOPE - {35}} | {f"operator-23/{n}" for n in OPERATOR}
    postponed = [row["id"] for row in rows() if "later" in row and row["id"] in promised]
    assert postponed == []
