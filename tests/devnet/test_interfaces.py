"""The contracts have the interface that readers of the real chain compute with, and are found as there."""

import json

import pytest

from baton.devnet import Devnet
from baton.devnet.abi import artefact, artefact_names
from baton.devnet.compile import artefact_text, compile_contracts
from tests.devnet.evm import Evm, Reverted, keccak
from tests.devnet.fixtures import CACHE, need_npm
from tests.devnet.protocol_table import EVENTS, FUNCTIONS, NAMES
from tests.support import run

ARTEFACTS = {
    "controller": "Controller",
    "rounds_manager": "RoundsManager",
    "bonding_manager": "BondingManager",
    "ticket_broker": "FullCoverTicketBroker",
    "service_registry": "ServiceRegistry",
    "minter": "Minter",
    "livepeer_token": "LivepeerToken",
    "price_feed": "PriceFeed",
}
REGISTERED = {
    "LivepeerToken": "livepeer_token",
    "ServiceRegistry": "service_registry",
    "BondingManager": "bonding_manager",
    "TicketBroker": "ticket_broker",
    "TicketBrokerTarget": "full_cover_target",
    "RoundsManager": "rounds_manager",
    "Minter": "minter",
    "Treasury": "treasury",
    "L2LPTDataCache": "l2_lpt_data_cache",
    "JobsManager": "ticket_broker",
}
ABSENT = ("LivepeerTokenFaucet", "LivepeerGovernor", "BondingVotes", "L2Migrator", "Verifier")


def events_of(name: str) -> set[str]:
    return {
        f"{entry['name']}({','.join(each['type'] for each in entry['inputs'])})"
        for entry in artefact(name).abi
        if entry["type"] == "event"
    }


@pytest.mark.parametrize("contract", FUNCTIONS)
def test_functions_have_the_selectors_of_the_protocol(contract: str) -> None:
    built = {
        function.signature: function.selector.hex() for function in artefact(ARTEFACTS[contract]).functions.values()
    }
    expected = FUNCTIONS[contract]
    assert expected
    assert {signature: built.get(signature) for signature in expected} == expected
    assert {signature: keccak(signature.encode())[:4].hex() for signature in expected} == expected


@pytest.mark.parametrize("contract", EVENTS)
def test_events_have_the_topics_of_the_protocol(contract: str) -> None:
    expected = EVENTS[contract]
    assert set(expected) <= events_of(ARTEFACTS[contract])
    assert {signature: keccak(signature.encode()).hex() for signature in expected} == expected


def test_indexed_words_of_events_are_where_readers_look_for_them() -> None:
    indexed = {
        entry["name"]: sum(each["indexed"] for each in entry["inputs"])
        for name in ("BondingManager", "FullCoverTicketBroker", "RoundsManager", "ServiceRegistry")
        for entry in artefact(name).abi
        if entry["type"] == "event"
    }
    assert indexed["NewRound"] == 1
    assert (indexed["Bond"], indexed["Unbond"], indexed["Reward"], indexed["WithdrawStake"]) == (3, 2, 1, 1)
    assert (indexed["TranscoderActivated"], indexed["TranscoderDeactivated"], indexed["RewardCallerSet"]) == (1, 1, 2)
    assert (indexed["WinningTicketRedeemed"], indexed["WinningTicketTransfer"], indexed["ReserveClaimed"]) == (2, 2, 1)
    assert (indexed["DepositFunded"], indexed["Unlock"], indexed["Withdrawal"], indexed["ServiceURIUpdate"]) == (1,) * 4


def test_both_targets_of_the_broker_have_one_interface() -> None:
    assert artefact("AnyFundsTicketBroker").abi[1:] == artefact("FullCoverTicketBroker").abi[1:]


@pytest.mark.parametrize("name", NAMES)
def test_controller_knows_names_by_their_hash(evm: Evm, name: str) -> None:
    identity = bytes.fromhex(NAMES[name])
    assert keccak(name.encode()) == identity
    found = evm.read("controller", "getContract(bytes32)", identity, returns="address")
    if name in ABSENT:
        assert found == "0x" + "00" * 20
    elif name in REGISTERED:
        assert found == evm.address(REGISTERED[name])
    else:
        assert evm.ask("eth_getCode", found, "latest") != "0x"
    address, commit = evm.read("controller", "getContractInfo(bytes32)", identity, returns="address,bytes20")
    assert (address, commit) == (found, bytes(20))


def test_unknown_name_is_the_zero_address(evm: Evm) -> None:
    found = evm.read("controller", "getContract(bytes32)", keccak(b"nothing"), returns="address")
    assert found == "0x" + "00" * 20


def test_proxies_tell_their_target_and_their_controller(evm: Evm) -> None:
    for field, name in (
        ("bonding_manager", "BondingManagerTarget"),
        ("ticket_broker", "TicketBrokerTarget"),
        ("rounds_manager", "RoundsManagerTarget"),
        ("service_registry", "ServiceRegistryTarget"),
    ):
        assert evm.read(field, "targetContractId()", returns="bytes32").hex() == NAMES[name]
        assert evm.read(field, "controller()", returns="address") == evm.address("controller")


def test_proxy_without_target_says_so(devnet: Devnet, evm: Evm) -> None:
    evm.send(
        devnet.accounts.deployer,
        "controller",
        "setContractInfo(bytes32,address,bytes20)",
        bytes.fromhex(NAMES["TicketBrokerTarget"]),
        "0x" + "00" * 20,
        bytes(20),
    )
    with pytest.raises(Reverted, match=r"^target contract must be registered$"):
        evm.read("ticket_broker", "unlockPeriod()")


def test_registries_are_two(devnet: Devnet, evm: Evm) -> None:
    someone = devnet.accounts.spare[0]
    (log,) = evm.send(someone, "ai_service_registry", "setServiceURI(string)", "https://ai.example:8935")
    assert log.topic == EVENTS["service_registry"]["ServiceURIUpdate(address,string)"]
    assert log.indexed == (int.from_bytes(someone.address, "big"),)
    read = "getServiceURI(address)"
    assert evm.read("ai_service_registry", read, someone.address, returns="string") == "https://ai.example:8935"
    assert evm.read("service_registry", read, someone.address, returns="string") == ""
    orchestrator = devnet.accounts.orchestrator.address
    assert evm.read("service_registry", read, orchestrator, returns="string") == "https://127.0.0.1:8935"


def test_price_feed_speaks_as_oracles_do(devnet: Devnet, evm: Evm) -> None:
    assert evm.read("price_feed", "description()", returns="string") == "ETH / USD"
    assert evm.read("price_feed", "decimals()", returns="uint8") == 8
    answer = "uint80,int256,uint256,uint256,uint80"
    assert evm.read("price_feed", "latestRoundData()", returns=answer)[1] == 3000 * 10**8
    run(devnet.set_price(-5, age_s=3600))
    identity, price, started, updated, answered_in = evm.read("price_feed", "latestRoundData()", returns=answer)
    assert (price, started, answered_in) == (-5, updated, identity)
    newest = int(evm.ask("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert 3600 <= newest - updated <= 3605
    assert evm.read("price_feed", "getRoundData(uint80)", identity - 1, returns=answer)[1] == 3000 * 10**8


def test_many_reads_in_one_call(devnet: Devnet, evm: Evm) -> None:
    calls = [
        (evm.address("rounds_manager"), False, keccak(b"currentRound()")[:4]),
        (evm.address("rounds_manager"), True, keccak(b"nonsense()")[:4]),
    ]
    signature, returns = "aggregate3((address,bool,bytes)[])", "(bool,bytes)[]"
    first, second = evm.read("multicall", signature, calls, returns=returns)
    assert first == (True, run(devnet.current_round()).to_bytes(32, "big"))
    assert second == (False, b"")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_committed_artefacts_are_what_the_sources_compile_to() -> None:
    need_npm()
    fresh = compile_contracts(CACHE)
    assert sorted(fresh) == list(artefact_names())
    for name, contract in fresh.items():
        kept = artefact(name)
        assert contract["bytecode"] == kept.bytecode.hex(), f"run scripts/contracts: {name} is stale"
        assert contract["abi"] == list(kept.abi)
        assert json.loads(artefact_text(contract)) == {"abi": contract["abi"], "bytecode": contract["bytecode"]}
