"""``baton devnet``: a local chain with the protocol on it, until it is stopped."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from baton.kernel.errors import ExitCode

if TYPE_CHECKING:
    from baton.devnet import Devnet, DevnetOptions

__all__ = ["command"]

_USUAL_PORT = 8545


@click.command("devnet")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the RPC endpoint. [8545, or a free one]")
@click.option("--round-length", type=click.IntRange(min=2), default=50, show_default=True, help="L1 blocks of a round.")
@click.option(
    "--block-time", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Seconds between blocks."
)
@click.option(
    "--l1-block-time", type=click.FloatRange(min=0.05), default=1.0, show_default=True, help="Seconds of an L1 block."
)
@click.option("--no-rounds", is_flag=True, help="Leave it to others to initialize rounds.")
@click.option(
    "--orchestrators", type=click.IntRange(0, 100), default=1, show_default=True, help="Registered and active ones."
)
@click.option(
    "--gateways", type=click.IntRange(0, 100), default=2, show_default=True, help="Senders with deposit and reserve."
)
@click.option(
    "--accounts", type=click.IntRange(0, 1000), default=4, show_default=True, help="Further accounts with ETH."
)
@click.option("--service-uri", help="Address that the registries give for the orchestrators.")
@click.option("--chain-id", type=click.IntRange(min=1), default=54321, show_default=True)
@click.option(
    "--gas-price", "gas_price_wei", type=click.IntRange(min=1), default=100_000_000, show_default=True, help="In wei."
)
@click.option("--cache-dir", type=click.Path(file_okay=False, path_type=Path), help="Where anvil is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, keys included, when it is ready.")
def command(**choices: Any) -> None:  # noqa: ANN401 -- click's own parameters, read in _options
    """Run a local chain with the protocol on it until it is stopped by SIGTERM or Ctrl-C.

    Its accounts have public test keys. Programs it needs are fetched by npm the first time.
    """
    from baton.config.model import LogSettings
    from baton.devnet import DevnetError
    from baton.ops.logs import configure_logging
    from baton.selftest.interrupt import InterruptedBySignal, run_until_signal

    configure_logging(LogSettings())
    as_json = bool(choices.pop("as_json"))
    cache: Path | None = choices.pop("cache_dir")
    try:
        options = _options(**choices)
        run_until_signal(_live(options, cache=cache, as_json=as_json))
    except InterruptedBySignal:
        sys.exit(ExitCode.OK)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(ExitCode.CONFIG)
    except DevnetError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(ExitCode.PORT_IN_USE if error.is_about_the_port else ExitCode.FAILED)


def _options(
    *,
    port: int | None,
    no_rounds: bool,
    block_time: float,
    l1_block_time: float,
    service_uri: str | None,
    **rest: Any,  # noqa: ANN401 -- options whose names are the fields'
) -> "DevnetOptions":
    from baton.devnet import DevnetOptions

    if service_uri is not None:
        rest["service_uri"] = service_uri
    return DevnetOptions(
        port=_usual_or_free_port() if port is None else port,
        initialize_rounds=not no_rounds,
        block_time_s=block_time,
        l1_block_time_s=l1_block_time,
        **rest,
    )


def _usual_or_free_port() -> int:
    """8545 when nobody has it, so that addresses can be remembered; else 0, which takes any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", _USUAL_PORT))
        except OSError:
            return 0
    return _USUAL_PORT


async def _live(options: "DevnetOptions", *, cache: Path | None, as_json: bool) -> None:
    from baton.devnet import running_devnet

    if not as_json:
        click.echo("starting a chain", err=True)
    async with running_devnet(options, cache=cache) as devnet:
        click.echo(json.dumps(devnet.document()) if as_json else _text(devnet))
        await asyncio.Event().wait()


def _text(devnet: "Devnet") -> str:
    """What people need to know, a line each."""
    document = devnet.document()
    lines = [f"RPC endpoint  {devnet.rpc_url}", f"chain id      {devnet.options.chain_id}", ""]
    lines += [f"{name:<20}  {address}" for name, address in document["addresses"].items()]
    lines += ["", document["warning"]]
    lines += [f"{each.name:<20}  {each.address_hex}  0x{each.private_key.hex()}" for each in devnet.accounts]
    controller = document["addresses"]["controller"]
    lines += ["", f"A node finds everything through the controller: {controller}", "Stop with Ctrl-C."]
    return "\n".join(lines)
