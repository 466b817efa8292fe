"""The management port: health, readiness, status, drain and metrics for the operator of this machine.

Plain HTTP, loopback by default. ``/healthz`` answers as long as the event loop runs; ``/readyz`` is 200 when gateways
can be served and else 503 with the reasons; both need no token, so that any supervisor can ask. What the reference
serves on this port is in ``ops.known_routes``. Every request passes ``ops.guard`` first.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import orjson
import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from baton.config.addresses import is_loopback
from baton.config.model import BindAddress
from baton.kernel.errors import ExitCode, StartError
from baton.node.drain import Drain, DrainState, IllegalMoveError
from baton.node.service import Service
from baton.ops.guard import Guard
from baton.ops.known_routes import KnownRoutes
from baton.ops.metrics import CONTENT_TYPE, PrometheusMetrics
from baton.ops.money_routes import MoneyRoutes
from baton.ops.plain import error
from baton.ops.status import StatusBoard
from baton.ops.token import TOKEN_FILE, ensure_token

__all__ = ["Leaver", "ManagementPort", "MetricsPage", "Routes"]

_BACKLOG = 64
_MOST_CONNECTIONS = 64
_KEEP_ALIVE_S = 5
_GRACE_S = 2
_NOT_FOUND = 404

log = structlog.get_logger("baton.ops")


class Leaver(Protocol):
    """Whoever ends the node: the supervisor."""

    def request_stop(self) -> None:
        """Drain, then end."""
        ...


class MetricsPage:
    """What ``/metrics`` shows."""

    def __init__(self, *, metrics: PrometheusMetrics, sample: Callable[[], None]) -> None:
        """``sample`` brings the gauges up to date before each reading."""
        self._metrics = metrics
        self._sample = sample
        self._reading = asyncio.Lock()

    async def read(self) -> bytes:
        """The text. One reading at a time: however many ask, the node's threads are there for segments."""
        async with self._reading:
            self._sample()
            return await asyncio.to_thread(self._metrics.exposition)


class _Json(JSONResponse):
    def render(self, content: object) -> bytes:
        return orjson.dumps(content, default=str)


class Routes:
    """What each route answers."""

    def __init__(self, *, board: StatusBoard, drain: Drain, known: KnownRoutes, metrics: MetricsPage | None) -> None:
        """Without ``metrics`` there is no ``/metrics``."""
        self._board = board
        self._drain = drain
        self._known = known
        self._metrics = metrics
        self.leaver: Leaver | None = None
        """Who ends the node; made after its services, so it is named later."""

    def application(self) -> FastAPI:
        """The ASGI application, without pages that describe it."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, default_response_class=_Json)
        app.add_api_route("/healthz", self.healthz, methods=["GET", "HEAD"])
        app.add_api_route("/readyz", self.readyz, methods=["GET", "HEAD"])
        app.add_api_route("/baton/status", self.status, methods=["GET"])
        app.add_api_route("/baton/drain", self.drain, methods=["POST"])
        app.add_api_route("/baton/undrain", self.undrain, methods=["POST"])
        if self._metrics is not None:
            app.add_api_route("/metrics", self.metrics, methods=["GET", "HEAD"])
        MoneyRoutes(self._board.money).attach(app)
        self._known.attach(app)
        app.add_exception_handler(HTTPException, _no_route)
        return app

    async def healthz(self) -> Response:
        """The event loop runs."""
        return Response("ok\n", media_type="text/plain")

    async def readyz(self) -> Response:
        """Whether gateways can be served, and if not, why."""
        reasons = self._board.reasons()
        content = {"ready": not reasons, "state": self._drain.state.value, "reasons": reasons}
        return _Json(content, status_code=503 if reasons else 200)

    async def status(self) -> Response:
        """Everything the node says about itself."""
        return _Json(self._board.as_json())

    async def drain(self, request: Request) -> Response:
        """Take no new streams; with ``?exit=true`` also end, as after SIGTERM."""
        if request.query_params.get("exit") != "true":
            return self._move(DrainState.DRAINING, event="drain requested")
        if self.leaver is None:
            return _Json({"error": "this node cannot be ended from here"}, status_code=409)
        if self._drain.state in {DrainState.CLOSING, DrainState.STOPPED}:
            return _Json({"error": "the node is ending already"}, status_code=409)
        log.warning("exit requested")
        self.leaver.request_stop()
        return _Json({"state": DrainState.DRAINING.value, "ends": True})

    async def undrain(self) -> Response:
        """Take new streams again."""
        return self._move(DrainState.SERVING, event="drain called off")

    async def metrics(self) -> Response:
        """Numbers for Prometheus."""
        content = await self._metrics.read() if self._metrics is not None else b""
        return Response(content, headers={"content-type": CONTENT_TYPE})

    def _move(self, after: DrainState, *, event: str) -> Response:
        before = self._drain.state
        if before is not after:
            if before is DrainState.STARTING:
                return _Json({"error": "the node is still starting"}, status_code=409)
            try:
                self._drain.move(after)
            except IllegalMoveError as problem:
                return _Json({"error": str(problem)}, status_code=409)
            log.warning(event)
        return _Json({"state": after.value, "ends": False})


async def _no_route(_request: Request, problem: Exception) -> Response:
    """No such path, or not with this method; the first in the reference's words."""
    if not isinstance(problem, HTTPException):
        raise problem
    if problem.status_code == _NOT_FOUND:
        return error(_NOT_FOUND, "404 page not found")
    answer = error(problem.status_code, str(problem.detail))
    answer.headers.update(problem.headers or {})
    return answer


class _Server(uvicorn.Server):
    """A server that leaves signals to the node."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # uvicorn declares a generator
        """Do nothing: the supervisor owns signals."""
        return nullcontext()


class ManagementPort:
    """The port as a service of the node."""

    def __init__(
        self,
        *,
        bind: BindAddress,
        data_dir: Path,
        board: StatusBoard,
        drain: Drain,
        known: KnownRoutes,
        metrics: MetricsPage | None,
    ) -> None:
        """Opens nothing yet; the data directory must exist when the service starts."""
        self._bind = bind
        self._data_dir = data_dir
        self._token = ""
        self._routes = Routes(board=board, drain=drain, known=known, metrics=metrics)
        guard = Guard(app=self._routes.application(), token=lambda: self._token, loopback_only=is_loopback(bind.host))
        self._server = _Server(
            uvicorn.Config(
                guard,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=_BACKLOG,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._socket: socket.socket | None = None
        self._ended = asyncio.Event()
        self._ended.set()

    @property
    def port(self) -> int:
        """The port that is really bound; only after the start."""
        if self._socket is None:
            message = "the management port is not bound yet"
            raise RuntimeError(message)
        return int(self._socket.getsockname()[1])

    def answer_to(self, leaver: Leaver) -> None:
        """Name who ends the node when ``baton drain --exit`` asks for it."""
        self._routes.leaver = leaver

    def as_service(self) -> Service:
        """For the supervisor. Start it first: then health and status can be asked while the rest comes up."""
        return Service("management port", self._run, start=self._start, stop=self._stop, stop_budget_s=_GRACE_S + 1.0)

    async def _start(self) -> None:
        try:
            self._token = await asyncio.to_thread(ensure_token, self._data_dir)
        except OSError as problem:
            message = f"{self._data_dir / TOKEN_FILE}: {problem.strerror}"
            raise StartError(message, exit_code=ExitCode.DATA_DIR) from problem
        self._socket = _listen(self._bind)
        log.info("management listening", host=self._bind.host or "all interfaces", port=self.port)

    async def _run(self) -> None:
        if self._socket is None:
            message = "the management port is not bound yet"
            raise RuntimeError(message)
        self._ended.clear()
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ended.set()

    async def _stop(self) -> None:
        self._server.should_exit = True
        await self._ended.wait()


def _listen(bind: BindAddress) -> socket.socket:
    """A listening socket, both protocols on all interfaces.

    Raises:
        StartError: the address is in use, not ours, or not allowed.
    """
    try:
        if bind.host:
            info = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            return socket.create_server((bind.host, bind.port), family=info[0], backlog=_BACKLOG)
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", bind.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as problem:
        where = f"{bind.host or 'all interfaces'}, port {bind.port}"
        # The standard library adds the address, which is said already.
        reason = str(problem.strerror).partition(" (while ")[0]
        reason = "it is in use" if problem.errno == errno.EADDRINUSE else reason
        message = f"--cli-addr: cannot listen on {where}: {reason}"
        raise StartError(message, exit_code=ExitCode.PORT_IN_USE) from problem
