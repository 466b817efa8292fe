"""What gas costs on average: a price that one block's spike does not move (payments.md 18 item 15).

Pure. A new price counts for a fifth, and never for more than three times the average, so that quotes follow a trend
within a minute and ignore a tick.
"""

__all__ = ["GasAverage"]

_WEIGHT_PERCENT = 20
_OUTLIER = 3


class GasAverage:
    """Satisfies ``GasView``."""

    def __init__(self, *, least_wei: int = 0) -> None:
        """The average never falls below ``least_wei``."""
        self._least_wei = least_wei
        self._average_wei: int | None = None

    @property
    def price_wei(self) -> int:
        """Wei per gas; the least price while nothing was seen."""
        return max(self._average_wei or 0, self._least_wei)

    def take(self, price_wei: int) -> None:
        """A price was seen."""
        if self._average_wei is None or self._average_wei == 0:
            self._average_wei = price_wei
            return
        bounded = min(price_wei, _OUTLIER * self._average_wei)
        # Away from the average even where a fifth is less than one wei, or a price of one or two would stay for ever.
        step = (bounded - self._average_wei) * _WEIGHT_PERCENT
        self._average_wei += step // 100 if step < 0 else -(-step // 100)
