"""``baton version``: what is installed, for people and for scripts."""

import json
import platform

import click

from baton.kernel.version import NODE_VERSION, VERSION

__all__ = ["command"]


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Print Baton's own version, the node version that gateways see, and the Python underneath."""
    facts = {
        "version": VERSION,
        "node_version": NODE_VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        click.echo(f"baton {VERSION}\nnode version {NODE_VERSION}\npython {facts['python']} on {facts['platform']}")
