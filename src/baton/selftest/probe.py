"""``baton probe URL``: acts as a gateway towards any orchestrator and judges it.

Without a file it looks at the port, the certificate, discovery and the key; with one it also streams and verifies
every rendition, and with ``--pay`` pays for the stream with real tickets. It trusts no answer, and waits for nothing
without a limit. Exit code 0 when no check failed, 1 otherwise.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from baton.kernel.errors import ExitCode
from baton.selftest.interrupt import InterruptedBySignal, run_until_signal

if TYPE_CHECKING:
    from rich.console import Console

    from baton.kernel.profiles import VideoProfile
    from baton.selftest.parties import Endpoint, GatewayKey
    from baton.selftest.probing import ProbeResult

__all__ = ["LADDER", "command"]

LADDER = ("P240p30fps16x9", "P360p30fps16x9")
"""What is asked for unless told otherwise: what gateways ask for by default."""
_DEFAULT_PORT = 8935
_LONGEST_S = 20.0
_KEY_FILE_CHARS = 200


def _read_key(path: Path | None) -> "GatewayKey":
    """The account of a file with 64 hex digits. Raises ``click.BadParameter``, which never shows the content."""
    from baton.selftest.parties import GatewayKey

    if path is None:
        return GatewayKey()
    try:
        with path.open("r", encoding="ascii") as file:
            text = file.read(_KEY_FILE_CHARS).strip().removeprefix("0x")
        return GatewayKey.from_private_key(bytes.fromhex(text))
    except (OSError, ValueError):
        message = f"{path} does not hold a private key (64 hex digits)"
        raise click.BadParameter(message, param_hint="--key-file") from None


def _read_profiles(names: str) -> "tuple[VideoProfile, ...]":
    from baton.kernel.profiles import PRESETS

    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in PRESETS]
    if unknown or not chosen:
        message = f"unknown: {', '.join(unknown) or 'nothing given'}; known are {', '.join(PRESETS)}"
        raise click.BadParameter(message, param_hint="--renditions")
    return tuple(PRESETS[name] for name in chosen)


def _read_endpoint(url: str) -> "Endpoint":
    from baton.selftest.parties import Endpoint

    try:
        return Endpoint.parse(url, default_port=_DEFAULT_PORT)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None


@click.command("probe")
@click.argument("url")
@click.option(
    "--file",
    "video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Stream this video and verify it.",
)
@click.option(
    "--renditions", default=",".join(LADDER), show_default=True, help="Presets to ask for, separated by commas."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0.1), default=_LONGEST_S, show_default=True, help="Stream at most this much."
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign as this account: a file with the private key as 64 hex digits.",
)
@click.option("--pay", is_flag=True, help="Pay for the stream with tickets of the account in --key-file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def command(
    url: str, video: Path | None, renditions: str, seconds: float, key_file: Path | None, *, pay: bool, as_json: bool
) -> None:
    """Act as a gateway towards the orchestrator at URL and judge it."""
    from baton.selftest.paying import TermsOnly
    from baton.selftest.probing import run_probe
    from baton.selftest.report import new_console, progress_on

    if pay and (key_file is None or video is None):
        message = "needs --file to pay for and --key-file to pay from"
        raise click.BadParameter(message, param_hint="--pay")
    console = new_console()
    endpoint, key, profiles = _read_endpoint(url), _read_key(key_file), _read_profiles(renditions)
    try:
        with progress_on(console, quiet=as_json) as progress:
            result = run_until_signal(
                run_probe(
                    endpoint=endpoint,
                    key=key,
                    video=video,
                    profiles=profiles,
                    limit_s=seconds,
                    progress=progress,
                    payer=TermsOnly() if pay else None,
                )
            )
    except InterruptedBySignal as interrupted:
        sys.stderr.write("interrupted\n")
        sys.exit(128 + interrupted.number)
    _show(console, endpoint.uri, result, as_json=as_json)
    sys.exit(ExitCode.OK if result.ok else ExitCode.FAILED)


def _show(console: "Console", uri: str, result: "ProbeResult", *, as_json: bool) -> None:
    from baton.selftest import report

    if as_json:
        rows = report.rendition_rows(result.streamed, result.judged)
        checks = report.check_rows(result.checks)
        report.print_json({"url": uri, "ok": result.ok, "checks": checks, "renditions": rows})
        return
    if result.judged:
        report.print_renditions(console, result.streamed, result.judged)
    report.print_checks(console, result.checks)
    if result.judged:
        console.print(
            report.summary_line(result.streamed, result.judged), markup=False, highlight=False, soft_wrap=True
        )
    verdict = f"{uri}: every check passed" if result.ok else f"{uri}: failed, see the rows marked fail"
    console.print(verdict, markup=False, highlight=False, style="bold green" if result.ok else "bold red")
