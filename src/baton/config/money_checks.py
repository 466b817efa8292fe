"""What settings of chain and payments must be true together (operator.md 4, payments.md 18.2). Pure."""

from urllib.parse import urlsplit

from baton.config.addresses import is_loopback
from baton.config.model import Settings

__all__ = ["money_problems", "money_warnings"]


def money_problems(settings: Settings) -> list[str]:
    """What a node on a chain needs, and amounts that no ticket can satisfy. Off-chain nothing of it is looked at."""
    if not settings.is_onchain:
        return []
    chain, payments = settings.chain, settings.payments
    problems = []
    if not chain.url:
        problems.append("Need to specify an Ethereum node JSON-RPC URL using --eth-url")
    if not chain.controller_hex:
        problems.append(f"--eth-controller must be set: the contracts of network {settings.network} are not known here")
    if payments.price is None:
        problems.append("--price-per-unit must be set")
    prices = [payments.price, *(row.price for row in payments.price_per_gateway)]
    if any(price is not None and price.needs_a_rate for price in prices) and (not payments.price_feed_hex):
        problems.append("--price-feed-addr must be set: a price is in a currency, and only a feed can convert it")
    if payments.ticket_ev_wei == 0 and any(price is not None and price.amount > 0 for price in prices):
        problems.append("--ticket-ev must be greater than 0 when there is a price: tickets worth nothing pay nothing")
    if 0 < payments.max_face_value_wei <= payments.ticket_ev_wei:
        problems.append(
            f"--max-face-value ({payments.max_face_value_wei}) must be above --ticket-ev ({payments.ticket_ev_wei}), "
            "else no ticket can be made"
        )
    if chain.stale_after_s <= 2 * chain.polling_interval_s:
        problems.append(
            f"--chain-stale-after ({chain.stale_after_s:g}s) must be more than two pauses of --block-polling-interval "
            f"({chain.polling_interval_s:g}s)"
        )
    return problems


def money_warnings(settings: Settings) -> list[str]:
    """What works and still deserves a word at every start."""
    chain, payments = settings.chain, settings.payments
    if not settings.is_onchain:
        if chain.url or payments.price is not None or payments.price_per_gateway:
            return ["off-chain: there is no chain and nobody pays; --eth-url and prices are not used"]
        return []
    warnings = []
    if payments.price is not None and payments.price.amount == 0:
        warnings.append("--price-per-unit is 0: everybody who has no price of their own is served for nothing")
    if chain.url.startswith("http://") and not _is_near(chain.url):
        warnings.append(
            "--eth-url is not encrypted: whoever is on the way can tell this node false things of the chain"
        )
    return warnings


def _is_near(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
