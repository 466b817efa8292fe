"""Judgments about an orchestrator's answers, as a gateway would make them: each a row with a verdict and a reason.

Pure functions over facts that were gathered elsewhere. A failure is something for which gateways drop an orchestrator
or which breaks a stream; whatever peers tolerate is information. Texts of strangers are made printable before they
enter a reason.
"""

import statistics
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from baton.jobs.messages import AuthToken, OrchestratorInfo, Price
from baton.kernel.capabilities import Capabilities, Capability, capability_name, ids_from_bits, is_compatible
from baton.kernel.crypto import SIGNATURE_BYTES, verify_message
from baton.kernel.errors import Text
from baton.kernel.ids import ZERO_ADDRESS, Address, to_checksum_hex
from baton.kernel.version import version_at_least

__all__ = [
    "DISCOVERY_WINDOW_MS",
    "Check",
    "Verdict",
    "all_passed",
    "judge_address",
    "judge_capabilities",
    "judge_discovery_latency",
    "judge_nodes",
    "judge_ping",
    "judge_price",
    "judge_sessions",
    "judge_storage",
    "judge_token",
    "judge_transcoder_uri",
    "judge_version",
    "printable",
    "remedy_for",
]

DISCOVERY_WINDOW_MS = 500.0
"""How long a gateway's discovery collects answers by default (video.md 3.2)."""

_TOKEN_LIFETIME_S = 1800
"""What orchestrators of the network give; a gateway comes back when a tenth of the lifetime is left."""
_SHORTEST_USEFUL_S = 60
_LONGEST_SANE_S = 24 * 3600
_SHOWN_CHARS = 160
_MOST_WORDS = 16
_MOST_NODES = 5
_WEI_PER_GWEI = 10**9
_NEEDED = (Capability.H264, Capability.MPEGTS, Capability.AUTH_TOKEN, Capability.SEGMENT_SLICING)
"""What every stream that is pushed over HTTP demands (video.md 5.6)."""


class Verdict(Enum):
    """What a row says."""

    PASS = "pass"  # noqa: S105 -- a verdict
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of a report."""

    name: str
    verdict: Verdict
    reason: str


def passed(name: str, reason: str) -> Check:
    """A row that speaks for the orchestrator."""
    return Check(name, Verdict.PASS, reason)


def failed(name: str, reason: str) -> Check:
    """A row for which a gateway would leave."""
    return Check(name, Verdict.FAIL, reason)


def info(name: str, reason: str) -> Check:
    """A row that only tells."""
    return Check(name, Verdict.INFO, reason)


def all_passed(checks: Iterable[Check]) -> bool:
    """Whether no row failed."""
    return all(check.verdict is not Verdict.FAIL for check in checks)


def printable(text: str, limit: int = _SHOWN_CHARS) -> str:
    """A stranger's text, safe for a terminal: no control or format characters, and not endless."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


# Discovery.


def judge_discovery_latency(samples_ms: Sequence[float]) -> Check:
    """Whether discovery is quick enough to be chosen; judged by the median, the slowest is told."""
    median_ms = statistics.median(samples_ms)
    figures = f"median {median_ms:.0f} ms, slowest {max(samples_ms):.0f} ms of {len(samples_ms)}"
    if median_ms >= DISCOVERY_WINDOW_MS:
        return failed("discovery latency", f"{figures}: gateways stop listening after {DISCOVERY_WINDOW_MS:.0f} ms")
    return passed("discovery latency", f"{figures} (gateways listen for {DISCOVERY_WINDOW_MS:.0f} ms)")


def judge_transcoder_uri(uri: str) -> Check:
    """Where segments go: gateways append ``/segment`` to it as text."""
    name = "transcoder URI"
    shown = printable(uri)
    if uri == "":
        return failed(name, "empty: gateways skip a node that takes no work")
    try:
        parts = urllib.parse.urlsplit(uri)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        return failed(name, f"{shown} is not an http or https address")
    if uri.endswith("/"):
        return failed(name, f"{shown} ends in a slash: gateways would post to //segment")
    if parts.scheme == "http":
        return info(name, f"{shown}: cleartext, standalone transcoders cannot connect")
    return passed(name, shown)


def judge_address(address: Address) -> Check:
    """Whose signature covers results."""
    if address == ZERO_ADDRESS:
        return info("address", "zero: results are not signed, which gateways accept off-chain only")
    return passed("address", to_checksum_hex(address))


def price_in_words(price: Price) -> str:
    """A price as operators speak of it: wei per pixel, and what a familiar rendition costs."""
    per_px = price.wei_per_unit / price.px_per_unit
    hour_wei = price.wei_per_unit * 1280 * 720 * 30 * 3600 // price.px_per_unit
    return f"{per_px:g} wei per pixel ({hour_wei / _WEI_PER_GWEI:,.0f} gwei for an hour of 720p30)"


def judge_price(answer: OrchestratorInfo) -> Check:
    """What work costs, and whether it can be paid at all."""
    name = "price"
    price, params = answer.price, answer.ticket_params
    if price is None:
        if params is not None:
            return failed(name, "ticket parameters without a price")
        return info(name, "none: an off-chain node works for nothing")
    if price.px_per_unit <= 0 or price.wei_per_unit < 0:
        return failed(name, f"{price.wei_per_unit} wei per {price.px_per_unit} pixels is no price")
    if params is None and price.wei_per_unit > 0:
        return failed(name, f"{price_in_words(price)}, but no ticket parameters: nobody can pay it")
    if params is not None and not (params.recipient and params.face_value and params.win_prob):
        return failed(name, f"{price_in_words(price)}, but ticket parameters are incomplete")
    return passed(name, price_in_words(price))


def judge_token(token: AuthToken, *, now: float) -> Check:
    """Leave to use a session: present, alive, and long enough to be worth a stream."""
    name = "auth token"
    if not token.token or not token.session_id:
        return failed(name, "absent: gateways skip an orchestrator without one")
    left_s = token.expiration - now
    if left_s <= 0:
        return failed(name, f"expired {-left_s:.0f} s ago")
    if left_s < _SHORTEST_USEFUL_S:
        return failed(name, f"expires in {left_s:.0f} s: a gateway would refresh without end")
    if left_s > _LONGEST_SANE_S:
        return info(name, f"lives {left_s / 3600:.0f} h; the network's own live {_TOKEN_LIFETIME_S // 60} min")
    return passed(name, f"session {printable(token.session_id, 40)}, lives {left_s / 60:.0f} min")


def judge_sessions(session_ids: Sequence[str]) -> Check:
    """Every answer must open a session of its own, or two streams would share one."""
    if len(set(session_ids)) < len(session_ids):
        return failed("sessions", "the same session id was given twice")
    return passed("sessions", f"{len(session_ids)} answers, {len(session_ids)} session ids")


def judge_version(version: str) -> Check:
    """The node version that gateways compare with their minimum."""
    name = "version"
    shown = printable(version, 60)
    if version in {"", "undefined"}:
        return info(name, "not stated: gateways with a minimum version skip this node")
    if not version_at_least(version, "0.0.0"):
        return failed(name, f"{shown} is not a semantic version: gateways with a minimum version skip this node")
    return passed(name, shown)


def judge_capabilities(offer: Capabilities, wanted: Capabilities | None = None) -> tuple[Check, ...]:
    """What the node can do, in words, and whether that carries a pushed stream (or the ``wanted`` one)."""
    ids = ids_from_bits(offer.bits[:_MOST_WORDS])
    words = ", ".join(capability_name(i) for i in ids) or "none"
    missing = [capability_name(i) for i in _NEEDED if i not in ids]
    rows = [info("capabilities", printable(words, 1000))]
    if missing:
        rows.append(failed("capabilities for a stream", f"missing: {', '.join(missing)}"))
    elif wanted is not None and not is_compatible(wanted, offer):
        lacking = sorted(set(ids_from_bits(wanted.bits)) - set(ids))
        reason = ", ".join(capability_name(i) for i in lacking) or "version, mandatory bits or models do not fit"
        rows.append(failed("capabilities for a stream", f"missing for this one: {reason}"))
    else:
        rows.append(passed("capabilities for a stream", "everything that a pushed H.264 stream needs"))
    return tuple(rows)


def judge_nodes(nodes: Sequence[str]) -> Check:
    """Other instances of the same orchestrator."""
    if not nodes:
        return info("further nodes", "none")
    shown = ", ".join(printable(node, 60) for node in nodes[:_MOST_NODES])
    return info("further nodes", f"{len(nodes)}: {shown}")


def judge_storage(answer: OrchestratorInfo) -> Check:
    """Where renditions are kept."""
    if not answer.storage:
        return info("storage", "the node's own")
    return info("storage", ", ".join(f"{o.kind.name} {printable(o.host, 60)}" for o in answer.storage[:_MOST_NODES]))


def judge_ping(*, address: Address, value: bytes, reply: bytes) -> Check:
    """Whether whoever answers holds the key of the stated address."""
    if address == ZERO_ADDRESS:
        if reply not in {b"", value}:
            return info("ping", f"answered with {len(reply)} bytes; there is no address to check them against")
        return passed("ping", "answered, unsigned as off-chain nodes do")
    if len(reply) != SIGNATURE_BYTES:
        return failed("ping", f"{len(reply)} bytes instead of a signature")
    if not verify_message(address, value, reply):
        return failed("ping", f"not signed by {to_checksum_hex(address)}")
    return passed("ping", "signed by the stated address")


def remedy_for(text: str, *, anonymous: bool) -> str:
    """What an operator can do about a refusal of terms: an addition to its reason, empty for texts nobody knows."""
    if text.startswith(Text.AUTHENTICATION_FAILED):
        return " - the operator's webhook refused this account: admit it there, or use another by --key-file"
    return {
        Text.REQUEST_SIG: " - it serves signed requests only: name an account by --key-file"
        if anonymous
        else " - it does not take the signature of this account",
        Text.REQUEST_CAPPED: " - it is full or draining: see its status, or ask again later",
        Text.REQUEST_TOO_MANY: " - too many requests from this address: ask again in some seconds",
    }.get(text, "")
