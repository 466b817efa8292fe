"""The watch over node processes: what it calls an error, and that waiting for a fact ends."""

from pathlib import Path

import pytest

from tests.node import Node, eventually

QUIET = '{"event": "listening", "level": "info"}\n{"event": "drain_requested", "level": "warning"}\n'


def node_that_logged(folder: Path, text: str) -> Node:
    """A node that never ran, with a log."""
    node = Node(folder / "data")
    node.log_path.write_text(text)
    return node


def test_information_and_warnings_are_fine(tmp_path: Path) -> None:
    node_that_logged(tmp_path, QUIET).check_log()


@pytest.mark.parametrize(
    "bad",
    [
        '{"event": "engine child died", "level": "error"}\n',
        '{"event": "node ends", "level": "critical"}\n',
        "Traceback (most recent call last):\n",
        "Exception in thread baton-spool_0:\n",
    ],
)
def test_error_nobody_announced_fails(tmp_path: Path, bad: str) -> None:
    node = node_that_logged(tmp_path, QUIET + bad)
    with pytest.raises(AssertionError, match="the node logged errors"):
        node.check_log()


def test_announced_error_is_fine_once(tmp_path: Path) -> None:
    node = node_that_logged(tmp_path, '{"event": "engine child died", "level": "error"}\n')
    node.announce("engine child died")
    node.check_log()
    with pytest.raises(AssertionError, match="the node logged errors"):
        node.check_log()


def test_only_the_log_since_a_place_counts(tmp_path: Path) -> None:
    node = node_that_logged(tmp_path, "Traceback (most recent call last):\n")
    node.check_log(since=node.log_size())


def test_fact_that_never_comes_is_named() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon"):
        eventually(lambda: None, deadline_s=0.05, what="the moon")


def test_fact_that_comes_is_returned() -> None:
    counted = iter((0, 0, 7))
    assert eventually(lambda: next(counted), deadline_s=5, what="seven") == 7


def test_node_that_ends_before_it_is_ready_is_reported_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(tmp_path / "data", "--no-such-flag")
    monkeypatch.setattr(Node, "command", ["/bin/sh", "-c", "echo wrong flag >&2; exit 2"])
    with pytest.raises(AssertionError, match=r"ended with 2 before it was ready:\nwrong flag"):
        node.start()
