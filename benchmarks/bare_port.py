"""Baton's service port with nothing behind it: its listener, TLS and HTTP as in a node, and a body that is forgotten.

``python -m benchmarks.bare_port FOLDER`` prints its port and serves until it is ended. What the port costs can thus be
told from what hashing and keeping a segment cost.
"""

import asyncio
import sys
from pathlib import Path

import structlog

from baton.kernel.clock import SystemClock
from baton.kernel.metrics import SilentMetrics
from baton.wire.limits import ListenerLimits
from baton.wire.listener import Listener
from baton.wire.replies import Receive, Scope, Send, send_error
from baton.wire.tls import CertificateSource


async def _forget(scope: Scope, receive: Receive, send: Send) -> None:
    """Take the body, then refuse, as a node refuses a segment whose hash is wrong."""
    del scope
    while (await receive()).get("more_body", False):
        pass
    await send_error(send, 403, "Forbidden")


async def _serve(folder: Path) -> None:
    certificate = CertificateSource.self_signed(folder, host="127.0.0.1", clock=SystemClock())
    listener = Listener(
        app=_forget,
        host="127.0.0.1",
        port=0,
        tls=certificate.context,
        limits=ListenerLimits(),
        metrics=SilentMetrics(),
        clock=SystemClock(),
    )
    await listener.start()
    print(listener.port, flush=True)
    await listener.run()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout carries the port alone
    asyncio.run(_serve(Path(sys.argv[1])))
