"""``baton tickets``: winners and what became of them, or with ``--balances`` what gateways have paid ahead."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from baton.kernel.redaction import printable
from baton.ops.commands.amounts import amount_text, price_text
from baton.ops.commands.status import duration_text
from baton.ops.commands.target import ask_node, target_options

__all__ = ["command", "render_balances", "render_tickets"]

_PLAIN_WIDTH = 140


@click.command("tickets")
@click.option("--balances", is_flag=True, help="Show the accounts of gateways instead of winning tickets.")
@target_options
@click.pass_context
def command(ctx: click.Context, /, *, balances: bool, as_json: bool, **options: str | None) -> None:
    """Show winning tickets by state, and the newest. Exit code 1 when no node answers, or it is off-chain."""
    answer = ask_node(ctx, "GET", "/baton/balances" if balances else "/baton/tickets", **options)
    if as_json:
        click.echo(json.dumps(answer))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    if balances:
        render_balances(answer, console)
    else:
        render_tickets(answer, console)


def render_tickets(answer: Mapping[str, Any], console: Console) -> None:
    """Print winners; whatever is missing in the answer is left out."""
    states, newest = _list(answer, "states"), _list(answer, "newest")
    if not states and not newest:
        console.print("no ticket has won yet")
        return
    _table(
        console,
        ("state", "tickets", "face value"),
        [(_word(row, "state"), _word(row, "tickets"), amount_text(row.get("face_value_wei"))) for row in states],
    )
    console.print()
    _table(
        console,
        ("sender", "session", "face value", "round", "state", "reason", "age"),
        [
            (
                _word(row, "sender"),
                _word(row, "session"),
                amount_text(row.get("face_value_wei")),
                _word(row, "round"),
                _word(row, "state"),
                _word(row, "reason"),
                duration_text(row.get("age_s")),
            )
            for row in newest
        ],
    )
    _of_how_many(console, shown=len(newest), total=sum(_number(row.get("tickets")) for row in states))


def render_balances(answer: Mapping[str, Any], console: Console) -> None:
    """Print accounts; whatever is missing in the answer is left out."""
    newest, total = _list(answer, "newest"), _number(answer.get("accounts"))
    if not newest:
        console.print("no gateway has paid yet")
        return
    credit, debt = amount_text(answer.get("credit_wei")), amount_text(answer.get("debt_wei"))
    console.print(f"{total} accounts, {credit} paid ahead, {debt} owed")
    console.print()
    _table(
        console,
        ("sender", "session", "balance", "held", "wei per unit", "last use"),
        [
            (
                _word(row, "sender"),
                _word(row, "session"),
                amount_text(row.get("balance_wei")),
                amount_text(row.get("held_wei")),
                price_text(row.get("price_wei_per_unit")),
                f"{duration_text(row.get('used_s'))} ago",
            )
            for row in newest
        ],
    )
    _of_how_many(console, shown=len(newest), total=total)


def _table(console: Console, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _of_how_many(console: Console, *, shown: int, total: int) -> None:
    if total > shown:
        console.print()
        console.print(f"the newest {shown} of {total}")


def _list(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = answer.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _word(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else printable(str(value), limit=300)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
