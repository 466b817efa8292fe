"""What people and programs read of a paid stream: one table with a column for each side, or a JSON object."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from baton.selftest.paidstream import MoneyReport

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["money_document", "print_money"]

_WEI_PER_GWEI = 10**9


def money_document(money: MoneyReport) -> dict[str, Any]:
    """For JSON. Amounts are decimal text, so that no reader rounds them; a balance is a fraction of wei."""
    record = money.record
    return {
        "chain_id": money.chain_id,
        "gateway": money.gateway,
        "orchestrator": money.orchestrator,
        "price_wei_per_pixel": str(money.price),
        "ticket_expected_value_wei": str(round(money.ticket_ev_wei)),
        "ticket_face_value_wei": str(money.face_value_wei),
        "win_probability": round(money.win_probability, 6),
        "tickets_sent": money.tickets,
        "credit_wei": str(round(money.sent_wei)),
        "debit_wei": str(round(money.debit_wei)),
        "balance_wei": str(money.balance_wei),
        "node": {
            "tickets": record.tickets,
            "credit_gwei": money.counts.credit_gwei,
            "pixels": money.counts.pixels,
            "winners": len(record.winners),
            "won_wei": str(record.won_wei),
            "balance_wei": str(record.balance_wei),
        },
    }


def _gwei(amount_wei: Fraction | int) -> str:
    return f"{float(Fraction(amount_wei) / _WEI_PER_GWEI):,.1f} gwei"


def print_money(console: "Console", money: MoneyReport) -> None:
    """The table of a paid stream, and the terms that it was paid under."""
    from rich import box
    from rich.table import Table

    record = money.record
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("money")
    table.add_column("gateway", justify="right")
    table.add_column("node", justify="right")
    table.add_row("tickets", f"{money.tickets} sent", f"{record.tickets} taken")
    table.add_row("winners", "", f"{len(record.winners)} kept")
    table.add_row("to be redeemed", "", _gwei(record.won_wei))
    table.add_row("credit (expected value)", _gwei(money.sent_wei), f"{money.counts.credit_gwei:,.1f} gwei")
    table.add_row("debit (price of the work)", _gwei(money.debit_wei), _gwei(money.counts.pixels * money.price))
    table.add_row("balance", _gwei(money.balance_wei), _gwei(record.balance_wei))
    console.print(table)
    odds = f"one in {1 / money.win_probability:.1f} wins" if money.win_probability > 0 else "none wins"
    terms = (
        f"Paid on chain {money.chain_id}: {float(money.price):,.0f} wei a pixel, tickets worth "
        f"{_gwei(money.ticket_ev_wei)} that pay {_gwei(money.face_value_wei)}; {odds}. Prices and odds are for show."
    )
    console.print(terms, markup=False, highlight=False, soft_wrap=True)
