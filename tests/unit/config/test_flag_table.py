"""The table of settings: complete, unambiguous, with defaults that are the model's own."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

import pytest

from baton.config.flag import Flag
from baton.config.flags import FLAGS
from baton.config.later import LATER, is_later_switch
from baton.config.model import PortSettings, Settings
from baton.config.values import Base

from .conftest import Place

REFERENCE = {
    "orchestrator",
    "transcoder",
    "ai-worker",
    "redeemer",
    "network",
    "service-addr",
    "nodes",
    "http-addr",
    "cli-addr",
    "orch-addr",
    "orch-secret",
    "startup-availability-check",
    "data-dir",
    "object-store",
    "max-sessions",
    "nvidia",
    "netint",
    "test-transcoder",
    "hevc-decoding",
    "ai-models",
    "ai-models-dir",
    "ai-runner-image-overrides",
    "ai-runner-image",
    "ai-verbose-logs",
    "ai-runner-containers-per-gpu",
    "ai-processing-retry-timeout",
    "ai-min-runner-version",
    "ai-service-registry",
    "ai-serverless",
    "live-ai-trickle-host-for-runner",
    "live-payment-interval",
    "use-live-runners",
    "live-runner-config",
    "live-runner-addr",
    "live-runner-proxy-url",
    "live-ai-cap-report-interval",
    "eth-url",
    "eth-acct-addr",
    "eth-password",
    "eth-keystore-path",
    "eth-orch-addr",
    "eth-controller",
    "transaction-timeout",
    "max-transaction-replacements",
    "gas-limit",
    "min-gas-price",
    "max-gas-price",
    "block-polling-interval",
    "initialize-round",
    "initialize-round-max-delay",
    "reward",
    "redeemer-addr",
    "ticket-ev",
    "max-face-value",
    "price-per-unit",
    "pixels-per-unit",
    "price-feed-addr",
    "auto-adjust-price",
    "price-per-gateway",
    "monitor",
    "metrics-per-stream",
    "metrics-client-ip",
    "metadata-queue-uri",
    "metadata-amqp-exchange",
    "metadata-publish-timeout",
    "kafka-bootstrap-servers",
    "kafka-user",
    "kafka-password",
    "kafka-gateway-topic",
}
"""Every flag of operator.md 3, in kebab-case."""


def leaves(cls: type[Any], prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(cls)
    for item in fields(cls):
        name = prefix + item.name
        if is_dataclass(hints[item.name]) and name not in {"port.bind", "management.bind", "engine.nvidia"}:
            yield from leaves(cast("type[Any]", hints[item.name]), f"{name}.")
        else:
            yield name


def at(settings: object, target: str) -> object:
    for name in target.split("."):
        settings = getattr(settings, name)
    return settings


def test_every_field_is_set_by_exactly_one_row() -> None:
    assert Counter(flag.target for flag in FLAGS.values()) == Counter(leaves(Settings))


@pytest.mark.parametrize("flag", FLAGS.values(), ids=lambda flag: flag.name)
def test_rows_are_well_formed(flag: Flag) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", flag.name)
    assert flag.option == f"--{flag.name}"
    assert re.fullmatch(r"BATON_[A-Z0-9_]+", flag.variable)
    assert flag.help.endswith(".")
    assert not (flag.default and flag.default_note)
    assert not flag.name.startswith("no-")
    flag.kind.read(flag.default or "x", Base(Path("/h"), Path("/d"))) if flag.default else None


def test_variables_and_short_options_are_unambiguous() -> None:
    assert len({flag.variable for flag in FLAGS.values()}) == len(FLAGS)
    shorts = [flag.short for flag in FLAGS.values() if flag.short]
    assert len(set(shorts)) == len(shorts)
    assert "h" not in shorts


def test_no_setting_is_both_here_and_later() -> None:
    assert not FLAGS.keys() & LATER.keys()
    assert not {name for name in LATER if name.startswith("no-")}


def test_defaults_of_the_table_are_those_of_the_model(place: Place) -> None:
    loaded = place.load().settings
    by_hand = Settings(
        network="offchain",
        data_dir=place.data_dir,
        port=PortSettings(service_uri="https://127.0.0.1:8935", bind=loaded.port.bind),
    )
    assert loaded == by_hand


def test_the_reference_s_settings_of_an_orchestrator_are_all_known() -> None:
    assert not REFERENCE - FLAGS.keys() - LATER.keys()


def test_switches_of_later_are_rows_of_later() -> None:
    assert is_later_switch("reward")
    assert not is_later_switch("eth-url")
    assert not is_later_switch("max-sessions")


def test_every_target_reaches_a_value(place: Place) -> None:
    settings = place.load().settings
    for flag in FLAGS.values():
        at(settings, flag.target)
