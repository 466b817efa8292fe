"""A price feed, and stores for prices and rates, that do as they are told."""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction

from baton.kernel.clock import ManualClock
from baton.payments.ports import ChainUnavailableError, FeedReading, KeptRate, OperatorPrices
from baton.payments.rates import RateWatch

__all__ = ["Feed", "Numbers", "Prices", "Rates", "watch"]


@dataclass
class Feed:
    """Answers of a feed in 8 decimals; None is no answer."""

    clock: ManualClock
    answer: int | None = 2_500_00000000
    pair: str = "ETH / USD"
    updated_at_s: int | None = None
    asked: int = 0

    async def read(self) -> FeedReading:
        self.asked += 1
        if self.answer is None:
            message = "the endpoint does not answer"
            raise ChainUnavailableError(message)
        when = self.updated_at_s if self.updated_at_s is not None else int(self.clock.now())
        return FeedReading(self.pair, 8, self.answer, when)


@dataclass
class Rates:
    """A rate store in memory."""

    kept: KeptRate | None = None
    broken: bool = False

    def read(self) -> KeptRate | None:
        return self.kept

    def write(self, kept: KeptRate) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.kept = kept


@dataclass
class Prices:
    """A price store in memory."""

    kept: OperatorPrices = field(default_factory=OperatorPrices)
    broken: bool = False

    def read(self) -> OperatorPrices:
        return self.kept

    def write(self, prices: OperatorPrices) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.kept = prices


@dataclass
class Numbers:
    """Metrics that can be read."""

    values: dict[str, float] = field(default_factory=dict)

    def set(self, name: str, value: float, **labels: str) -> None:
        self.values[" ".join((name, *labels.values()))] = value

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        key = " ".join((name, *labels.values()))
        self.values[key] = self.values.get(key, 0.0) + amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.set(name, value, **labels)

    def forget_stream(self, manifest_id: str) -> None:
        del manifest_id


def watch(
    feed: Feed,
    store: Rates | None = None,
    *,
    step_most: Fraction = Fraction(1),
    metrics: Numbers | None = None,
    pauses: list[float] | None = None,
) -> RateWatch:
    """A watch whose pauses pass on the feed's clock at once."""

    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)
        feed.clock.advance(seconds)
        await asyncio.sleep(0)

    return RateWatch(
        feed=feed,
        store=store if store is not None else Rates(),
        clock=feed.clock,
        metrics=metrics if metrics is not None else Numbers(),
        step_most=step_most,
        sleep=sleep,
    )
