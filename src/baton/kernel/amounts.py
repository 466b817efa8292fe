"""Amounts as operators write them: exact numbers, and prices with a currency behind (payments.md 7.1). Pure.

Nothing here is ever a float. Texts are bounded before anything is computed from them: ``1e999999999`` is ten characters
and a gigabyte.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["PriceText", "decimal", "price_text", "rational", "whole"]

_MOST_CHARS = 120
_MOST_EXPONENT = 80
_NUMBER = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,4}))?")
_RATIO = re.compile(r"([+-]?[0-9]+)/([0-9]+)")
_PRICE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z][A-Za-z0-9]*)?")
_MOST_CURRENCY_CHARS = 16


@dataclass(frozen=True, slots=True)
class PriceText:
    """A price as somebody wrote it: ``0.41USD`` is 0.41 of ``usd``. No currency is wei."""

    amount: Fraction
    currency: str = ""
    """In lower case."""

    @property
    def needs_a_rate(self) -> bool:
        """Whether only an exchange rate makes wei of it."""
        return self.currency not in {"", "wei", "eth"}

    def __str__(self) -> str:
        """As it would be written again."""
        shown = decimal(self.amount)
        return f"{shown}{self.currency.upper() if self.needs_a_rate else self.currency}"


def decimal(amount: Fraction) -> str:
    """A decimal number where the amount is one, else ``n/d``."""
    rest, twos, fives = amount.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return str(amount)
    places = max(twos, fives)
    if places == 0:
        return str(amount.numerator)
    digits = str(abs(amount.numerator) * 10**places // amount.denominator).rjust(places + 1, "0")
    return f"{'-' if amount < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def rational(text: str) -> Fraction | None:
    """The exact value of ``12``, ``0.5``, ``1e12`` or ``3/4``, signed or not; None for anything else."""
    text = text.strip()
    if len(text) > _MOST_CHARS:
        return None
    ratio = _RATIO.fullmatch(text)
    if ratio is not None:
        below = int(ratio[2])
        return Fraction(int(ratio[1]), below) if below else None
    number = _NUMBER.fullmatch(text)
    if number is None:
        return None
    exponent = int(number[3] or 0)
    if abs(exponent) > _MOST_EXPONENT:
        return None
    before, _, after = number[2].partition(".")
    value = Fraction(int((before + after) or 0), 10 ** len(after)) * Fraction(10) ** exponent
    return -value if number[1] == "-" else value


def whole(text: str) -> int | None:
    """The value of a text that is a whole number, ``1e12`` too; None for anything else."""
    value = rational(text)
    return value.numerator if value is not None and value.denominator == 1 else None


def price_text(text: str) -> PriceText | None:
    """A price: digits, a fraction perhaps, a currency perhaps; no sign and no exponent. None for anything else."""
    text = text.strip()
    match = _PRICE.fullmatch(text) if len(text) <= _MOST_CHARS else None
    if match is None or len(match[2] or "") > _MOST_CURRENCY_CHARS:
        return None
    before, _, after = match[1].partition(".")
    return PriceText(Fraction(int(before + after), 10 ** len(after)), (match[2] or "").lower())
