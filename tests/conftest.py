"""Plumbing of all tests: property tests without a stopwatch, and the watch over skipped tests."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.skips import AllowedSkips, Skip

pytest_plugins = ("tests.devnet.fixtures", "tests.postgres")
# Cores are shared with other work, so how long one example takes says nothing.
hypothesis.settings.register_profile("baton", deadline=None, print_blob=True)
# Elsewhere every run searches on; a run that judges a change tries the same examples each time.
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "baton")

_RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_runtest_setup() -> None:
    """Give every test the interpreter's own recursion limit, as the node has it, and logs that nobody has muted.

    A library that only tests use (``py_ecc``, by way of ``eth-account``) lifts it to 100 000 when it is imported. Then
    deeply nested JSON ends the process instead of raising.
    """
    sys.setrecursionlimit(_RECURSION_LIMIT)
    structlog.reset_defaults()
    logging.getLogger("baton").setLevel(logging.NOTSET)


class SkipWatch:
    """Collects what skipped and fails the run for what was not allowed to. One per pytest run, in its main process."""

    def __init__(self, allowed: AllowedSkips, *, strict: bool) -> None:
        """``strict`` makes an unlisted skip an error."""
        self._allowed = allowed
        self._strict = strict
        self._unlisted: list[Skip] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test skipped while it was set up or ran."""
        if not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole file skipped."""
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skip = Skip(test_id=report.nodeid, reason=reason.removeprefix("Skipped: "))
        if not self._allowed.allows(skip):
            self._unlisted.append(skip)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        """Turn unlisted skips into failure."""
        if self._strict and self._unlisted and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the unlisted skips."""
        if self._unlisted:
            verdict = "and CI=true: the run fails" if self._strict else "CI would fail"
            terminalreporter.section(f"skipped without being listed in tests/allowed_skips.toml ({verdict})")
            for skip in self._unlisted:
                terminalreporter.line(f"{skip.test_id}: {skip.reason}")


def pytest_configure(config: pytest.Config) -> None:
    """Watch skips in the main process; workers of xdist report to it."""
    if not hasattr(config, "workerinput"):
        allowed = AllowedSkips.load(Path(__file__).with_name("allowed_skips.toml"))
        strict = os.environ.get("CI", "").lower() == "true"
        config.pluginmanager.register(SkipWatch(allowed, strict=strict), "baton-skip-watch")
