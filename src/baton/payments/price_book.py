"""The prices in force: what the configuration says, what the operator said since, and what a currency is worth now.

A price set while the node runs is in force at once and after restarts, until the configuration itself says something
else. Streams that run keep the price that their first ticket pinned (payments.md 7.3), whatever changes here.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import structlog

from baton.kernel.amounts import PriceText
from baton.kernel.errors import BatonError, StartError
from baton.kernel.ids import Address, to_checksum_hex
from baton.payments.facevalue import Economics
from baton.payments.feed import to_wei
from baton.payments.ports import OperatorPrices, PriceStore, SetPrice
from baton.payments.prices import PriceTable, to_wire
from baton.payments.rates import RateWatch

__all__ = ["MOST_GATEWAYS", "BasePrice", "PriceBook", "PriceRefusedError", "PriceRow"]

T = TypeVar("T")

log = structlog.get_logger("baton.payments")

MOST_GATEWAYS = 10_000
"""Gateways with a price of their own."""


class PriceRefusedError(BatonError):
    """A price or limit that cannot be put in force; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class BasePrice:
    """What the operator asks: so much for so many units of work, before conversion and overhead."""

    price: PriceText
    units: int = 1

    def __str__(self) -> str:
        """``0.41USD/1000000000000``."""
        return f"{self.price}/{self.units}"


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price as it is shown: gateway None is everybody else."""

    gateway: Address | None
    base: BasePrice
    wei_per_unit: Fraction
    at_run_time: bool


class PriceBook:
    """Belongs to the event loop; ``table`` and ``economics`` are what quoting reads."""

    def __init__(
        self,
        *,
        configured: Mapping[Address | None, BasePrice],
        economics: Economics,
        store: PriceStore,
        rates: RateWatch | None,
    ) -> None:
        """``configured`` holds the default under None. Nothing is in force before ``start``.

        ``rates`` is asked only once a price is in a currency.
        """
        self._configured = dict(configured)
        self._set: dict[Address | None, SetPrice] = {}
        self._configured_economics = economics
        self._economics = economics
        self._store = store
        self._rates = rates
        self._table = PriceTable()
        self._changing = asyncio.Lock()

    @property
    def table(self) -> PriceTable:
        """All prices in wei, at this moment's exchange rate."""
        return self._table

    @property
    def economics(self) -> Economics:
        """What is wanted of tickets."""
        return self._economics

    @property
    def max_face_value_at_run_time(self) -> bool:
        """Whether an operator set the limit of face values since the start of its configuration."""
        return self._economics != self._configured_economics

    @property
    def rows(self) -> tuple[PriceRow, ...]:
        """Every price in force, the default first."""
        in_force = self._in_force(self._set)
        keys = sorted(in_force, key=lambda who: (who is not None, who or b""))
        return tuple(
            PriceRow(who, in_force[who], _per_unit(in_force[who], self._rates), who in self._set) for who in keys
        )

    async def start(self) -> None:
        """Put in force what was configured, and of what was kept all that still holds; ask the feed if one is needed.

        Raises:
            PriceRefusedError: a configured price cannot be converted.
            StartError: a configured price needs the feed, which gives no rate.
        """
        kept = await asyncio.to_thread(self._store.read)
        for row in kept.prices:
            if row.replaced != self._said(row.gateway):
                log.info("price of run time dropped", gateway=_name(row.gateway), configured=self._said(row.gateway))
            else:
                self._set[row.gateway] = row
        if self._rates is not None and _need_a_rate(self._in_force(self._set)):
            try:
                await self._rates.start()
            except StartError:
                if _need_a_rate(self._configured):
                    raise
        self._table = self._first_table()
        if kept.max_face_value_wei is not None:
            limit, replaced = kept.max_face_value_wei
            if replaced == self._configured_economics.max_face_value_wei and self._possible(limit):
                self._economics = replace(self._economics, max_face_value_wei=limit)
        for shown in self.rows:
            log.info("price", gateway=_name(shown.gateway), price=str(shown.base), set_at_run_time=shown.at_run_time)
        if self._rates is not None:
            self._rates.subscribe(self._rate_changed)

    def _first_table(self) -> PriceTable:
        """Of the configured prices all must do; those of the last run can be set again."""
        try:
            return self._convert(self._set)
        except PriceRefusedError as problem:
            if not self._set:
                raise
            log.warning("prices of run time dropped", reason=str(problem))
            self._set.clear()
            return self._convert(self._set)

    async def change(self, gateway: Address | None, base: BasePrice) -> Fraction:
        """Ask a gateway, or everybody who has no price of their own, for this from now on; the wei per unit.

        Raises:
            PriceRefusedError: it cannot be converted or told, or no ticket could pay it.
            OSError: it cannot be kept; the prices are what they were.
        """
        return await _to_the_end(self._change(gateway, base))

    async def forget(self, gateway: Address | None) -> Fraction:
        """Go back to what the configuration says of a gateway; the wei per unit that it pays then.

        Raises:
            PriceRefusedError: the configured price cannot be converted now.
            OSError: the change cannot be kept; the prices are what they were.
        """
        return await _to_the_end(self._change(gateway, None))

    async def set_max_face_value(self, limit_wei: int) -> None:
        """Bound face values from the next quote on, now and after restarts; 0 is no bound.

        Raises:
            PriceRefusedError: no ticket could be made below it.
            OSError: it cannot be kept; the limit is what it was.
        """
        if not self._possible(limit_wei):
            message = (
                f"it must be above the value of a ticket, {self._economics.ev_wei} wei, else no ticket can be made"
            )
            raise PriceRefusedError(message)
        await _to_the_end(self._bound(limit_wei))

    async def _bound(self, limit_wei: int) -> None:
        async with self._changing:
            before = self._economics.max_face_value_wei
            await self._keep(self._set, limit_wei)
            self._economics = replace(self._economics, max_face_value_wei=limit_wei)
            log.warning("limit of face values changed", max_face_value_wei=limit_wei, before=before)

    async def _change(self, gateway: Address | None, base: BasePrice | None) -> Fraction:
        """Put a price in force; None, or what the configuration says anyway, is the configured one."""
        async with self._changing:
            changed = {who: row for who, row in self._set.items() if who != gateway}
            if base is not None and self._configured.get(gateway) != base:
                changed[gateway] = SetPrice(gateway, base.price, base.units, self._said(gateway))
            return await self._put(changed, gateway)

    async def _put(self, changed: dict[Address | None, SetPrice], gateway: Address | None) -> Fraction:
        if len(self._in_force(changed)) > MOST_GATEWAYS + 1:
            message = f"there are {MOST_GATEWAYS} gateways with a price of their own already"
            raise PriceRefusedError(message)
        if self._rates is not None and self._rates.rate is None and _need_a_rate(self._in_force(changed)):
            try:
                await self._rates.start()
            except StartError as problem:
                raise PriceRefusedError(str(problem)) from problem
        table = self._convert(changed)
        before = self._in_force(self._set)
        await self._keep(changed, self._economics.max_face_value_wei)
        # The rate may have moved meanwhile; what could be converted a moment ago still can.
        self._set, self._table = changed, table
        after = self._in_force(changed)
        log.warning(
            "price changed", gateway=_name(gateway), price=str(after.get(gateway)), before=str(before.get(gateway))
        )
        self._rate_changed()
        return self._table.transcoding(gateway) if gateway is not None else self._table.default or Fraction(0)

    async def _keep(self, prices: Mapping[Address | None, SetPrice], limit_wei: int) -> None:
        configured = self._configured_economics.max_face_value_wei
        face = None if limit_wei == configured else (limit_wei, configured)
        await asyncio.to_thread(self._store.write, OperatorPrices(tuple(prices.values()), face))

    def _possible(self, limit_wei: int) -> bool:
        return limit_wei == 0 or limit_wei > self._economics.ev_wei

    def _said(self, gateway: Address | None) -> str:
        base = self._configured.get(gateway)
        return str(base) if base is not None else ""

    def _in_force(self, changed: Mapping[Address | None, SetPrice]) -> dict[Address | None, BasePrice]:
        return {**self._configured, **{who: BasePrice(row.price, row.units) for who, row in changed.items()}}

    def _convert(self, changed: Mapping[Address | None, SetPrice]) -> PriceTable:
        wei = {who: _per_unit(base, self._rates) for who, base in self._in_force(changed).items()}
        for price in wei.values():
            if price > 0 and self._economics.ev_wei == 0:
                message = "tickets are worth nothing (--ticket-ev 0), so none could pay a price above 0"
                raise PriceRefusedError(message)
        default = wei.pop(None, None)
        return PriceTable(default=default, senders={who: price for who, price in wei.items() if who is not None})

    def _rate_changed(self) -> None:
        try:
            self._table = self._convert(self._set)
        except PriceRefusedError as problem:
            log.error("prices cannot be converted, the last ones hold", reason=str(problem))  # noqa: TRY400 -- no fault of ours


def _need_a_rate(prices: Mapping[Address | None, BasePrice]) -> bool:
    return any(base.price.needs_a_rate for base in prices.values())


def _per_unit(base: BasePrice, rates: RateWatch | None) -> Fraction:
    """Wei per unit of work.

    Raises:
        PriceRefusedError: it cannot be converted, or is more than the wire can say.
    """
    try:
        price = to_wei(base.price, rates.rate if rates is not None else None) / base.units
        to_wire(price)
    except BatonError as problem:
        raise PriceRefusedError(str(problem)) from problem
    return price


async def _to_the_end(change: Coroutine[Any, Any, T]) -> T:
    """Make a change wholly, also when the caller goes away: a file half way to the disk cannot be called back."""
    task = asyncio.ensure_future(change)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()


def _name(gateway: Address | None) -> str:
    return "default" if gateway is None else to_checksum_hex(gateway)
