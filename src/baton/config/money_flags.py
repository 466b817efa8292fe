"""Settings of the chain and of payments, a part of ``config.flags`` (operator.md 3.4, payments.md 15)."""

from baton.config import money_values, values
from baton.config.flag import Flag

__all__ = ["CHAIN", "PRICES"]

_CHAIN, _PAYMENTS = "Chain", "Prices and payments"
_HOUR_S = 3600.0

CHAIN = (
    Flag(
        "eth-url",
        "chain.url",
        money_values.endpoint(),
        "",
        "JSON-RPC endpoint of the chain, `http://` or `https://`; needed on every network but offchain. Never shown.",
        _CHAIN,
        default_note="none",
        secret=True,
    ),
    Flag(
        "eth-controller",
        "chain.controller_hex",
        values.account(),
        "",
        "The protocol's Controller contract, which knows all others; needed on private networks.",
        _CHAIN,
        default_note="none",
    ),
    Flag(
        "block-polling-interval",
        "chain.polling_interval_s",
        values.duration(0.1, 60),
        "5s",
        "Pause between two looks at the chain.",
        _CHAIN,
    ),
    Flag(
        "chain-stale-after",
        "chain.stale_after_s",
        values.duration(5, _HOUR_S),
        "2m",
        "A chain that was not seen for this long is not believed: no new terms until it is back.",
        _CHAIN,
    ),
    Flag(
        "min-gas-price",
        "chain.min_gas_price_wei",
        money_values.wei(),
        "0",
        "Least gas price, in wei, that the node reckons with.",
        _CHAIN,
    ),
)

PRICES = (
    Flag(
        "eth-orch-addr",
        "payments.recipient_hex",
        values.account(),
        "",
        "Registered orchestrator that gateways pay, when that is not the node's own account.",
        _PAYMENTS,
        default_note="the node's own account",
    ),
    Flag(
        "price-per-unit",
        "payments.price",
        money_values.price(),
        "",
        "Price of --pixels-per-unit pixels in wei, or with a currency: `0.41USD`, `0.0001eth`. 0 works for nothing.",
        _PAYMENTS,
        default_note="none; must be set on every network but offchain",
    ),
    Flag(
        "pixels-per-unit",
        "payments.pixels_per_unit",
        money_values.units(),
        "1",
        "Pixels that --price-per-unit is for; `1e12` is understood.",
        _PAYMENTS,
    ),
    Flag(
        "price-per-gateway",
        "payments.price_per_gateway",
        money_values.gateway_prices(),
        "",
        "Prices of single gateways, as JSON or a file of it; everybody else pays --price-per-unit.",
        _PAYMENTS,
        default_note="none",
        value_or_file=True,
    ),
    Flag(
        "price-feed-addr",
        "payments.price_feed_hex",
        values.account(),
        "0x639Fe6ab55C921f74e7fac1ee960C0B6293ba612",
        "Chainlink feed that prices in a currency go by; the default is ETH / USD on Arbitrum One.",
        _PAYMENTS,
    ),
    Flag(
        "max-price-step",
        "payments.price_step_most",
        money_values.percent(),
        "10%",
        "The most that an exchange rate moves prices in an hour; 0 lets them jump, and gateways with them.",
        _PAYMENTS,
    ),
    Flag(
        "auto-adjust-price",
        "payments.auto_adjust",
        values.boolean(),
        "true",
        "Add what redeeming a ticket costs to the price.",
        _PAYMENTS,
    ),
    Flag(
        "max-price-overhead",
        "payments.overhead_most",
        money_values.percent(),
        "50%",
        "The most that --auto-adjust-price adds to a price.",
        _PAYMENTS,
    ),
    Flag(
        "ticket-ev",
        "payments.ticket_ev_wei",
        money_values.wei(),
        "8000000000",
        "What a ticket is worth on average, in wei.",
        _PAYMENTS,
    ),
    Flag(
        "max-face-value",
        "payments.max_face_value_wei",
        money_values.wei(),
        "0",
        "The most that a winning ticket may pay, in wei; 0 sets no limit.",
        _PAYMENTS,
    ),
    Flag(
        "redeem-gas",
        "payments.redeem_gas",
        values.count(21_000, 30_000_000),
        "350000",
        "Gas that redeeming a ticket is expected to cost; face values and the price's overhead follow from it.",
        _PAYMENTS,
    ),
    Flag(
        "account-idle",
        "payments.idle_account_s",
        values.duration(60, 24 * _HOUR_S),
        "24h",
        "Credit of a stream that was silent for this long is forgotten.",
        _PAYMENTS,
    ),
)
