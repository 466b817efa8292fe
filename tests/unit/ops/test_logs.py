"""Log lines: both forms, levels, libraries' lines, secrets, hostile text."""

import gc
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from baton.config.model import LogFormat, LogSettings
from baton.ops.logs import LogVerbosity, configure_logging


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    gc.collect()  # what earlier tests left must not speak up in the middle of these lines
    root = logging.getLogger()
    names = ("", "baton", "uvicorn", "uvicorn.error", "uvicorn.access", "aiohttp.access")
    before = {
        name: (logging.getLogger(name).handlers[:], logging.getLogger(name).level, logging.getLogger(name).propagate)
        for name in names
    }
    for name in names[2:]:
        logging.getLogger(name).setLevel(logging.NOTSET)  # a service port of an earlier test quietens uvicorn
    raising = logging.raiseExceptions
    yield
    for name, (handlers, level, propagate) in before.items():
        logger = root if name == "" else logging.getLogger(name)
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = raising
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configured(*, level: str = "info", out: io.StringIO | None = None, form: LogFormat = LogFormat.JSON) -> io.StringIO:
    stream = io.StringIO() if out is None else out
    configure_logging(LogSettings(format=form, level=level), stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_people_read_milliseconds() -> None:
    out = configured(out=Terminal(), form=LogFormat.CONSOLE)
    structlog.get_logger("baton.jobs").info("segment_done")
    assert re.match(r"(\x1b\[\d+m)*\d\d:\d\d:\d\d\.\d{3}(\x1b\[\d+m| )", out.getvalue())


def test_a_flood_of_refusals_is_bounded_and_told() -> None:
    out = configured()
    for _ in range(500):
        structlog.get_logger("baton.segments").info("segment refused", peer="198.51.100.7", reason="x")
    assert 50 <= len(lines(out)) < 500


def test_json_lines_carry_event_level_room_time_and_fields() -> None:
    out = configured()
    structlog.get_logger("baton.jobs").info("segment_done", seq=3, took_s=0.5, names=("a", "b"))
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "segment_done",
        "level": "info",
        "logger": "baton.jobs",
        "seq": 3,
        "took_s": 0.5,
        "names": ["a", "b"],
    }


def test_json_lines_begin_with_what_a_reader_looks_for() -> None:
    out = configured()
    structlog.get_logger("baton.jobs").info("done", aaa=1)
    assert list(lines(out)[0]) == ["timestamp", "level", "logger", "event", "aaa"]


def test_fields_without_text_are_for_programs_only() -> None:
    texts = {}
    for form in (LogFormat.CONSOLE, LogFormat.JSON):
        out = configured(form=form)
        structlog.get_logger("baton.jobs").info("done", detail="", seq=0, late=False)
        texts[form] = out.getvalue()
    assert "detail" not in texts[LogFormat.CONSOLE]
    assert "seq=0 late=False" in texts[LogFormat.CONSOLE]
    assert '"detail":""' in texts[LogFormat.JSON]


def test_context_of_a_request_is_on_each_of_its_lines() -> None:
    out = configured()
    with structlog.contextvars.bound_contextvars(session="abc"):
        structlog.get_logger("baton.jobs").info("one")
    structlog.get_logger("baton.jobs").info("two")
    assert [line.get("session") for line in lines(out)] == ["abc", None]


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("error", ["e", "c"]),
        ("warning", ["w", "e", "c"]),
        ("info", ["i", "w", "e", "c"]),
        ("debug", ["d", "i", "w", "e", "c"]),
    ],
)
def test_levels(level: str, seen: list[str]) -> None:
    out = configured(level=level)
    log = structlog.get_logger("baton.x")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")
    log.critical("c")
    assert [line["event"] for line in lines(out)] == seen


def test_libraries_are_heard_from_warning_on() -> None:
    out = configured()
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", "x\ny")
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    assert [(line["logger"], line["event"]) for line in lines(out)] == [
        ("uvicorn.error", r"Invalid HTTP request x\ny"),
        ("asyncio", "Task exception was never retrieved"),
    ]


def test_debug_does_not_open_the_libraries_debug_lines() -> None:
    out = configured(level="debug")
    logging.getLogger("hpack").debug("decoded :path /segment")
    assert out.getvalue() == ""


def test_python_warnings_become_lines() -> None:
    out = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
    (line,) = [line for line in lines(out) if "old thing" in line["event"]]
    assert line["logger"] == "py.warnings"


def test_secrets_are_hidden_wherever_they_stand() -> None:
    out = configured()
    structlog.get_logger("baton.x").info(
        "asked",
        password="hunter2",
        auth_token=b"hunter2",
        headers={"Authorization": "Bearer hunter2", "host": "a"},
        nested=[{"api_key": "hunter2"}],
        url="https://u:hunter2@a/b?X-Amz-Signature=hunter2&x=1",
        reason=ValueError("cannot reach https://u:hunter2@a"),
        signature="",
        verify_signatures=True,
        keys=("hunter2",),
    )
    assert "hunter2" not in out.getvalue()
    (line,) = lines(out)
    assert line["password"] == line["auth_token"] == "***"
    assert line["headers"] == {"Authorization": "***", "host": "a"}
    assert line["url"] == "https://***@a/b?X-Amz-Signature=***&x=1"
    assert line["signature"] == ""
    assert line["verify_signatures"] is True


def test_a_traceback_is_in_the_line_and_without_secrets() -> None:
    out = configured()

    def fail() -> None:
        message = "no route to https://u:hunter2@a\x1b[2J"
        raise OSError(message)

    try:
        fail()
    except OSError:
        structlog.get_logger("baton.x").exception("fetch_failed")
    try:
        fail()
    except OSError:
        logging.getLogger("asyncio").exception("lost")
    assert "hunter2" not in out.getvalue()
    for line in lines(out):
        assert "Traceback" in line["exception"]
        assert "https://***@a\\x1b[2J" in line["exception"]


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.CONSOLE])
def test_hostile_text_cannot_forge_lines_or_drive_the_terminal(form: LogFormat) -> None:
    out = configured(form=form)
    evil = "x\n2030-01-01 [info] node_drained\x1b[2J\x9b31m\u202e\udcff\r"
    structlog.get_logger("baton.x").info("named", manifest_id=evil, **{f"k{evil}": 1})
    logging.getLogger("uvicorn.error").warning(evil)
    text = out.getvalue()
    assert len(text.splitlines()) == 2
    assert not any(c in text for c in "\x1b\x9b\u202e\udcff\r")


def test_values_are_bounded() -> None:
    out = configured()
    structlog.get_logger("baton.x").info(
        "big", text="x" * 100_000, many=list(range(1000)), blob=bytes(1000), wei=1 << 200, deep=[[[[[["x"]]]]]]
    )
    (line,) = lines(out)
    assert len(out.getvalue()) < 6000
    assert line["blob"] == "00" * 32 + "..."
    assert line["wei"] == str(1 << 200)
    assert len(line["many"]) == 50


def test_a_terminal_gets_colours_and_a_pipe_gets_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    configured(out=terminal, form=LogFormat.AUTO)
    structlog.get_logger("baton.x").info("hello", n=1)
    assert "\x1b[" in terminal.getvalue()
    pipe = configured(form=LogFormat.AUTO)
    structlog.get_logger("baton.x").info("hello", n=1)
    assert lines(pipe)[0]["event"] == "hello"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    configured(out=plain, form=LogFormat.AUTO)
    structlog.get_logger("baton.x").info("hello", n=1)
    assert "\x1b[" not in plain.getvalue()
    assert "hello" in plain.getvalue()
    assert "n=1" in plain.getvalue()


def test_a_closed_stream_does_not_raise() -> None:
    out = configured()
    log = structlog.get_logger("baton.x")
    log.info("before")
    out.close()
    log.info("after")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, ["error"]),
        (1, ["error", "warning"]),
        (2, ["error", "warning"]),
        (3, ["error", "warning", "info"]),
        (4, ["error", "warning", "info"]),
        (5, ["error", "warning", "info", "debug"]),
        (99, ["error", "warning", "info", "debug"]),
    ],
)
def test_the_level_changes_while_the_node_runs_for_loggers_made_before(number: int, shown: list[str]) -> None:
    out = configured(level="info")
    log = structlog.get_logger("baton.jobs")
    log.debug("before")
    verbosity = LogVerbosity("info")
    assert verbosity.number == 3
    verbosity.set(number)
    assert verbosity.number == number
    log.error("e")
    log.warning("w")
    log.info("i")
    log.debug("d")
    assert [line["level"] for line in lines(out)] == shown


def test_libraries_show_more_only_when_everything_is_wanted() -> None:
    out = configured(level="info")
    verbosity = LogVerbosity("info")
    logging.getLogger("uvicorn").info("first")
    verbosity.set(6)
    logging.getLogger("uvicorn").info("second")
    verbosity.set(3)
    logging.getLogger("uvicorn").info("third")
    assert [line["event"] for line in lines(out)] == ["second"]
