"""The endpoint that nodes see: Arbitrum's face before anvil, and what it does when told to misbehave."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from eth_account import Account as Signer

from baton.devnet import Devnet, Faults, Misdeed, Rule
from baton.devnet.faults import L1Field
from tests.devnet.evm import Evm, Reverted
from tests.support import run

NEW_ROUND = "0x22f2fc17c5daf07db2379b3a03a8ef20a183f761097a58fce219c8a14619e786"
HEADER = frozenset(
    {
        *("parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty"),
        *("number", "gasLimit", "gasUsed", "timestamp", "extraData", "hash", "baseFeePerGas", "l1BlockNumber"),
        *("mixHash", "nonce", "miner"),
    }
)


@pytest.fixture
def node(devnet: Devnet) -> Evm:
    """What a node gets to see."""
    return Evm(devnet, url=devnet.rpc_url)


def header(node: Evm, block: object = "latest") -> dict[str, Any]:
    found: dict[str, Any] = node.ask("eth_getBlockByNumber", block, False)
    return found


def signed(devnet: Devnet, node: Evm, *, nonce: int | None = None, value: int = 1) -> str:
    sender = devnet.accounts.spare[0]
    transaction = {
        "chainId": int(node.ask("eth_chainId"), 16),
        "nonce": int(node.ask("eth_getTransactionCount", sender.address_hex, "pending"), 16)
        if nonce is None
        else nonce,
        "to": devnet.accounts.spare[1].address_hex,
        "value": value,
        "gas": 21000,
        "maxFeePerGas": 10**9,
        "maxPriorityFeePerGas": 0,
        "type": 2,
    }
    return "0x" + bytes(Signer.sign_transaction(transaction, sender.private_key).raw_transaction).hex()


def test_headers_carry_the_l1_number_of_their_own_block(devnet: Devnet, node: Evm) -> None:
    first = header(node)
    assert set(first) >= HEADER
    run(devnet.advance_l1(30))
    run(devnet.mine(2))
    second = header(node)
    assert int(second["l1BlockNumber"], 16) - int(first["l1BlockNumber"], 16) == 30
    assert header(node, first["number"]) == first
    assert node.ask("eth_getBlockByHash", first["hash"], False) == first
    assert int(header(node, "0x0")["l1BlockNumber"], 16) == devnet.options.first_l1_block
    assert header(node, "pending")["l1BlockNumber"] == second["l1BlockNumber"]


def test_l1_number_of_a_replaced_block_is_the_new_ones(devnet: Devnet, node: Evm) -> None:
    before = header(node)
    run(devnet.advance_l1(5))
    replaced = header(node)
    run(devnet.reorganise(1, blocks=2))
    again = header(node, replaced["number"])
    assert again["hash"] != replaced["hash"]
    assert again["parentHash"] == before["hash"]
    assert again["l1BlockNumber"] == before["l1BlockNumber"]


def test_field_may_be_a_number_or_missing(devnet: Devnet, node: Evm) -> None:
    expected = run(devnet.l1_block())
    run(devnet.misbehave(Faults(l1_field=L1Field.NUMBER)))
    assert header(node)["l1BlockNumber"] == expected
    run(devnet.misbehave(Faults(l1_field=L1Field.ABSENT)))
    assert "l1BlockNumber" not in header(node)


def test_nothing_of_a_development_chain_is_answered(devnet: Devnet, node: Evm) -> None:
    for method in ("evm_mine", "anvil_setBalance", "eth_sendTransaction", "eth_sign", "debug_traceCall"):
        with pytest.raises(Reverted, match="does not exist/is not available"):
            node.ask(method)
    assert node.ask("eth_accounts") == []
    assert int(node.ask("eth_chainId"), 16) == devnet.options.chain_id
    assert node.ask("net_version") == str(devnet.options.chain_id)


def test_revert_is_told_as_nodes_of_the_network_tell_it(devnet: Devnet, node: Evm) -> None:
    question = {"to": node.address("ticket_broker"), "data": "0xa69df4b5", "from": devnet.accounts.spare[0].address_hex}
    for method in ("eth_call", "eth_estimateGas"):
        answer = node.post({"jsonrpc": "2.0", "id": 3, "method": method, "params": [question]})
        assert answer["id"] == 3
        assert answer["error"]["code"] == 3
        assert answer["error"]["message"] == "execution reverted: sender deposit and reserve are zero"
        assert answer["error"]["data"].startswith("0x08c379a0")


def test_transactions_of_nodes_are_mined_and_their_errors_told(devnet: Devnet, node: Evm) -> None:
    sent = node.ask("eth_sendRawTransaction", signed(devnet, node))
    receipt = node.ask("eth_getTransactionReceipt", sent)
    assert receipt is None or receipt["status"] == "0x1"
    run(devnet.mine())
    assert node.ask("eth_getTransactionReceipt", sent)["status"] == "0x1"
    with pytest.raises(Reverted, match="nonce too low"):
        node.ask("eth_sendRawTransaction", signed(devnet, node, nonce=0))
    with pytest.raises(Reverted, match=r"(?i)insufficient funds"):
        node.ask("eth_sendRawTransaction", signed(devnet, node, value=10**30))


def test_batches_are_answered_in_order_and_bounded(node: Evm) -> None:
    batch = [{"jsonrpc": "2.0", "id": index, "method": "eth_chainId", "params": []} for index in range(3)]
    assert [answer["id"] for answer in node.post([*batch, {"nonsense": 1}])] == [0, 1, 2, None]
    assert node.post(batch * 400)["error"]["code"] == -32600
    assert node.post([])["error"]["code"] == -32600


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"17", b'{"method": 5}', b"\xff\xfe"])
def test_nonsense_gets_an_error_and_the_endpoint_lives(devnet: Devnet, node: Evm, body: bytes) -> None:
    request = urllib.request.Request(devnet.rpc_url, body, {"Content-Type": "application/json"})  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310  # ours
        assert "error" in json.load(response)
    assert node.ask("eth_chainId")


def test_gas_price_is_what_the_script_says_and_tips_are_nothing(devnet: Devnet, node: Evm) -> None:
    assert int(node.ask("eth_gasPrice"), 16) == 100_000_000
    run(devnet.set_gas_price(7 * 10**9))
    assert int(node.ask("eth_gasPrice"), 16) == 7 * 10**9
    assert int(node.ask("eth_maxPriorityFeePerGas"), 16) == 0
    run(devnet.mine())
    assert int(header(node)["baseFeePerGas"], 16) == 7 * 10**9


def test_faults_hit_the_calls_they_are_about_as_often_as_told(devnet: Devnet, node: Evm) -> None:
    rule = Rule(misdeed=Misdeed.ERROR, methods=("eth_blockNumber",), times=2, after=1, code=-32050, message="busy")
    run(devnet.misbehave(Faults(rules=(rule,))))
    node.ask("eth_blockNumber")
    for _ in range(2):
        node.ask("eth_chainId")
        with pytest.raises(Reverted, match=r"^busy$"):
            node.ask("eth_blockNumber")
    node.ask("eth_blockNumber")


def test_connections_can_be_cut_and_requests_refused(devnet: Devnet, node: Evm) -> None:
    rules = (
        Rule(misdeed=Misdeed.DROP, methods=("eth_gasPrice",)),
        Rule(misdeed=Misdeed.STATUS, code=429, message="slow down", retry_after_s=9, times=1),
        Rule(misdeed=Misdeed.GARBAGE, message="<html>", times=1),
    )
    run(devnet.misbehave(Faults(rules=rules)))
    with pytest.raises((http.client.HTTPException, ConnectionError, urllib.error.URLError)):
        node.ask("eth_gasPrice")
    with pytest.raises(urllib.error.HTTPError) as caught:
        node.ask("eth_chainId")
    with caught.value as refused:
        assert (refused.code, refused.headers["Retry-After"], refused.read()) == (429, "9", b"slow down")
    with pytest.raises(json.JSONDecodeError):
        node.ask("eth_chainId")
    assert node.ask("eth_chainId")


def test_slow_answers_are_slow_and_right(devnet: Devnet, node: Evm) -> None:
    run(devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.DELAY, delay_s=0.2, times=1),))))

    async def raced() -> list[str]:
        import asyncio

        done: list[str] = []

        async def ask(name: str) -> None:
            await asyncio.to_thread(node.ask, "eth_chainId")
            done.append(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask("slow"))
            await asyncio.sleep(0.05)
            tasks.create_task(ask("quick"))
        return done

    assert run(raced()) == ["quick", "slow"]


def test_swallowed_transaction_is_accepted_and_never_mined(devnet: Devnet, node: Evm) -> None:
    run(devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.SWALLOW, methods=("eth_sendRawTransaction",)),))))
    raw = signed(devnet, node)
    lost = node.ask("eth_sendRawTransaction", raw)
    run(devnet.mine(3))
    assert node.ask("eth_getTransactionReceipt", lost) is None
    assert node.ask("eth_getTransactionByHash", lost) is None
    run(devnet.misbehave(Faults()))
    assert node.ask("eth_sendRawTransaction", raw) == lost  # the hash was the real one
    run(devnet.mine())
    assert node.ask("eth_getTransactionReceipt", lost)["status"] == "0x1"


def test_frozen_head_is_told_consistently(devnet: Devnet, node: Evm) -> None:
    frozen = run(devnet.block_number())
    number = run(devnet.current_round())
    run(devnet.misbehave(Faults(frozen_head=frozen)))
    run(devnet.next_round())
    head = run(devnet.block_number())
    assert head > frozen
    assert int(node.ask("eth_blockNumber"), 16) == frozen
    assert int(header(node)["number"], 16) == frozen
    assert header(node, hex(head)) is None
    assert node.read("rounds_manager", "currentRound()") == number
    assert node.ask("eth_getLogs", {"fromBlock": hex(frozen + 1), "toBlock": "latest", "topics": [NEW_ROUND]}) == []
    run(devnet.misbehave(Faults()))
    assert node.read("rounds_manager", "currentRound()") == number + 1
    (log,) = node.ask("eth_getLogs", {"fromBlock": hex(frozen + 1), "toBlock": "latest", "topics": [NEW_ROUND]})
    assert int(log["topics"][1], 16) == number + 1


def test_logs_may_lag_be_dropped_or_cost_too_much(devnet: Devnet, node: Evm) -> None:
    start = run(devnet.block_number())
    run(devnet.next_round())
    question = {"fromBlock": hex(start + 1), "toBlock": "latest", "topics": [NEW_ROUND]}
    assert len(node.ask("eth_getLogs", question)) == 1
    run(devnet.misbehave(Faults(logs_behind=2)))
    assert node.ask("eth_getLogs", question) == []
    run(devnet.mine(2))
    assert len(node.ask("eth_getLogs", question)) == 1
    run(devnet.misbehave(Faults(dropped_log_topics=(NEW_ROUND,))))
    assert node.ask("eth_getLogs", question) == []
    run(devnet.misbehave(Faults(max_log_range=2, log_range_message="too wide for me")))
    with pytest.raises(Reverted, match=r"^too wide for me$"):
        node.ask("eth_getLogs", question)


def test_faults_that_make_no_sense_are_refused(devnet: Devnet) -> None:
    for body in (b"{", b'{"rules": [{"misdeed": "sabotage"}]}', b'{"unknown": 1}', b"[]"):
        request = urllib.request.Request(f"{devnet.rpc_url}/faults", body, method="PUT")  # noqa: S310  # ours
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)  # noqa: S310  # ours
        with caught.value as refused:
            assert refused.code == 400
    faults = Faults(rules=(Rule(misdeed=Misdeed.DELAY, methods=("eth_call",), delay_s=1.5),), logs_behind=3)
    assert Faults.of(json.loads(json.dumps(faults.document()))) == faults
