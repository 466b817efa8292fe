"""Prices as a part of a node: the book made from settings, the feed behind it, and the desk that operators speak to."""

import asyncio
from collections.abc import Mapping
from fractions import Fraction

from baton.chain.price_feed import ChainPriceFeed
from baton.chain.rpc import JsonRpc
from baton.config.model import PaymentSettings
from baton.config.origin import Origin, Source
from baton.kernel.amounts import PriceText, decimal
from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.ids import Address, address_from_hex
from baton.kernel.metrics import Metrics
from baton.node.service import Criticality, Service
from baton.ops.price_routes import ShownPrice
from baton.payments.facevalue import Economics
from baton.payments.price_book import BasePrice, PriceBook, PriceRefusedError
from baton.payments.rates import RateWatch
from baton.storage.data_dir import DataDir
from baton.storage.kept_money import PricesFile, RateFile

__all__ = ["Prices"]

_MEASURE_EVERY_S = 15.0
_ORIGIN = Origin(Source.RUN_TIME, "baton price")


class Prices:
    """Everything about prices on one node; satisfies ``ops.price_routes.PriceDesk``."""

    def __init__(
        self, *, settings: PaymentSettings, rpc: JsonRpc, data_dir: DataDir, clock: Clock, metrics: Metrics
    ) -> None:
        """Nothing is read or asked before ``start``."""
        self._settings = settings
        self._clock = clock
        self._rates: RateWatch | None = None
        if settings.price_feed_hex:
            self._rates = RateWatch(
                feed=ChainPriceFeed(rpc=rpc, address=address_from_hex(settings.price_feed_hex)),
                store=RateFile(path=data_dir.price_feed, feed_hex=settings.price_feed_hex),
                clock=clock,
                metrics=metrics,
                step_most=settings.price_step_most,
            )
        self.book = PriceBook(
            configured=_configured(settings),
            economics=Economics(
                ev_wei=settings.ticket_ev_wei,
                redeem_gas=settings.redeem_gas,
                max_face_value_wei=settings.max_face_value_wei,
            ),
            store=PricesFile(path=data_dir.prices),
            rates=self._rates,
        )

    def service(self) -> Service:
        """Watches the exchange rate; comes after ``start``."""
        return Service("prices", self._run, Criticality.RESTARTABLE)

    async def _run(self) -> None:
        rates = self._rates
        if rates is None:
            await asyncio.Event().wait()
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(rates.run())
            while True:
                rates.show_age()
                await asyncio.sleep(_MEASURE_EVERY_S)

    async def start(self) -> None:
        """Put the prices in force.

        Raises:
            StartError: one cannot be converted.
        """
        try:
            await self.book.start()
        except PriceRefusedError as problem:
            message = f"Error converting price: {problem}"
            raise StartError(message, exit_code=ExitCode.CONFIG) from problem

    def settings_at_run_time(self) -> Mapping[str, tuple[str, Origin]]:
        """Settings whose values an operator replaced, by name, for the status."""
        found: dict[str, tuple[str, Origin]] = {}
        for row in self.book.rows:
            if row.gateway is None and row.at_run_time:
                found["price-per-unit"] = (str(row.base.price), _ORIGIN)
                found["pixels-per-unit"] = (str(row.base.units), _ORIGIN)
        if self.book.max_face_value_at_run_time:
            limit = str(self.book.economics.max_face_value_wei)
            found["max-face-value"] = (limit, Origin(Source.RUN_TIME, "/setMaxFaceValue"))
        return found

    # The desk.

    def prices(self) -> tuple[ShownPrice, ...]:
        """All prices in force, the default first."""
        return tuple(
            ShownPrice(row.gateway, row.base.price, row.base.units, row.wei_per_unit, row.at_run_time)
            for row in self.book.rows
        )

    def more(self) -> Mapping[str, object]:
        """Exchange rate and limits."""
        economics, rates = self.book.economics, self._rates
        rate = rates.rate if rates is not None else None
        return {
            "rate": {
                "pair": f"{rate.base}/{rate.quote}",
                "price": decimal(rate.price),
                "updated_at": rates.updated_at_s,
                "age_s": round(self._clock.now() - rates.updated_at_s),
            }
            if rate is not None and rates is not None
            else None,
            "auto_adjust": self._settings.auto_adjust,
            "overhead_most": str(self._settings.overhead_most),
            "ticket_ev_wei": str(economics.ev_wei),
            "max_face_value_wei": str(economics.max_face_value_wei),
        }

    async def change(self, gateway: Address | None, price: PriceText, units: int) -> Fraction:
        """Put a price in force; see ``PriceBook.change``."""
        return await self.book.change(gateway, BasePrice(price, units))

    async def forget(self, gateway: Address | None) -> Fraction:
        """Go back to the configured one; see ``PriceBook.forget``."""
        return await self.book.forget(gateway)

    async def set_max_face_value(self, limit_wei: int) -> None:
        """Bound face values; see ``PriceBook.set_max_face_value``."""
        await self.book.set_max_face_value(limit_wei)


def _configured(settings: PaymentSettings) -> dict[Address | None, BasePrice]:
    found: dict[Address | None, BasePrice] = {}
    if settings.price is not None:
        found[None] = BasePrice(settings.price, settings.pixels_per_unit)
    for row in settings.price_per_gateway:
        found[address_from_hex(row.gateway_hex)] = BasePrice(row.price, row.pixels_per_unit)
    return found
