"""Log lines: for people on a terminal, JSON otherwise, always on standard error, always safe to read.

Every line of the process goes through here, those of libraries that use ``logging`` included. Secrets are hidden by
field name and inside URLs, text of strangers loses its control characters, and values are bounded. The rules are
``kernel.redaction``'s.
"""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from baton.config.model import LogFormat, LogSettings
from baton.kernel.redaction import HIDDEN, is_secret_name, mask_urls, printable
from baton.ops.flood import LineBudget

__all__ = ["LogVerbosity", "clean", "configure_logging"]

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_VERBOSITIES = {"error": 0, "warning": 1, "info": 3, "debug": 5}
"""The least verbosity of the reference that shows a level, rising."""
_LONGEST_VALUE = 2048
_LONGEST_TRACE = 16_384
_MOST_ITEMS = 50
_SHOWN_BYTES = 32
_LARGEST_JSON_INT = (1 << 63) - 1
_DEEPEST = 4
_TRACE_KEYS = ("exception", "stack")
_HEAD = ("timestamp", "level", "logger", "event")


def configure_logging(settings: LogSettings, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (standard error) in the chosen form."""
    out = sys.stderr if stream is None else stream
    terminal = out.isatty()
    for_people = settings.format is LogFormat.CONSOLE or (settings.format is LogFormat.AUTO and terminal)
    level = _LEVELS[settings.level]
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        _time_of_day if for_people else structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    render: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, clean]
    if for_people:
        render.append(_without_blanks)
        colours = terminal and not os.environ.get("NO_COLOR")
        render.append(structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False, pad_event_to=28))
    else:
        render += [_head_first, structlog.processors.JSONRenderer(serializer=_to_json)]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=render))
    handler.addFilter(LineBudget())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    _set_level(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "aiohttp.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a closed standard error must not take the node with it


class LogVerbosity:
    """How much of this process is logged, in the reference's numbers, and the means to change it while it runs."""

    def __init__(self, level: str) -> None:
        """``level`` is the level that ``configure_logging`` was given."""
        self._number = _VERBOSITIES[level]

    @property
    def number(self) -> int:
        """0 errors, 1 and 2 warnings, 3 and 4 information, from 5 on everything; as it was last set."""
        return self._number

    def set_level(self, level: str) -> None:
        """Log from this level on from now on."""
        self.set(_VERBOSITIES[level])

    def set(self, number: int) -> None:
        """Log this much from now on."""
        self._number = number
        names = [name for name, least in _VERBOSITIES.items() if number >= least]
        _set_level(_LEVELS[names[-1] if names else "error"])


def _set_level(level: int) -> None:
    """Least important level of lines; of libraries only warnings, unless everything is wanted."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    logging.getLogger().setLevel(logging.INFO if level == logging.DEBUG else max(level, logging.WARNING))
    logging.getLogger("baton").setLevel(level)


def _time_of_day(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For people: this machine's time, to the millisecond."""
    event["timestamp"] = datetime.now().astimezone().time().isoformat(timespec="milliseconds")
    return event


def clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make a line safe: a structlog processor, run last before rendering."""
    safe: EventDict = {}
    for key, value in event.items():
        if key in _TRACE_KEYS:
            safe[key] = printable(mask_urls(str(value)), limit=_LONGEST_TRACE, keep_newlines=True)
        else:
            safe[printable(str(key), limit=80)] = _safe(str(key), value, 0)
    return safe


def _without_blanks(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """People need no fields that say nothing; programs get every field of a line each time."""
    return {key: value for key, value in event.items() if value != ""}


def _head_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Time, level, room and event in front, so that lines can be read without a program too."""
    head: EventDict = {key: event[key] for key in _HEAD if key in event}
    head.update(event)
    return head


def _safe(key: str, value: object, depth: int) -> object:
    """``value`` bounded, harmless and without secrets; numbers and truth values stay what they are."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_LARGEST_JSON_INT <= value <= _LARGEST_JSON_INT else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {printable(str(k), limit=80): _safe(f"{key}.{k}", v, depth + 1) for k, v in pairs}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_safe(key, item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
    return _safe_text(key, value)


def _safe_text(key: str, value: object) -> str:
    if is_secret_name(key):
        return HIDDEN if value else ""
    if isinstance(value, bytes | bytearray):
        return f"{bytes(value[:_SHOWN_BYTES]).hex()}{'...' if len(value) > _SHOWN_BYTES else ''}"
    text = value if isinstance(value, str) else str(value)
    return printable(mask_urls(text), limit=_LONGEST_VALUE)


def _to_json(event: EventDict, **_options: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
