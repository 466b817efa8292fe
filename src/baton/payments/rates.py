"""The rate that prices in a currency go by: read at every full hour, believed with care, moved in steps.

All nodes look at the same minute, so that prices of the network move together (payments.md 7.4). What is better than
the reference is payments.md 18 item 17: answers are judged, a jump waits for a second look, a step is bounded, the last
good rate outlives the process, so that a feed that is down keeps no node from starting, and its age is a metric.
"""

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction

import structlog

from baton.kernel.clock import Clock
from baton.kernel.errors import ExitCode, StartError
from baton.kernel.metrics import Metrics
from baton.payments.feed import HEARTBEAT_S, FeedError, FeedFault, Rate, judge
from baton.payments.ports import ChainUnavailableError, FeedReading, KeptRate, PriceFeed, RateStore

__all__ = ["RateWatch"]

log = structlog.get_logger("baton.payments")

_HOUR_S = 3600
_FIRST_PAUSE_S = 30.0
_ATTEMPTS = 5
_JUMP = 2
"""A rate that more than doubles or halves within a day is looked at twice."""
_SAME = Fraction(5, 4)
"""How near the second look must be to the first."""
_KEPT_USABLE_S = 7 * 86_400
_MOST_DENOMINATOR = 10**40

Sleep = Callable[[float], Awaitable[None]]


class RateWatch:
    """One feed, its rate in force, and who wants to know. Belongs to the event loop."""

    def __init__(
        self,
        *,
        feed: PriceFeed,
        store: RateStore,
        clock: Clock,
        metrics: Metrics,
        step_most: Fraction,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``step_most`` is the largest factor by which the rate moves at one look; 1 sets no bound."""
        self._feed = feed
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._step_most = step_most
        self._sleep = sleep
        self._reading: FeedReading | None = None
        self._target: Rate | None = None
        self._rate: Rate | None = None
        self._suspect: Rate | None = None
        self._kept: KeptRate | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def rate(self) -> Rate | None:
        """The rate in force; None before the start."""
        return self._rate

    @property
    def updated_at_s(self) -> int:
        """When the feed last said what is believed, as Unix time; 0 for never."""
        return self._reading.updated_at_s if self._reading is not None else 0

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Take the kept rate and the feed's own.

        Raises:
            StartError: the feed gives no rate, and none of the last days was kept.
        """
        kept = await asyncio.to_thread(self._store.read)
        if kept is not None:
            self._take_kept(kept)
        try:
            await self._look()
        except (ChainUnavailableError, FeedError) as problem:
            if self._rate is None:
                message = f"prices in a currency need the price feed, and no rate was kept: {problem}"
                raise StartError(message, exit_code=ExitCode.FAILED) from problem
            log.warning("price feed gives no price, the last rate holds", reason=str(problem), **self._shown())
        finally:
            self.show_age()

    async def run(self) -> None:
        """Look at every full hour once a rate is in force, until cancelled."""
        while True:
            await self._sleep(_HOUR_S - self._clock.now() % _HOUR_S)
            if self._rate is not None:
                await self.refresh()

    async def refresh(self) -> bool:
        """Look until there is an answer, with growing pauses, five times at most; whether there was one."""
        pause_s = _FIRST_PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._look()
            except (ChainUnavailableError, FeedError) as problem:
                last = attempt == _ATTEMPTS
                tell = log.error if last else log.warning
                tell("price feed gives no price", reason=str(problem), attempt=attempt, **self._shown())
                # A second look at a jump is the next hour's: a feed in trouble is still in trouble in a minute.
                if last or (isinstance(problem, FeedError) and problem.fault is FeedFault.JUMP):
                    break
                await self._sleep(pause_s)
                pause_s *= 2
            else:
                return True
            finally:
                self.show_age()
        await self._advance()
        return False

    def show_age(self) -> None:
        """Bring the metrics of the feed's age and rate up to date."""
        if self._reading is not None and self._rate is not None:
            self._metrics.set("price_feed_age_seconds", max(0.0, self._clock.now() - self._reading.updated_at_s))
            self._metrics.set("price_feed_rate", float(self._rate.price))

    async def _look(self) -> None:
        try:
            reading = await self._feed.read()
            found = judge(reading, now_s=self._clock.now())
            self._check_jump(reading, found)
        except (ChainUnavailableError, FeedError) as problem:
            fault = problem.fault if isinstance(problem, FeedError) else FeedFault.UNREACHABLE
            self._metrics.add("price_feed_failures_total", reason=fault.value)
            raise
        if self._reading is None or reading.updated_at_s > self._reading.updated_at_s:
            self._reading, self._target = reading, found
        await self._advance()

    def _check_jump(self, reading: FeedReading, found: Rate) -> None:
        """Let a jump wait for a second answer like it.

        Raises:
            FeedError: it is the first.
        """
        before, target = self._reading, self._target
        suspect, self._suspect = self._suspect, None
        if before is None or target is None or (found.base, found.quote) != (target.base, target.quote):
            return
        is_old = reading.updated_at_s - before.updated_at_s > HEARTBEAT_S
        if is_old or _apart(found.price, target.price) <= _JUMP:
            return
        if suspect is not None and _apart(found.price, suspect.price) <= _SAME:
            log.warning("price feed stays where it jumped to, the new rate is believed", rate=f"{float(found.price):g}")
            return
        self._suspect = found
        text = (
            f"price feed jumps from {float(target.price):g} to {float(found.price):g} within a day; asked again later"
        )
        raise FeedError(FeedFault.JUMP, text)

    async def _advance(self) -> None:
        """Move the rate in force towards the feed's, and keep it."""
        target, before, reading = self._target, self._rate, self._reading
        if target is None or reading is None:
            return
        self._rate = target if before is None else _step(before, target, self._step_most)
        await self._keep(KeptRate(reading, self._rate.price))
        if self._rate == before:
            return
        log.info("exchange rate", **self._shown(), feed=f"{float(target.price):g}")
        for listener in self._listeners:
            listener()

    async def _keep(self, kept: KeptRate) -> None:
        """Also when only the reading is new: how old a kept rate is decides whether it may be used."""
        if kept == self._kept:
            return
        try:
            await asyncio.to_thread(self._store.write, kept)
        except OSError as problem:
            log.warning("exchange rate cannot be kept", reason=problem.strerror)
        else:
            self._kept = kept

    def _take_kept(self, kept: KeptRate) -> None:
        age_s = self._clock.now() - kept.reading.updated_at_s
        if age_s > _KEPT_USABLE_S:
            log.info("kept exchange rate is too old", days=round(age_s / 86_400))
            return
        try:
            found = judge(kept.reading, now_s=min(self._clock.now(), kept.reading.updated_at_s + HEARTBEAT_S))
        except FeedError as problem:
            log.warning("kept exchange rate ignored", reason=str(problem))
            return
        self._reading, self._target = kept.reading, found
        self._rate = Rate(found.base, found.quote, kept.rate)

    def _shown(self) -> dict[str, object]:
        rate = self._rate
        if rate is None:
            return {}
        age_s = self._clock.now() - self.updated_at_s
        return {"pair": f"{rate.base}/{rate.quote}", "rate": f"{float(rate.price):g}", "age_h": round(age_s / 3600, 1)}


def _apart(one: Fraction, other: Fraction) -> Fraction:
    """How many times the larger is the smaller."""
    return max(one / other, other / one)


def _step(before: Rate, target: Rate, most: Fraction) -> Rate:
    """``target``, or as far towards it as one step goes."""
    same = (before.base, before.quote) == (target.base, target.quote)
    if not same or most <= 1 or _apart(before.price, target.price) <= most:
        return target
    price = before.price * most if target.price > before.price else before.price / most
    return Rate(target.base, target.quote, price.limit_denominator(_MOST_DENOMINATOR))
