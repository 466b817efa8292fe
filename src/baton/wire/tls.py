"""TLS of the service port: where the certificate comes from, and how a new one is taken without a restart.

The context that listeners hold never changes; each handshake is moved to the newest good context. So a new
certificate serves new connections at once, even with another kind of key, and a broken file changes nothing.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import ConfigError, ExitCode, StartError
from baton.wire.self_signed import CERTIFICATE_FILE, PRIVATE_KEY_FILE, ensure_pair

__all__ = ["ALPN_PROTOCOLS", "CertificateSource"]

log = structlog.get_logger("baton.wire")

ALPN_PROTOCOLS: Final = ("h2", "http/1.1")
"""Both must be offered: recent gRPC clients refuse a server that does not choose ``h2`` (video.md 1.1)."""

_POLL_S: Final = 3.0

_Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateSource:
    """The certificate of a port, fresh at every handshake."""

    def __init__(
        self, *, certificate_file: Path, private_key_file: Path, renew: Callable[[], bool], poll_s: float = _POLL_S
    ) -> None:
        """Use ``self_signed`` or ``from_files``; ``renew`` sees that the files are there, and says whether it wrote."""
        self._certificate_file = certificate_file
        self._private_key_file = private_key_file
        self._renew = renew
        self._poll_s = poll_s
        self._stamp = self._look()
        self._current = _load(certificate_file, private_key_file)
        self.context = _load(certificate_file, private_key_file)
        """What listeners take."""
        self.context.sni_callback = self._move_to_current

    @classmethod
    def self_signed(cls, directory: Path, *, host: str, clock: Clock, poll_s: float = _POLL_S) -> "CertificateSource":
        """A pair of our own in ``directory``, kept over restarts and made anew before it expires.

        Raises:
            StartError: the directory cannot be written.
        """

        def renew() -> bool:
            made = ensure_pair(directory, host=host, now_s=clock.now())
            if made:
                log.info("self-signed certificate made", host=host)
            return made

        renew()
        try:
            return cls(
                certificate_file=directory / CERTIFICATE_FILE,
                private_key_file=directory / PRIVATE_KEY_FILE,
                renew=renew,
                poll_s=poll_s,
            )
        except OSError as error:
            message = f"cannot use the certificate in {directory}: {error}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from error

    @classmethod
    def from_files(
        cls, certificate_file: Path, private_key_file: Path, *, poll_s: float = _POLL_S
    ) -> "CertificateSource":
        """The operator's own pair (PEM, the chain in the certificate file), watched for changes.

        Raises:
            ConfigError: the files are unreadable, encrypted, or do not belong together.
        """
        try:
            return cls(
                certificate_file=certificate_file,
                private_key_file=private_key_file,
                renew=lambda: False,
                poll_s=poll_s,
            )
        except OSError as error:
            problem = f"certificate {certificate_file} with key {private_key_file} cannot be used: {error}"
            raise ConfigError((problem,)) from error

    async def run(self) -> None:
        """Watch the files until cancelled. A pair that cannot be used is logged once and changes nothing."""
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()

    async def refresh(self) -> bool:
        """Look at the files once; whether a new pair was taken."""
        try:
            await asyncio.to_thread(self._renew)
        except StartError as error:
            log.warning("self-signed certificate could not be renewed", cause=str(error))
        stamp = await asyncio.to_thread(self._look)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._current = await asyncio.to_thread(_load, self._certificate_file, self._private_key_file)
        except OSError as error:
            log.warning(
                "new certificate cannot be used, the old one stays",
                certificate=str(self._certificate_file),
                cause=str(error),
            )
            return False
        log.info("certificate taken", certificate=str(self._certificate_file))
        return True

    def _look(self) -> _Stamp:
        """What the files look like from outside; changes when either is replaced or written."""
        found: list[tuple[int, int, int] | None] = []
        for path in (self._certificate_file, self._private_key_file):
            stamp = None
            with contextlib.suppress(OSError):
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            found.append(stamp)
        return tuple(found)

    def _move_to_current(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """Called in each handshake, whether or not the client names a server."""
        del name
        connection.context = self._current


def _load(certificate_file: Path, private_key_file: Path) -> ssl.SSLContext:
    """A server context with the pair. Raises ``OSError`` (``ssl.SSLError`` is one) when it cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(ALPN_PROTOCOLS))
    # An encrypted key must fail here; without a callback OpenSSL would ask the terminal.
    context.load_cert_chain(certificate_file, private_key_file, password=lambda: b"")
    return context
