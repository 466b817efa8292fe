"""``GET /baton/tickets`` and ``GET /baton/balances``: money for the operator of this machine, read only."""

import orjson
from fastapi import FastAPI, Response

from baton.kernel.redaction import printable
from baton.ops.money import MOST_ROWS, MoneyView, MoneyViewError, balances_json, tickets_json

__all__ = ["MoneyRoutes"]

_OK, _CONFLICT, _UNAVAILABLE = 200, 409, 503
_OFFCHAIN = "this node is off-chain: nobody pays it, so it has no tickets and no balances"


class MoneyRoutes:
    """What each of them answers."""

    def __init__(self, view: MoneyView | None) -> None:
        """``view`` None: the node is off-chain, and says so."""
        self._view = view

    def attach(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route("/baton/tickets", self.tickets, methods=["GET"])
        app.add_api_route("/baton/balances", self.balances, methods=["GET"])

    async def tickets(self) -> Response:
        """Winners by state, and the newest."""
        if self._view is None:
            return _answer({"error": _OFFCHAIN}, status=_CONFLICT)
        try:
            return _answer(tickets_json(await self._view.tickets(limit=MOST_ROWS)))
        except MoneyViewError as error:
            return _answer({"error": printable(str(error), limit=300)}, status=_UNAVAILABLE)

    async def balances(self) -> Response:
        """Accounts, those used last first."""
        if self._view is None:
            return _answer({"error": _OFFCHAIN}, status=_CONFLICT)
        return _answer(balances_json(await self._view.balances(limit=MOST_ROWS)))


def _answer(content: dict[str, object], *, status: int = _OK) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
