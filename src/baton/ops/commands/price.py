"""``baton price``: what gateways pay, and changing it while the node runs."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import click
from rich.console import Console
from rich.table import Table

from baton.kernel.redaction import printable
from baton.ops.commands.target import ask_node, target_options

__all__ = ["command"]

_PLAIN_WIDTH = 120


@click.command("price")
@click.option("--price-per-unit", "price", metavar="PRICE", help="Ask for this: 1200, 0.41USD, 0.0001eth.")
@click.option("--pixels-per-unit", "units", metavar="NUMBER", help="Pixels that the price is for; else as before.")
@click.option("--gateway", metavar="ADDRESS", help="Only for this gateway; else for all without a price of their own.")
@click.option("--remove", is_flag=True, help="Go back to what the configuration says.")
@target_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    price: str | None,
    units: str | None,
    gateway: str | None,
    remove: bool,
    as_json: bool,
    **options: str | None,
) -> None:
    """Show prices; with --price-per-unit or --remove change one, now and after restarts.

    Streams that run keep the price they began with. Exit code 1 when no node answers or it refuses.
    """
    if remove and (price or units):
        message = "--remove takes no price"
        raise click.UsageError(message)
    if not price and not remove and (units or gateway):
        message = "--pixels-per-unit and --gateway need --price-per-unit or --remove"
        raise click.UsageError(message)
    if price or remove:
        given = {"price": price, "units": units, "gateway": gateway, "remove": "true" if remove else None}
        query = urlencode({name: value for name, value in given.items() if value})
        answer = ask_node(ctx, "POST", f"/baton/prices?{query}", **options)
    else:
        answer = ask_node(ctx, "GET", "/baton/prices", **options)
    if as_json:
        click.echo(json.dumps(answer))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    _render(answer, console)


def _render(answer: Mapping[str, Any], console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("gateway", "price", "pixels", "wei per pixel", "set"):
        table.add_column(column)
    rows = answer.get("prices")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict):
            names = ("gateway", "price", "units", "wei_per_unit")
            when = "at run time" if row.get("set_at_run_time") else "by configuration"
            table.add_row(*(printable(str(row.get(name, "")), limit=80) for name in names), when)
    console.print(table)
    rate = answer.get("rate")
    if isinstance(rate, dict):
        hours = float(rate.get("age_s") or 0) / 3600
        shown = printable(f"{rate.get('pair')} {rate.get('price')}", limit=120)
        console.print(f"exchange rate: {shown}, {hours:.1f} hours old")
