"""What settings must be true together: pairs of files, keys that exist, addresses that can work.

Looks at the files that settings name and opens nothing else. Each function returns complete sentences.
"""

import json
import ssl
from pathlib import Path

from baton.config.addresses import is_loopback, is_unspecified, uri_endpoint
from baton.config.model import BindAddress, Settings

__all__ = ["certificate_problems", "find_key_file", "keystore_account", "together_problems", "warnings_about"]

_LARGEST_KEY_FILE_BYTES = 1 << 16
_MOST_KEY_FILES = 1000
_MOST_SHOWN = 5


def certificate_problems(certificate: Path | None, key: Path | None) -> list[str]:
    """Both or neither, readable, and made for each other."""
    if certificate is None and key is None:
        return []
    if certificate is None or key is None:
        given, missing = ("--key-file", "--cert-file") if certificate is None else ("--cert-file", "--key-file")
        return [f"{given} needs {missing} beside it"]
    unseen = [
        f"{option}: {problem}: {file}"
        for option, file in (("--cert-file", certificate), ("--key-file", key))
        if (problem := _why_no_file(file))
    ]
    if unseen:
        return unseen
    try:
        # The password callback keeps OpenSSL from asking on the terminal for an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as problem:  # SSLError is an OSError
        reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or problem
        return [f"--cert-file {certificate} and --key-file {key} cannot be used together: {reason}"]
    return []


def _why_no_file(path: Path) -> str:
    """Why ``path`` is no file that we could read; empty when it is. ``Path.is_file`` raises where we may not look."""
    try:
        return "" if path.is_file() else "no such file"
    except OSError as problem:
        return str(problem.strerror)


def keystore_account(file: Path) -> str | None:
    """Account of a key file as ``0x`` and lower-case hex; None when the file is not one."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_KEY_FILE_BYTES)
        digits = json.loads(content)["address"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(digits, str):
        return None
    digits = digits.removeprefix("0x").lower()
    if len(digits) != 40 or any(c not in "0123456789abcdef" for c in digits):  # noqa: PLR2004 -- hex digits of an address
        return None
    return f"0x{digits}"


def find_key_file(
    place: Path | None, *, account: str, data_dir: Path, is_needed: bool = False
) -> tuple[Path | None, list[str]]:
    """The key file that the settings mean, and problems.

    Neither a path nor an account: no key at all, unless one ``is_needed``, as on a chain.
    """
    if place is None and not account and not is_needed:
        return None, []
    is_named = place is not None or account
    place = place or data_dir / "keystore"
    try:
        if not is_named and not place.is_dir():
            return None, [
                f"--eth-keystore-path must be set: on a chain the node needs its key, and {place} is not there"
            ]
        if place.is_file():
            return _single_key_file(place, account)
        if place.is_dir():
            return _key_file_in(place, account)
    except OSError as problem:
        return None, [f"--eth-keystore-path {place}: {problem.strerror}"]
    return None, [f"--eth-keystore-path was not found: {place}"]


def _single_key_file(file: Path, account: str) -> tuple[Path | None, list[str]]:
    found = keystore_account(file)
    if found is None:
        return None, [f"--eth-keystore-path {file}: no account address in this file; it is not a key file"]
    if account not in {"", found}:
        text = "--eth-keystore-path and --eth-acct-addr were both provided, but the key file belongs to"
        return None, [f"{text} {found} and not to {account}"]
    return file, []


def _key_file_in(folder: Path, account: str) -> tuple[Path | None, list[str]]:
    """The first key file by name, of the account when one is named: names start with the time of their making."""
    try:
        files = sorted(entry for entry in folder.iterdir() if entry.is_file())[:_MOST_KEY_FILES]
    except OSError as problem:
        return None, [f"--eth-keystore-path {folder}: {problem.strerror}"]
    there: dict[str, None] = {}
    for file in files:
        found = keystore_account(file)
        if found is not None and account in {"", found}:
            return file, []
        if found is not None:
            there[found] = None
    text = f"no key file of account {account} in this directory" if account else "no key file in this directory"
    if there:
        others = ", ".join(list(there)[:_MOST_SHOWN]) + (", ..." if len(there) > _MOST_SHOWN else "")
        text += f", only of {others}; no account is ever made"
    return None, [f"--eth-keystore-path {folder}: {text}"]


def together_problems(settings: Settings) -> list[str]:
    """Settings that are fine alone and cannot work together."""
    problems: list[str] = []
    port, management = settings.port, settings.management
    takes_work = port.service_uri != ""
    if not takes_work and not port.nodes:
        problems.append("--service-addr is none and there are no --nodes: a node needs one of them")
    if takes_work and not settings.video.transcoder:
        problems.append(
            "--no-transcoder: remote transcoders are not supported yet by this version, so a node without its own "
            "transcoder can only advertise --nodes with --service-addr none"
        )
    if settings.engine.nvidia and not settings.video.transcoder:
        problems.append("--nvidia has no use with --no-transcoder")
    if _collide(port.bind, management.bind):
        problems.append(f"--http-addr and --cli-addr both listen on port {port.bind.port}")
    if port.certificate_file and not port.bind.tls:
        problems.append("--cert-file has no use: --http-addr asks for cleartext (http://)")
    if settings.key.password and settings.key.keystore_file is None:
        problems.append("--eth-password has no use without --eth-keystore-path or --eth-acct-addr")
    if settings.money.cluster_secrets and not settings.money.database_url.startswith("postgresql"):
        problems.append(
            "--cluster-secret needs a PostgreSQL as --database-url: nodes that take each other's tickets and share no "
            "record would each credit the same ticket"
        )
    limits = port.limits
    if limits.max_connections_per_address > limits.max_connections:
        problems.append(
            f"--max-connections-per-address ({limits.max_connections_per_address}) is above "
            f"--max-connections ({limits.max_connections})"
        )
    return problems


def _collide(first: BindAddress, second: BindAddress) -> bool:
    if first.port != second.port or first.port == 0:
        return False
    return first.host == second.host or is_unspecified(first.host) or is_unspecified(second.host)


def warnings_about(settings: Settings, *, service_addr_given: bool) -> list[str]:
    """What works and still deserves a word at every start."""
    warnings: list[str] = []
    uri = settings.port.service_uri
    host = uri_endpoint(uri).host if uri else ""
    if uri and not service_addr_given:
        warnings.append(f"--service-addr is not set: advertising {uri}, which only this machine can reach")
    elif uri and (is_loopback(host) or is_unspecified(host)):
        warnings.append(f"--service-addr {uri} is not a public address: gateways elsewhere cannot reach it")
    management = settings.management.bind
    if not is_loopback(management.host):
        warnings.append(
            f"--cli-addr listens beyond this machine ({management.host or 'all interfaces'}): anybody who reaches the "
            "port reads the node's status"
        )
    if not settings.access.verify_signatures:  # never on a chain
        warnings.append(
            "off-chain: signatures of gateways are not verified, anybody may claim any address (--verify-signatures)"
        )
    if settings.access.fetch_private_networks:
        warnings.append(
            "--fetch-private-networks: gateways can make this node read from private addresses and post forms to them"
        )
    if "://" in settings.storage.object_store and not settings.access.auth_webhook_url:
        warnings.append(
            "--object-store is a bucket: whoever asks for terms may write into it (--auth-webhook-url decides who)"
        )
    return warnings
