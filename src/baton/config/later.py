"""Settings of the reference that Baton knows by name but does not have yet, and those of gateways.

Pure. Using one is a clear error, never ignored and never "unknown": an operator who moves here learns whether to wait
or to leave it out. Names are the reference's in kebab-case (operator.md 3 and 21).
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LATER", "is_later_switch", "later_reason"]

_NOT_YET = "is not supported yet by this version"
_GATEWAY = "is a setting of gateways and has no meaning for an orchestrator"
_OLD_PRICES = "is the old name of --price-per-gateway"
_ROLE = "is not an option here: `baton run` always is the orchestrator"

_SWITCHES = (
    "ai-worker",
    "redeemer",
    "ai-verbose-logs",
    "ai-service-registry",
    "ai-serverless",
    "use-live-runners",
    "initialize-round",
    "reward",
    "metrics-client-ip",
)
_WITH_VALUE = (
    # Roles and remote workers.
    "orch-addr",
    "orch-secret",
    "netint",
    # AI.
    "ai-models",
    "ai-models-dir",
    "ai-runner-image-overrides",
    "ai-runner-image",
    "ai-runner-containers-per-gpu",
    "ai-processing-retry-timeout",
    "ai-min-runner-version",
    "live-ai-trickle-host-for-runner",
    "live-ai-cap-report-interval",
    "live-payment-interval",
    "live-runner-config",
    "live-runner-addr",
    "live-runner-proxy-url",
    # Chain and payments.
    "transaction-timeout",
    "max-transaction-replacements",
    "gas-limit",
    "max-gas-price",
    "initialize-round-max-delay",
    "redeemer-addr",
    # Events.
    "metadata-queue-uri",
    "metadata-amqp-exchange",
    "metadata-publish-timeout",
)
_GATEWAY_SWITCHES = (
    "gateway",
    "broadcaster",
    "local-verify",
    "http-ingest",
    "ignore-max-price-if-needed",
    "current-manifest",
    "remote-signer",
    "remote-signer-allow-no-auth",
    "remote-discovery",
)
_GATEWAY_WITH_VALUE = (
    "rtmp-addr",
    "verifier-url",
    "verifier-path",
    "orch-webhook-url",
    "extra-nodes",
    "orch-blocklist",
    "orch-min-livepeer-version",
    "select-rand-freq",
    "select-stake-weight",
    "select-price-weight",
    "select-price-exp-factor",
    "orch-perf-stats-url",
    "region",
    "max-price-per-unit",
    "max-price-per-capability",
    "min-perf-score",
    "discovery-timeout",
    "gateway-host",
    "transcoding-options",
    "max-attempts",
    "max-ticket-ev",
    "max-total-ev",
    "deposit-multiplier",
    "record-store",
    "remote-signer-url",
    "remote-signer-headers",
    "remote-signer-webhook-url",
    "remote-signer-webhook-headers",
    "media-mtx-api-password",
    "live-ai-auth-api-key",
    "live-ai-auth-webhook-url",
    "live-ai-heartbeat-url",
    "live-ai-heartbeat-headers",
    "live-ai-heartbeat-interval",
    "live-ai-save-n-segments",
    "live-out-segment-timeout",
    "fv-fail-gs-bucket",
    "fv-fail-gs-key",
    "kafka-bootstrap-servers",
    "kafka-user",
    "kafka-password",
    "kafka-gateway-topic",
)

LATER: Mapping[str, str] = MappingProxyType(
    {
        "orchestrator": _ROLE,
        "price-per-broadcaster": _OLD_PRICES,
        **dict.fromkeys((*_SWITCHES, *_WITH_VALUE), _NOT_YET),
        **dict.fromkeys((*_GATEWAY_SWITCHES, *_GATEWAY_WITH_VALUE), _GATEWAY),
    }
)
"""Why a known name cannot be used, by name."""

_ALL_SWITCHES = frozenset({"orchestrator", *_SWITCHES, *_GATEWAY_SWITCHES})


def is_later_switch(name: str) -> bool:
    """Whether the option stands alone on a command line, without a value after it."""
    return name in _ALL_SWITCHES


def later_reason(name: str) -> str | None:
    """The sentence's end for a name of the table, None for any other."""
    return LATER.get(name)
