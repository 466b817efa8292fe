"""Settings of chain and payments: what each is read as, what a node on a chain needs, and what can never work."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from baton.config.model import GatewayPrice
from baton.kernel.amounts import PriceText
from baton.kernel.errors import ConfigError

from .conftest import Place
from .livepeer import Operator

CONTROLLER = "0x" + "c0" * 20
ACCOUNT = "ab" * 20
GATEWAY = "0x" + "1f" * 20
NEEDED = ("--network", "devnet", "--eth-url", "http://127.0.0.1:8545", "--eth-controller", CONTROLLER)
ONCHAIN = (*NEEDED, "--price-per-unit", "1200")


def key_file(folder: Path) -> Path:
    folder.mkdir(parents=True)
    file = folder / "UTC--1"
    file.write_text(json.dumps({"address": ACCOUNT}))
    return file


@pytest.fixture
def chain(place: Place) -> Place:
    """A place with a key where a node on the devnet looks for one."""
    key_file(place.home / ".baton" / "devnet" / "keystore")
    return place


def test_a_node_on_a_chain(chain: Place) -> None:
    loaded = chain.load(*ONCHAIN, "--price-per-unit", "0.41USD", "--pixels-per-unit", "1e12")
    settings = loaded.settings
    assert settings.is_onchain
    assert settings.data_dir == chain.home / ".baton" / "devnet"
    assert settings.key.keystore_file == settings.data_dir / "keystore" / "UTC--1"
    assert (settings.chain.url, settings.chain.controller_hex) == ("http://127.0.0.1:8545", CONTROLLER)
    assert settings.payments.price == PriceText(Fraction(41, 100), "usd")
    assert settings.payments.pixels_per_unit == 10**12
    assert settings.payments.overhead_most == Fraction(3, 2)
    assert settings.payments.price_feed_hex == "0x639fe6ab55c921f74e7fac1ee960c0b6293ba612"
    assert settings.payments.recipient_hex == ""


def test_signatures_are_always_verified_on_a_chain(chain: Place) -> None:
    loaded = chain.load(*ONCHAIN, "--no-verify-signatures", "--service-addr", "orch.example")
    assert loaded.settings.access.verify_signatures
    assert loaded.warnings == ()
    assert not chain.load("--service-addr", "orch.example").settings.access.verify_signatures
    shown = {row.name: row.shown for row in chain.load(*ONCHAIN).provenance}
    assert shown["verify-signatures"] == "true"


def test_endpoint_is_never_shown(chain: Place) -> None:
    secret = "https://rpc.example/v2/hunter2"
    loaded = chain.load(*ONCHAIN, "--eth-url", secret)
    assert loaded.settings.chain.url == secret
    assert "hunter2" not in repr(loaded.settings) + repr(loaded.provenance) + repr(loaded.warnings)
    for wrong in (
        "ftp://rpc.example/hunter2",
        "hunter2",
        "https://a/hunter2,https://b",
        "https://[hunter2",
        "ws://a/hunter2",
    ):
        assert "hunter2" not in str(chain.problems(*ONCHAIN, "--eth-url", wrong))


def test_everything_that_a_chain_needs_is_asked_for_at_once(place: Place) -> None:
    keystore = place.home / ".baton" / "devnet" / "keystore"
    assert place.problems("--network", "devnet") == (
        f"--eth-keystore-path must be set: on a chain the node needs its key, and {keystore} is not there",
        "Need to specify an Ethereum node JSON-RPC URL using --eth-url",
        "--eth-controller must be set: the contracts of network devnet are not known here",
        "--price-per-unit must be set",
    )


def test_the_same_in_the_reference_s_words(operator: Operator) -> None:
    problems = operator.problems("-orchestrator", "-transcoder", "-network", "private-1")
    assert problems == (
        f"-ethKeystorePath was not found: {operator.home}/.lpData/private-1/keystore",
        "Need to specify an Ethereum node JSON-RPC URL using -ethUrl",
        "-ethController must be set: the contracts of network private-1 are not known here",
        "-pricePerUnit must be set",
    )


def test_all_flags_of_the_reference(operator: Operator) -> None:
    key_file(operator.home / ".lpData" / "private-1" / "keystore")
    prices = json.dumps({"broadcasters": [{"ethaddress": GATEWAY, "priceperunit": 7, "pixelsperunit": 2}]})
    loaded = operator.combined(
        *("-network", "private-1", "-ethUrl", "https://rpc.example", "-ethController", CONTROLLER),
        *("-ethOrchAddr", "0x" + "0A" * 20, "-pricePerUnit", "0", "-pixelsPerUnit", "2", "-ticketEV", "9"),
        *("-maxFaceValue", "1000", "-autoAdjustPrice=false", "-priceFeedAddr", GATEWAY, "-blockPollingInterval", "1"),
        *("-minGasPrice", "5", "-pricePerBroadcaster", prices),
    )
    payments, chain = loaded.settings.payments, loaded.settings.chain
    assert payments.recipient_hex == "0x" + "0a" * 20
    assert payments.price == PriceText(Fraction(0))
    assert (payments.pixels_per_unit, payments.ticket_ev_wei, payments.max_face_value_wei) == (2, 9, 1000)
    assert payments.auto_adjust is False
    assert payments.price_feed_hex == GATEWAY
    assert payments.price_per_gateway == (GatewayPrice(GATEWAY, PriceText(Fraction(7)), 2),)
    assert (chain.polling_interval_s, chain.min_gas_price_wei) == (1.0, 5)
    assert "-pricePerBroadcaster is deprecated; use -pricePerGateway" in loaded.warnings
    assert any("-pricePerUnit is 0" in warning for warning in loaded.warnings)


def test_old_name_of_gateway_prices_is_told(place: Place) -> None:
    assert place.problem("--price-per-broadcaster", "{}") == (
        "--price-per-broadcaster is the old name of --price-per-gateway"
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1", 1), ("1e12", 10**12), ("1000000000000", 10**12), ("2.50e1", 25), ("12/4", 3), ("+7", 7), ("1.0", 1)],
)
def test_pixels_are_any_text_of_a_whole_number(chain: Place, text: str, meant: int) -> None:
    assert chain.load(*ONCHAIN, "--pixels-per-unit", text).settings.payments.pixels_per_unit == meant


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--pixels-per-unit", "0"), "--pixels-per-unit must be > 0"),
        (("--pixels-per-unit", "-1"), "--pixels-per-unit must be > 0"),
        (("--pixels-per-unit", "0.5"), "--pixels-per-unit must be a valid integer"),
        (("--pixels-per-unit", "1/0"), "--pixels-per-unit must be a valid integer"),
        (("--pixels-per-unit", "1e99999999"), "--pixels-per-unit must be a valid integer"),
        (("--pixels-per-unit", "NaN"), "--pixels-per-unit must be a valid integer"),
        (("--price-per-unit", "-1"), "--price-per-unit must be a valid integer with an optional currency"),
        (("--price-per-unit", "1e3"), None),
        (("--price-per-unit", "1.USD"), "--price-per-unit must be a valid integer with an optional currency"),
        (("--price-per-unit", "USD"), "--price-per-unit must be a valid integer with an optional currency"),
        (("--price-per-unit", "1 USD"), "--price-per-unit must be a valid integer with an optional currency"),
        (("--price-per-unit", "9" * 200), "--price-per-unit must be a valid integer with an optional currency"),
        (("--ticket-ev", "-1"), "--ticket-ev must be greater than 0"),
        (("--ticket-ev", "1.5"), "--ticket-ev must be a valid integer"),
        (("--ticket-ev", "0"), "--ticket-ev must be greater than 0 when there is a price"),
        (("--ticket-ev", "0", "--price-per-unit", "0"), None),
        (("--max-face-value", "much"), "--max-face-value must be a valid integer"),
        (("--max-face-value", "8000000000"), "--max-face-value (8000000000) must be above --ticket-ev (8000000000)"),
        (("--max-price-overhead", "half"), "--max-price-overhead must be a number of percent"),
        (("--max-price-overhead", "-1%"), "--max-price-overhead must be a number of percent"),
        (("--eth-url", "ws://127.0.0.1:8546"), "--eth-url must start with http:// or https://"),
        (("--eth-url", "http://a,http://b"), "--eth-url must be one address"),
        (("--eth-url", "/ipc"), "--eth-url must be the address of a JSON-RPC endpoint"),
        (("--eth-controller", "0x12"), "--eth-controller must be an account address"),
        (("--chain-stale-after", "9s"), "--chain-stale-after (9s) must be more than two pauses"),
        (("--price-per-unit", "1USD", "--price-feed-addr", ""), "--price-feed-addr must be set"),
        (("--price-per-unit", "1eth", "--price-feed-addr", ""), None),
    ],
    ids=str,
)
def test_amounts(chain: Place, words: tuple[str, ...], problem: str | None) -> None:
    if problem is None:
        chain.load(*ONCHAIN, *words)
    else:
        assert chain.problem(*ONCHAIN, *words).startswith(problem)


def test_overhead_is_a_factor(chain: Place) -> None:
    for text, factor in (("50%", Fraction(3, 2)), ("12.5", Fraction(9, 8)), ("0", Fraction(1))):
        assert chain.load(*ONCHAIN, "--max-price-overhead", text).settings.payments.overhead_most == factor


def gateways(*rows: object) -> str:
    return json.dumps({"gateways": list(rows)})


ROW = {"ethaddress": GATEWAY.upper().replace("0X", "0x"), "priceperunit": 0.5, "currency": "USD", "pixelsperunit": 1e12}


def test_prices_of_gateways_are_exact_and_may_lie_in_a_file(chain: Place) -> None:
    meant = (GatewayPrice(GATEWAY, PriceText(Fraction(1, 2), "usd"), 10**12),)
    assert chain.load(*ONCHAIN, "--price-per-gateway", gateways(ROW)).settings.payments.price_per_gateway == meant
    file = chain.write(gateways(ROW), where=chain.directory / "prices.json")
    assert chain.load(*ONCHAIN, "--price-per-gateway", str(file)).settings.payments.price_per_gateway == meant
    tenth = gateways({**ROW, "priceperunit": 0.1, "currency": ""})
    (found,) = chain.load(*ONCHAIN, "--price-per-gateway", tenth).settings.payments.price_per_gateway
    assert found.price == PriceText(Fraction(1, 10))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "neither JSON nor the path of a file"),
        ("[]", 'the form is {"gateways": [...]}'),
        ('{"gateway": []}', 'the form is {"gateways": [...]}'),
        ('{"gateways": 7}', "gateways must be a list"),
        (gateways(7), "entry 1 is no object"),
        (gateways(ROW, {}), "entry 2 has no usable ethaddress and priceperunit and pixelsperunit"),
        (gateways({**ROW, "priceperunit": -1}), "entry 1 has no usable priceperunit"),
        (gateways({**ROW, "priceperunit": float("nan")}), "entry 1 has no usable priceperunit"),
        (gateways({**ROW, "priceperunit": None}), "entry 1 has no usable priceperunit"),
        (gateways({**ROW, "pixelsperunit": 0}), "entry 1 has no usable pixelsperunit"),
        (gateways({**ROW, "pixelsperunit": 1.5}), "entry 1 has no usable pixelsperunit"),
        (gateways({**ROW, "currency": "U S D"}), "entry 1 has no usable currency"),
        (gateways({**ROW, "currency": ["USD"]}), "entry 1 has no usable currency"),
        (gateways({**ROW, "ethaddress": "0x" + "0" * 40}), "entry 1 has no usable ethaddress"),
        (
            gateways({**ROW, "priceperunit": 77}).replace("77", "1e999999"),
            "no usable priceper",
        ),
        ("[" * 5000, "neither JSON nor the path of a file"),
        (gateways(ROW, ROW), f"names gateway {GATEWAY} twice"),
    ],
    ids=str,
)
def test_prices_of_gateways_that_cannot_be_meant(chain: Place, text: str, problem: str) -> None:
    assert problem in chain.problem(*ONCHAIN, "--price-per-gateway", text)


def test_account_of_a_gateway_that_is_none(chain: Place) -> None:
    with pytest.raises(ConfigError, match="account address"):
        chain.load(*ONCHAIN, "--price-per-gateway", gateways({**ROW, "ethaddress": "gateway.eth"}))


def test_off_chain_nothing_of_it_counts(place: Place) -> None:
    loaded = place.load("--eth-url", "https://rpc.example", "--ticket-ev", "0", "--price-per-unit", "1")
    assert not loaded.settings.is_onchain
    assert "off-chain: there is no chain and nobody pays; --eth-url and prices are not used" in loaded.warnings
    assert loaded.settings.key.keystore_file is None


def test_an_endpoint_far_away_should_be_encrypted(chain: Place) -> None:
    near, far = chain.load(*ONCHAIN), chain.load(*ONCHAIN, "--eth-url", "http://rpc.example")
    assert not any("--eth-url" in warning for warning in near.warnings)
    assert any("--eth-url is not encrypted" in warning for warning in far.warnings)
