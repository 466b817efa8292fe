"""``baton status``: what the node on this machine is doing, as tables for people or JSON for scripts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from baton.kernel.redaction import printable
from baton.ops.commands.amounts import amount_text, price_text
from baton.ops.commands.target import ask_node, target_options

__all__ = ["command", "duration_text", "render", "size_text"]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_PLAIN_WIDTH = 120
_LOAD = "load_px_per_s"


@click.command("status")
@target_options
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool, **options: str | None) -> None:
    """Show state, streams, engines and settings of the node on this machine. Exit code 1 when none answers."""
    answer = ask_node(ctx, "GET", "/baton/status", **options)
    if as_json:
        click.echo(json.dumps(answer))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    render(answer, console)


def render(answer: Mapping[str, Any], console: Console) -> None:
    """Print a status answer; whatever is missing in it is left out."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(answer):
        facts.add_row(Text(name, style="dim"), Text(value))
    console.print(facts)
    _rows(console, "sessions", _list(answer, "sessions"), ("session_id", "manifest_id", "age_s", "busy", "waiting"))
    _rows(console, "devices", _list(answer, "devices"), ("name", "state", "sessions", _LOAD, "reason"))
    _rows(console, "engines", _list(answer, "engines"), ("name", "state", "pid", "jobs"))
    cards = [_card_row(card) for card in _list(answer, "cards")]
    _rows(console, "cards", cards, tuple(cards[0]) if cards else ())
    _rows(console, "refusals", [*_refusals(answer), *_money_refusals(answer)], ("refused", "times"))
    _rows(console, "settings", _list(answer, "settings"), ("name", "value", "source", "where"))


def _facts(answer: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "state", _word(answer.get("state"))
    for reason in _list(answer, "reasons"):
        yield "not ready", f"{_word(reason.get('fact'))}: {_word(reason.get('reason'))}"
    yield "version", f"{_word(answer.get('version'))} (node version {_word(answer.get('node_version'))})"
    yield "up for", duration_text(answer.get("uptime_s"))
    yield "service address", _word(answer.get("service_uri")) or "none"
    money = answer.get("money")
    if isinstance(money, Mapping):
        yield from _money_facts(money)
    slots, most = _word(answer.get("session_room")), _word(answer.get("max_sessions"))
    less = f" (limit {most}; see devices)" if slots and slots != most else ""
    yield "sessions", f"{_word(answer.get('session_count'))} of {slots or most}{less}"
    store = answer.get("store")
    if isinstance(store, Mapping):
        limit = store.get("limit_bytes")
        used = size_text(store.get("used_bytes")) + (f" of {size_text(limit)}" if limit else "")
        yield "renditions", f"{_word(store.get('objects'))} in {_word(store.get('kind'))}, {used}"
    names = answer.get("capabilities")
    if isinstance(names, list):
        yield "capabilities", ", ".join(_word(name) for name in names)


def _refusals(answer: Mapping[str, Any], *, prefix: str = "") -> list[Mapping[str, object]]:
    refusals = answer.get("refusals")
    if not isinstance(refusals, Mapping):
        return []
    return [{"refused": f"{prefix}{reason}", "times": times} for reason, times in refusals.items() if times]


def _money_refusals(answer: Mapping[str, Any]) -> list[Mapping[str, object]]:
    money = answer.get("money")
    return _refusals(money, prefix="ticket: ") if isinstance(money, Mapping) else []


def _money_facts(money: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """How the node stands on its chain, in words."""
    active = "active" if money.get("active") is True else "NOT in the active set: its tickets cannot use a reserve"
    yield "network", f"{_word(money.get('network'))}, paid to {_word(money.get('recipient'))}, {active}"
    stale = "" if money.get("chain_fresh") is True else ": too old, no terms are made"
    seen = f"round {_word(money.get('round'))}, L1 block {_word(money.get('l1_block'))}"
    yield "chain", f"{seen}, read {duration_text(money.get('chain_age_s'))} ago{stale}"
    yield "price", f"{price_text(money.get('price_wei_per_px'))} wei per pixel"
    waiting = amount_text(money.get("pending_face_value_wei"))
    pending = f"; {_word(money.get('pending'))} wait with {waiting}" if waiting else ""
    yield "tickets", f"{_word(money.get('tickets'))} received, {_word(money.get('winners'))} won{pending}"


def _card_row(card: Mapping[str, Any]) -> Mapping[str, object]:
    """A card in a table's width: without its identifier, units beside numbers."""
    used, total = size_text(card.get("memory_used_bytes")), size_text(card.get("memory_bytes"))
    celsius = card.get("temperature_c")
    return {
        "device": card.get("device"),
        "name": card.get("name"),
        "state": ": ".join(filter(None, (_word(card.get("state")), _word(card.get("reason"))))),
        "memory": f"{used} of {total}" if used and total else used or total,
        "gpu": _percent(card.get("gpu_percent")),
        "encoder": _percent(card.get("encoder_percent")),
        "decoder": _percent(card.get("decoder_percent")),
        "encodes": card.get("encoder_sessions"),
        "heat": f"{_word(celsius)} C" if celsius is not None else "",
        "throttled": card.get("throttled"),
    }


def _percent(value: object) -> str:
    return "" if value is None else f"{_word(value)}%"


def _rows(console: Console, title: str, rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        heading = "load (px/s)" if column == _LOAD else column.removesuffix("_s").replace("_", " ")
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(column, row.get(column))) for column in columns))
    console.print()
    console.print(table)


def _cell(column: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return duration_text(value) if column.endswith("_s") and column != _LOAD else _word(value)


def _list(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = answer.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _word(value: object) -> str:
    return "" if value is None else printable(str(value), limit=300)


def duration_text(value: object) -> str:
    """Seconds as ``3d 4h``, ``12m 5s`` or ``4.2s``."""
    if not isinstance(value, int | float):
        return ""
    if value < _MINUTE_S:
        return f"{value:.1f}s"
    whole = int(value)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m {whole % _MINUTE_S}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h {whole % _HOUR_S // _MINUTE_S}m"
    return f"{whole // _DAY_S}d {whole % _DAY_S // _HOUR_S}h"


def size_text(value: object) -> str:
    """Bytes as ``1.5 GiB``."""
    if not isinstance(value, int | float):
        return ""
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 -- binary units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
