"""Amounts of money for people: wei, gwei or ETH, whichever keeps the number short."""

from decimal import Decimal, InvalidOperation, localcontext

__all__ = ["amount_text"]

_WEI_PER_GWEI, _WEI_PER_ETH = Decimal(10) ** 9, Decimal(10) ** 18
_GWEI_FROM, _ETH_FROM = 10**6, 10**14
_DIGITS = 90
"""Wei of 256 bits have 78."""


def amount_text(wei: object) -> str:
    """Wei, as a number or text, as ``12 wei``, ``1.5 gwei`` or ``0.012 ETH``; empty for what is no amount."""
    try:
        number = Decimal(str(wei))
    except InvalidOperation:
        return ""
    if not number.is_finite() or number.adjusted() >= _DIGITS or number != number.to_integral_value():
        return ""
    with localcontext() as context:
        context.prec = _DIGITS
        size = abs(number)
        if size < _GWEI_FROM:
            return f"{number:f} wei"
        if size < _ETH_FROM:
            return f"{_short(number / _WEI_PER_GWEI)} gwei"
        return f"{_short(number / _WEI_PER_ETH)} ETH"


def _short(number: Decimal) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
