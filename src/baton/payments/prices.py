"""Prices: what the operator asks of whom for what, and how a price travels (payments.md 7).

Exact fractions of wei per unit of work: pixels for video, pixels or milliseconds for models. A price that is not zero
is never told as zero, and what does not fit the wire's two 64-bit numbers is rounded up, never down (18 item 16).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from baton.kernel.ids import Address
from baton.payments.commitment import TRANSCODING, QuoteClass, model_class
from baton.payments.errors import QuoteError

__all__ = ["Model", "PriceTable", "WirePrice", "to_wire"]

_MOST = 2**63 - 1

Model = tuple[int, str]
"""A capability id and a model of it."""

_NO_SENDERS: Mapping[Address, Fraction] = MappingProxyType({})
_NO_MODELS: Mapping[tuple[Address | None, int, str], Fraction] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class WirePrice:
    """A price as two 64-bit numbers, reduced."""

    wei_per_unit: int
    units: int

    @property
    def exact(self) -> Fraction:
        """The price itself."""
        return Fraction(self.wei_per_unit, self.units)


def to_wire(price: Fraction) -> WirePrice:
    """The price itself where it fits, else the nearest one above it that does.

    Raises:
        QuoteError: ``price cannot be converted to int64``: negative, or beyond what the wire can say.
    """
    if price < 0 or price > _MOST:
        raise QuoteError(QuoteError.NOT_INT64, detail=f"price {float(price):g}")
    if price.numerator <= _MOST and price.denominator <= _MOST:
        return WirePrice(price.numerator, price.denominator)
    most_units = min(_MOST, int(_MOST // price)) if price > 1 else _MOST
    near = price.limit_denominator(most_units)
    if near < price or near.numerator > _MOST:
        units = max(1, most_units - 1)
        near = Fraction(-(-price.numerator * units // price.denominator), units)
    if near.numerator > _MOST:
        raise QuoteError(QuoteError.NOT_INT64, detail=f"price {float(price):g}")
    return WirePrice(near.numerator, near.denominator)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices of the operator at one moment, in wei per unit."""

    default: Fraction | None = None
    """Per pixel of video; also for models that have no price of their own. None: nothing was set."""
    senders: Mapping[Address, Fraction] = field(default_factory=lambda: _NO_SENDERS)
    """Per pixel, for single gateways."""
    models: Mapping[tuple[Address | None, int, str], Fraction] = field(default_factory=lambda: _NO_MODELS)
    """By gateway (None for all others), capability and model."""

    def transcoding(self, sender: Address) -> Fraction:
        """Price per pixel for a gateway; 0 when none was set."""
        return self.senders.get(sender, self.default or Fraction(0))

    def base(self, sender: Address, wanted: Iterable[Model]) -> tuple[Fraction, QuoteClass]:
        """The price before overhead for the models somebody asks for, and the class of work that it is for.

        Models without a price count nothing; when all together cost nothing, the price of video stands in.
        """
        listed = sorted(set(wanted))
        total = sum((self.model(sender, capability, model) for capability, model in listed), Fraction(0))
        if total == 0:
            return self.transcoding(sender), TRANSCODING
        return total, model_class(listed)

    def model(self, sender: Address, capability: int, model: str) -> Fraction:
        """Price of one model for a gateway; 0 when it has none of its own."""
        own = self.models.get((sender, capability, model))
        return own if own is not None else self.models.get((None, capability, model), Fraction(0))

    def listed(self, sender: Address) -> tuple[tuple[Model, Fraction], ...]:
        """Every priced model with the price that holds for a gateway, in a stable order."""
        names = sorted({(capability, model) for who, capability, model in self.models if who in {None, sender}})
        return tuple((name, self.model(sender, *name)) for name in names)
