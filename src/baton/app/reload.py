"""SIGHUP: what can change while the node runs is read again, and what cannot is named. The node never dies of it."""

import asyncio
from collections.abc import Callable

import structlog

from baton.config.load import Loaded
from baton.kernel.errors import ConfigError
from baton.node.manager import ServiceManager
from baton.ops.logs import LogVerbosity
from baton.wire.tls import CertificateSource

__all__ = ["Reload"]

log = structlog.get_logger("baton.app")

_LEVEL = "log-level"


class Reload:
    """Reads settings and certificate again when asked. ``run`` as a service; ``ask`` from a signal handler."""

    def __init__(
        self,
        loaded: Loaded,
        again: Callable[[], Loaded],
        verbosity: LogVerbosity,
        certificate: CertificateSource | None,
        manager: ServiceManager,
    ) -> None:
        """``again`` reads the settings as at the start and raises ``ConfigError`` for problems; blocking."""
        self._in_force = {row.name: row.shown for row in loaded.provenance}
        self._again = again
        self._verbosity = verbosity
        self._certificate = certificate
        self._manager = manager
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read again soon; any number of times."""
        self._asked.set()

    async def run(self) -> None:
        """Service body: wait to be asked, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._manager.reloading()
            try:
                await self._once()
            finally:
                self._manager.reloaded()

    async def _once(self) -> None:
        fresh = self._certificate is not None and await self._certificate.refresh()
        try:
            loaded = await asyncio.to_thread(self._again)
        except ConfigError as error:
            log.error("settings not reloaded", problems=error.problems, certificate=fresh)  # noqa: TRY400 -- it says all
            return
        rows = {row.name: row.shown for row in loaded.provenance}
        waiting = [name for name, shown in rows.items() if shown != self._in_force.get(name) and name != _LEVEL]
        self._verbosity.set_level(loaded.settings.logs.level)
        log.warning("settings reloaded", log_level=loaded.settings.logs.level, certificate=fresh)
        if waiting:
            log.warning("settings changed that need a restart", settings=waiting)
