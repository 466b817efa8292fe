"""How the RPC shim may misbehave, as a value: what endpoints of the real network do on bad days.

A fault is about what a reader of the chain is told. What really happens on the chain (reorganisations, rounds that
nobody initialized, senders who leave) is scripted with ``Devnet``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Self

__all__ = ["Faults", "L1Field", "Misdeed", "Rule"]


class Misdeed(Enum):
    """What a rule does to a call."""

    DROP = "drop"
    """The connection is cut without an answer."""
    DELAY = "delay"
    """The answer comes ``delay_s`` late."""
    ERROR = "error"
    """A JSON-RPC error with ``code`` and ``message``."""
    STATUS = "status"
    """An HTTP status ``code`` with the body ``message`` for the whole request."""
    GARBAGE = "garbage"
    """The body is ``message`` instead of JSON-RPC."""
    SWALLOW = "swallow"
    """A transaction is accepted, its hash answered, and it is never mined."""


class L1Field(Enum):
    """How headers carry ``l1BlockNumber``; endpoints differ."""

    HEX = "hex"
    NUMBER = "number"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One misdeed towards some calls; rules are tried in order and the first that fits is done."""

    misdeed: Misdeed
    methods: tuple[str, ...] = ()
    """Methods it is about; none are all."""
    times: int | None = None
    """How many calls it hits; None is all of them."""
    after: int = 0
    """How many calls that fit go well before."""
    delay_s: float = 0.0
    code: int = -32000
    message: str = ""
    retry_after_s: int | None = None
    """The ``Retry-After`` header that goes with a status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """All misbehaviour at once. The default is an honest endpoint of Arbitrum."""

    rules: tuple[Rule, ...] = ()
    l1_field: L1Field = L1Field.HEX
    frozen_head: int | None = None
    """The endpoint stands still at this block while the chain goes on; lower than before is a head going backwards."""
    logs_behind: int = 0
    """Logs of the last so many blocks are not found yet."""
    max_log_range: int | None = None
    """Wider questions for logs are refused with ``log_range_message``."""
    log_range_message: str = "query returned more than 10000 results"
    dropped_log_topics: tuple[str, ...] = ()
    """First topics (hex) of logs that are never told."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        made = asdict(self)
        made["l1_field"] = self.l1_field.value
        made["rules"] = [{**asdict(rule), "misdeed": rule.misdeed.value} for rule in self.rules]
        return made

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From ``document``. Raises ``ValueError``, ``TypeError`` or ``KeyError`` for anything else."""
        fields = dict(document)
        rules = tuple(
            Rule(**{**rule, "misdeed": Misdeed(rule["misdeed"]), "methods": tuple(rule.get("methods", ()))})
            for rule in fields.pop("rules", ())
        )
        fields["l1_field"] = L1Field(fields.get("l1_field", L1Field.HEX.value))
        fields["dropped_log_topics"] = tuple(fields.get("dropped_log_topics", ()))
        return cls(rules=rules, **fields)
