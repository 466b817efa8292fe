"""Amounts of money for people: wei, gwei or ETH, whichever keeps the number short."""

from decimal import Decimal, InvalidOperation, localcontext

__all__ = ["amount_text", "price_text"]

_WEI_PER_GWEI, _WEI_PER_ETH = Decimal(10) ** 9, Decimal(10) ** 18
_GWEI_FROM, _ETH_FROM = 10**6, 10**14
_DIGITS = 90
"""Wei of 256 bits have 78."""
_SHOWN_DIGITS = 12


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


def price_text(price: object) -> str:
    """An exact price such as ``2401/2`` as ``1200.5``, to twelve digits; empty for what is no price."""
    above, _, below = str(price).partition("/")
    try:
        with localcontext() as context:
            context.prec = _SHOWN_DIGITS
            number = Decimal(above) / Decimal(below or "1")
    except ArithmeticError:
        return ""
    return f"{number:f}" if number.is_finite() and abs(number.adjusted()) < _DIGITS else ""


def _short(number: Decimal) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
