"""``baton drain`` and ``baton undrain``: stop and resume taking new streams, by the management port."""

import json

import click

from baton.ops.commands.target import ask_node, target_options

__all__ = ["drain", "undrain"]


@click.command("drain")
@click.option("--exit", "ends", is_flag=True, help="End the node too, as SIGTERM does.")
@target_options
@click.pass_context
def drain(ctx: click.Context, /, *, ends: bool, as_json: bool, **options: str | None) -> None:
    """Take no new streams; those that run go on. Without --exit the node stays and can be turned back."""
    answer = ask_node(ctx, "POST", "/baton/drain?exit=true" if ends else "/baton/drain", **options)
    _say(
        answer,
        "the node drains and ends" if ends else "the node is draining: it takes no new streams",
        as_json=as_json,
    )


@click.command("undrain")
@target_options
@click.pass_context
def undrain(ctx: click.Context, /, *, as_json: bool, **options: str | None) -> None:
    """Take new streams again."""
    answer = ask_node(ctx, "POST", "/baton/undrain", **options)
    _say(answer, "the node is serving: it takes new streams", as_json=as_json)


def _say(answer: dict[str, object], text: str, *, as_json: bool) -> None:
    click.echo(json.dumps(answer) if as_json else text)
