"""The node's views of the chain against a real one: addresses, rounds, our standing, senders' money, gas."""

import asyncio
from collections.abc import Sequence

import pytest

from baton.chain.contracts import Contracts, find_contracts
from baton.chain.rpc import Call, CallRevertedError, JsonRpc
from baton.devnet import Devnet
from baton.devnet.faults import Faults, L1Field, Misdeed, Rule
from baton.kernel.crypto import keccak256
from baton.kernel.ids import Address
from baton.payments.ports import ChainUnavailableError
from tests.devnet.views import views
from tests.support import eventually, run

HASH_OF_ROUND = "0x" + keccak256(b"blockHashForRound(uint256)")[:4].hex()


def test_every_address_is_found_through_the_controller(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            assert seen.contracts == Contracts(
                controller=devnet.addresses.controller,
                token=devnet.addresses.livepeer_token,
                service_registry=devnet.addresses.service_registry,
                bonding_manager=devnet.addresses.bonding_manager,
                ticket_broker=devnet.addresses.ticket_broker,
                rounds_manager=devnet.addresses.rounds_manager,
                minter=devnet.addresses.minter,
            )
            with pytest.raises(ChainUnavailableError, match="no contract code"):
                await find_contracts(seen.rpc, Address(bytes([1]) * 20))

    run(story())


def test_rounds_blocks_and_standing_are_as_the_chain_says(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            await seen.rounds.start()
            first = seen.rounds.last_initialized_round
            assert first == await devnet.current_round()
            assert seen.rounds.last_seen_l1_block == await devnet.l1_block()
            assert seen.rounds.pool_size == 1
            assert await seen.rounds.is_active(devnet.accounts.orchestrator.address)
            # Of others nothing is known, and nothing is said.
            assert await seen.rounds.is_active(devnet.accounts.gateway.address)
            before = seen.rounds.round_block_hash
            assert before == await devnet.call("rounds_manager", "blockHashForRound", first)
            assert before != bytes(32)
            await devnet.next_round()
            await devnet.advance_l1(7)
            await seen.rounds.poll()
            assert seen.rounds.last_initialized_round == first + 1
            assert seen.rounds.previous_round_block_hash == before
            assert seen.rounds.last_seen_l1_block == await devnet.l1_block()

    run(story(), deadline_s=40)


def test_somebody_without_stake_is_not_active(devnet: Devnet) -> None:
    async def story() -> None:
        who = devnet.accounts.spare[0].address
        async with views(devnet, recipient=who) as seen:
            await seen.rounds.start()
            assert not await seen.rounds.is_active(who)

    run(story())


def test_senders_money_is_what_they_put_in_and_is_kept_for_a_moment(devnet: Devnet) -> None:
    async def story() -> None:
        gateway = devnet.accounts.gateway
        async with views(devnet) as seen:
            funds = await seen.senders.funds(gateway.address)
            assert (funds.deposit_wei, funds.reserve_wei) == (10 * 10**18, 10 * 10**18)
            assert (funds.withdraw_round, funds.claimed_wei, funds.claimed_by_us_wei) == (0, 0, 0)
            await devnet.fund_gateway(gateway, deposit_wei=5)
            await devnet.transact(gateway, "ticket_broker", "unlock")
            assert await seen.senders.funds(gateway.address) == funds
            seen.clock.advance(11)
            # The old answer serves while the new one is on its way.
            assert await seen.senders.funds(gateway.address) == funds
            seen.clock.advance(200)
            funds = await seen.senders.funds(gateway.address)
            assert funds.deposit_wei == 10 * 10**18 + 5
            assert funds.withdraw_round == await devnet.current_round() + 2
            nobody = await seen.senders.funds(Address(bytes([9]) * 20))
            assert (nobody.deposit_wei, nobody.reserve_wei) == (0, 0)

    run(story(), deadline_s=40)


@pytest.mark.parametrize("field", [L1Field.HEX, L1Field.NUMBER])
def test_the_l1_block_is_read_in_either_form(devnet: Devnet, field: L1Field) -> None:
    async def story() -> None:
        await devnet.misbehave(Faults(l1_field=field))
        async with views(devnet, chain_id=42161) as seen:
            await seen.rounds.start()
            assert seen.rounds.last_seen_l1_block == await devnet.l1_block()

    run(story())


def test_a_missing_l1_block_is_an_error_on_arbitrum_only(devnet: Devnet) -> None:
    async def story() -> None:
        await devnet.misbehave(Faults(l1_field=L1Field.ABSENT))
        async with views(devnet, chain_id=42161) as seen:
            with pytest.raises(ChainUnavailableError, match="l1BlockNumber"):
                await seen.rounds.start()
        async with views(devnet) as seen:
            await seen.rounds.start()
            assert seen.rounds.last_seen_l1_block == await devnet.block_number()

    run(story())


@pytest.mark.parametrize(
    "rule",
    [
        Rule(misdeed=Misdeed.ERROR, code=-32000, message="out of order"),
        Rule(misdeed=Misdeed.STATUS),
        Rule(misdeed=Misdeed.GARBAGE),
        Rule(misdeed=Misdeed.DROP),
    ],
    ids=lambda rule: rule.misdeed.name,
)
def test_an_endpoint_in_trouble_changes_nothing_and_the_view_grows_old(devnet: Devnet, rule: Rule) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            await seen.rounds.start()
            before = seen.rounds.head
            await devnet.misbehave(Faults(rules=(rule,)))
            with pytest.raises(ChainUnavailableError):
                await seen.rounds.poll()
            with pytest.raises(ChainUnavailableError):
                await seen.senders.funds(devnet.accounts.gateway.address)
            assert seen.rounds.head == before
            fresh = [seen.rounds.is_fresh]
            seen.clock.advance(61)
            fresh.append(seen.rounds.is_fresh)
            await devnet.misbehave(Faults())
            await seen.rounds.poll()
            fresh.append(seen.rounds.is_fresh)
            assert fresh == [True, False, True]

    run(story(), deadline_s=40)


def test_an_endpoint_that_stands_still_on_arbitrum_is_one_that_fails(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet, chain_id=42161) as seen:
            await seen.rounds.start()
            await devnet.misbehave(Faults(frozen_head=seen.rounds.head.block))
            await devnet.advance_l1(7)
            fresh = []
            for _ in range(3):
                seen.clock.advance(25)
                await seen.rounds.poll()
                fresh.append(seen.rounds.is_fresh)
            await devnet.misbehave(Faults())
            await seen.rounds.poll()
            fresh.append(seen.rounds.is_fresh)
            assert fresh == [True, True, False, True]
            assert seen.rounds.last_seen_l1_block == await devnet.l1_block()

    run(story(), deadline_s=40)


def test_a_head_that_falls_back_is_not_believed_while_the_view_is_fresh(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            await devnet.advance_l1(7)
            await seen.rounds.start()
            before = seen.rounds.head
            await devnet.misbehave(Faults(frozen_head=before.block - 1))
            with pytest.raises(ChainUnavailableError, match="is back at block"):
                await seen.rounds.poll()
            assert seen.rounds.head == before
            seen.clock.advance(61)
            assert not seen.rounds.is_fresh
            # By now the chain itself may have gone back.
            await seen.rounds.poll()
            assert (seen.rounds.head.block, seen.rounds.is_fresh) == (before.block - 1, True)

    run(story(), deadline_s=40)


class Misled(JsonRpc):
    """An endpoint that gives rounds the hashes of a branch of the chain that is given up later."""

    branch = bytes([0xEE]) * 32
    on_branch = True

    async def batch(self, calls: Sequence[Call]) -> list[object]:
        asks_hash = [call.method == "eth_call" and call.params[0]["data"].startswith(HASH_OF_ROUND) for call in calls]
        answers = await super().batch(calls)
        lie = "0x" + self.branch.hex()
        return [lie if asks and self.on_branch else told for asks, told in zip(asks_hash, answers, strict=True)]


def test_a_hash_that_turns_out_wrong_is_not_kept(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet, endpoint=Misled) as seen:
            await seen.rounds.start()
            number = seen.rounds.last_initialized_round
            assert seen.rounds.round_block_hash == Misled.branch
            seen.rpc.on_branch = False  # type: ignore[attr-defined]  # it is a Misled
            await seen.rounds.poll()
            assert seen.rounds.last_initialized_round == number
            assert seen.rounds.round_block_hash == await devnet.call("rounds_manager", "blockHashForRound", number)

    run(story(), deadline_s=40)


def test_polling_goes_on_through_trouble(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            await seen.rounds.start()
            first = seen.rounds.last_initialized_round
            polling = asyncio.ensure_future(seen.rounds.run())
            await devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.STATUS, times=6),)))
            await devnet.next_round()
            await eventually(
                lambda: seen.rounds.last_initialized_round > first, deadline_s=20, what="the new round is seen"
            )
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    run(story(), deadline_s=40)


def test_a_revert_says_why(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            data = "0x85df51fd" + (2**255).to_bytes(32, "big").hex()  # blockHash of a block to come
            with pytest.raises(CallRevertedError, match="can only retrieve past block hashes"):
                await seen.rpc.call(
                    "eth_call", {"to": "0x" + devnet.addresses.rounds_manager.hex(), "data": data}, "latest"
                )

    run(story())


def test_a_crowd_of_strangers_is_not_asked_about_at_once(devnet: Devnet) -> None:
    async def story() -> None:
        async with views(devnet) as seen:
            await devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.DELAY, delay_s=0.3),)))
            asked = [seen.senders.funds(Address(bytes([i]) * 20)) for i in range(1, 60)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            refused = [a for a in answers if isinstance(a, ChainUnavailableError)]
            assert len(refused) == 59 - 16
            assert "too many senders" in str(refused[0])

    run(story(), deadline_s=40)
