"""Prices on the management port: what they are, and changing them, in the reference's words and in ours.

``/setPriceForBroadcaster``, ``/setMaxFaceValue`` and the price of ``/setOrchestratorConfig`` are operator.md 11.2, with
its texts; ours is ``/baton/prices``. Changes are POST only, which ``ops.guard`` lets through for the operator alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import orjson
import structlog
from fastapi import FastAPI, Request, Response

from baton.kernel.amounts import PriceText, price_text, rational, whole
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address, address_from_hex, to_checksum_hex
from baton.ops.plain import error, parameter, text

__all__ = ["DEFAULT_NAME", "NoPrices", "PriceDesk", "PriceRoutes", "ShownPrice"]

log = structlog.get_logger("baton.ops")

_OK, _BAD_REQUEST, _CONFLICT, _INTERNAL = 200, 400, 409, 500
_MOST_UNITS = 10**30
DEFAULT_NAME = "default"
"""Stands for every gateway that has no price of its own."""


@dataclass(frozen=True, slots=True)
class ShownPrice:
    """One price in force; gateway None is everybody else."""

    gateway: Address | None
    price: PriceText
    units: int
    wei_per_unit: Fraction
    at_run_time: bool
    """Set by the operator while the node ran, and not by its configuration."""


class PriceDesk(Protocol):
    """The prices in force, which an operator may change while the node runs."""

    def prices(self) -> tuple[ShownPrice, ...]:
        """All of them, the default first."""
        ...

    def more(self) -> Mapping[str, object]:
        """What belongs to them: exchange rate, limits, overhead, as JSON."""
        ...

    async def change(self, gateway: Address | None, price: PriceText, units: int) -> Fraction:
        """Put a price in force, now and after restarts; the wei per unit.

        Raises:
            BatonError: it cannot be.
            OSError: it cannot be kept; the price is what it was.
        """
        ...

    async def forget(self, gateway: Address | None) -> Fraction:
        """Put the configured price in force again; raises like ``change``."""
        ...

    async def set_max_face_value(self, limit_wei: int) -> None:
        """Bound face values, now and after restarts; raises like ``change``."""
        ...


class _BadFormError(Exception):
    """What is wrong with a form, in the words of its answer."""


class PriceRoutes:
    """What each of them answers."""

    def __init__(self, *, desk: PriceDesk) -> None:
        """``desk`` holds the prices."""
        self._desk = desk

    def changes(self) -> dict[str, Callable[..., Awaitable[Response]]]:
        """The reference's changing routes that a node with prices has."""
        return {
            "/setPriceForBroadcaster": self.set_price,
            "/setOrchestratorConfig": self.set_config,
            "/setMaxFaceValue": self.set_max_face_value,
        }

    def attach(self, app: FastAPI) -> None:
        """Add our own routes."""
        app.add_api_route("/baton/prices", self.prices, methods=["GET"])
        app.add_api_route("/baton/prices", self.change, methods=["POST"])

    def known_prices(self) -> dict[str, str]:
        """Wei per pixel as the reference's status has them: ``{"default": "5/2", "0x...": "7"}``."""
        return {_known_name(row.gateway): str(row.wei_per_unit) for row in self._desk.prices()}

    # The reference's.

    async def set_price(self, request: Request) -> Response:
        """Change the price for one gateway, or for all others."""
        fields = {name: await parameter(request, name) for name in ("pricePerUnit", "pixelsPerUnit", _GATEWAY)}
        for name, word in fields.items():
            if not word:
                return error(_BAD_REQUEST, f"missing form param: {name}")
        try:
            gateway = _known_gateway(fields[_GATEWAY])
            price, units = _known_price(
                fields["pricePerUnit"], fields["pixelsPerUnit"], await parameter(request, "currency")
            )
        except _BadFormError as problem:
            return error(_BAD_REQUEST, str(problem))
        refusal, per_unit = await self._put(gateway, price, units)
        if refusal is not None:
            return refusal
        name = DEFAULT_NAME if gateway is None else fields[_GATEWAY]
        return text(f"Price per pixel set to {per_unit * units} wei for {units} pixels for broadcaster {name}")

    async def set_config(self, request: Request) -> Response:
        """Change the price for all who have none of their own; what needs a transaction is not there yet."""
        for name in ("blockRewardCut", "feeShare", "serviceURI"):
            if await parameter(request, name):
                return error(_INTERNAL, f"{name} is not supported yet by this version, nothing was changed")
        price, units = await parameter(request, "pricePerUnit"), await parameter(request, "pixelsPerUnit")
        if not price or not units:
            return text("")
        try:
            asked = _known_price(price, units, await parameter(request, "currency"))
        except _BadFormError as problem:
            return error(_BAD_REQUEST, str(problem))
        refusal, _ = await self._put(None, *asked)
        return refusal or text("")

    async def set_max_face_value(self, request: Request) -> Response:
        """Change the limit of face values."""
        word = await parameter(request, "maxfacevalue")
        if not word:
            return error(_BAD_REQUEST, "missing form param: maxfacevalue")
        limit = whole(word)
        if limit is None or not 0 <= limit <= _MOST_UNITS:
            return error(_BAD_REQUEST, "maxfacevalue not set to number")
        try:
            await self._desk.set_max_face_value(limit)
        except BatonError as problem:
            return error(_BAD_REQUEST, f"maxfacevalue: {problem}")
        except OSError as problem:
            log.exception("limit of face values cannot be kept")
            return error(_INTERNAL, f"the limit cannot be kept: {problem.strerror}")
        return text("ticket max face value set")

    async def _put(self, gateway: Address | None, price: PriceText, units: int) -> tuple[Response | None, Fraction]:
        """A refusal, or the wei per pixel that are in force now."""
        try:
            return None, await self._desk.change(gateway, price, units)
        except BatonError as problem:
            return error(_BAD_REQUEST, f"error converting price: {problem}"), Fraction(0)
        except OSError as problem:
            log.exception("prices cannot be kept")
            return error(_INTERNAL, f"the price cannot be kept: {problem.strerror}"), Fraction(0)

    # Ours.

    async def prices(self) -> Response:
        """All prices in force, and what they come from."""
        return _json(self._content())

    async def change(self, request: Request) -> Response:
        """Set the ``price`` of so many ``units`` for a ``gateway``, or ``remove`` it; the answer is all prices."""
        word, remove = await parameter(request, "price"), await parameter(request, "remove")
        try:
            gateway = _gateway(await parameter(request, "gateway"))
            if remove == "true":
                await self._desk.forget(gateway)
            else:
                price = price_text(word)
                if price is None:
                    message = "price must be a number with an optional currency, such as 1200 or 0.41USD"
                    raise _BadFormError(message)  # noqa: TRY301 -- one answer for all of them
                await self._desk.change(gateway, price, self._units(await parameter(request, "units"), gateway))
        except (_BadFormError, BatonError) as problem:
            return _json({"error": str(problem)}, status=_BAD_REQUEST)
        except OSError as problem:
            log.exception("prices cannot be kept")
            return _json({"error": f"the price cannot be kept: {problem.strerror}"}, status=_INTERNAL)
        return _json(self._content())

    def _units(self, word: str, gateway: Address | None) -> int:
        """The units that were given, or else those of the price that holds for the gateway now."""
        if not word:
            units = {row.gateway: row.units for row in self._desk.prices()}
            return units.get(gateway, units.get(None, 1))
        units_given = whole(word)
        if units_given is None or not 0 < units_given <= _MOST_UNITS:
            message = "units must be a whole number above 0, such as 1 or 1e12"
            raise _BadFormError(message)
        return units_given

    def _content(self) -> dict[str, object]:
        rows = [
            {
                "gateway": DEFAULT_NAME if row.gateway is None else to_checksum_hex(row.gateway),
                "price": str(row.price),
                "units": str(row.units),
                "wei_per_unit": str(row.wei_per_unit),
                "set_at_run_time": row.at_run_time,
            }
            for row in self._desk.prices()
        ]
        return {"prices": rows, **self._desk.more()}


class NoPrices:
    """Our own routes off-chain."""

    def attach(self, app: FastAPI) -> None:
        """Add them."""
        app.add_api_route("/baton/prices", self.none, methods=["GET", "POST"])

    async def none(self) -> Response:
        """There is nothing to show or to change."""
        return _json({"error": "off-chain nobody pays: there are no prices"}, status=_CONFLICT)


_GATEWAY = "broadcasterEthAddr"


def _json(content: object, *, status: int = _OK) -> Response:
    return Response(orjson.dumps(content), status_code=status, headers={"content-type": "application/json"})


def _known_name(gateway: Address | None) -> str:
    return DEFAULT_NAME if gateway is None else f"0x{gateway.hex()}"


def _known_gateway(word: str) -> Address | None:
    """A gateway's address, None for the default; raises with the reference's text."""
    try:
        return _gateway(word)
    except _BadFormError:
        message = f"{_GATEWAY} is not a valid eth address, provided {word}"
        raise _BadFormError(message) from None


def _gateway(word: str) -> Address | None:
    if word in {"", DEFAULT_NAME}:
        return None
    try:
        return address_from_hex(word)
    except ValueError:
        message = f"gateway must be {DEFAULT_NAME} or an address (0x and 40 hex digits)"
        raise _BadFormError(message) from None


def _known_price(price: str, units: str, currency: str) -> tuple[PriceText, int]:
    """Amount, currency and pixels of a form; raises with the reference's texts."""
    amount = rational(price)
    if amount is None:
        message = f"error parsing pricePerUnit value: {price}"
        raise _BadFormError(message)
    if amount < 0:
        message = f"price unit must be greater than or equal to 0, provided {price}"
        raise _BadFormError(message)
    pixels = rational(units)
    if pixels is None:
        message = f"error parsing pixelsPerUnit value: {units}"
        raise _BadFormError(message)
    if pixels <= 0:
        message = f"pixels per unit must be greater than 0, provided {units}"
        raise _BadFormError(message)
    named = price_text(f"0{currency}")
    if named is None or not pixels.numerator <= _MOST_UNITS or pixels.denominator > _MOST_UNITS:
        message = f"error converting price: no such currency or number of pixels: {currency or 'wei'}, {units}"
        raise _BadFormError(message)
    # Pixels may be a fraction here; what counts is the price of one.
    return PriceText(amount * pixels.denominator, named.currency), pixels.numerator
