"""The last catch around the application of a port: whatever fails in a request stays in that request."""

import structlog

from baton.kernel.errors import Text
from baton.wire.replies import Message, Receive, Scope, Send, send_error
from baton.wire.router import App

__all__ = ["ErrorBoundary"]

log = structlog.get_logger("baton.wire")

_INTERNAL = 500


class ErrorBoundary:
    """An ASGI application around ``app``.

    An exception before the answer becomes a 500; after it, the answer is left unfinished, which the protocol shows to
    the client as a broken stream. Either way it is logged once and goes no further.
    """

    def __init__(self, app: App) -> None:
        """``app`` is what the port serves."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            log.exception("request failed unexpectedly", path=scope.get("path", ""), peer=scope.get("client"))
            if not started and scope["type"] == "http":
                await send_error(send, _INTERNAL, Text.INTERNAL)
