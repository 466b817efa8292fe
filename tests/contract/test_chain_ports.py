"""What payments may count on of chain and secrets: the views held in memory that tests use, and the real ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from baton.devnet.faults import Faults, Misdeed, Rule
from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address
from baton.payments.ports import ChainUnavailableError, GasView, RoundView, SenderView, TicketSecrets
from baton.storage.ticket_secrets import ClusterTicketSecrets, TicketSecretFile
from tests.devnet.views import views
from tests.payments.memory import FixedGas, FixedRounds, FixedSecrets, FixedSenders
from tests.support import run

ME, STRANGER = Address(bytes([1]) * 20), Address(bytes([0xF7]) * 20)


@dataclass(frozen=True, slots=True)
class Bench:
    """The views, who is who on their chain, and what a test can do to it."""

    rounds: RoundView
    senders: SenderView
    gas: GasView
    recipient: Address
    payer: Address
    next_round: Callable[[], Awaitable[None]]
    lose: Callable[[], Awaitable[None]]
    """The chain cannot be asked any more, for longer than a view is believed."""


Opened = Callable[..., AbstractAsyncContextManager[Bench]]


@asynccontextmanager
async def held(*, active: bool = True) -> AsyncIterator[Bench]:
    rounds, senders = FixedRounds(inactive=set() if active else {ME}), FixedSenders()

    async def next_round() -> None:
        rounds.previous_round_block_hash = rounds.round_block_hash
        rounds.round_block_hash = bytes([rounds.last_initialized_round % 251 + 1]) * 32
        rounds.last_initialized_round += 1
        rounds.last_seen_l1_block += 50

    async def lose() -> None:
        rounds.is_fresh = False
        senders.known[STRANGER] = None

    yield Bench(rounds, senders, FixedGas(), ME, Address(bytes([2]) * 20), next_round, lose)


@pytest.fixture(params=["memory", "chain"])
def opened(request: pytest.FixtureRequest) -> Opened:
    if request.param == "memory":
        return held
    devnet = request.getfixturevalue("devnet")

    @asynccontextmanager
    async def real(*, active: bool = True) -> AsyncIterator[Bench]:
        who = (devnet.accounts.orchestrator if active else devnet.accounts.spare[0]).address
        async with views(devnet, recipient=who) as seen:
            await seen.rounds.start()

            async def next_round() -> None:
                await devnet.next_round()
                await seen.rounds.poll()

            async def lose() -> None:
                await devnet.misbehave(Faults(rules=(Rule(misdeed=Misdeed.STATUS),)))
                seen.clock.advance(seen.rounds.stale_after_s + 1)
                with pytest.raises(ChainUnavailableError):
                    await seen.rounds.poll()

            payer = devnet.accounts.gateway.address
            yield Bench(seen.rounds, seen.senders, seen.gas, who, payer, next_round, lose)

    return real


def test_a_fresh_view_has_everything_that_terms_need(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as bench:
            rounds = bench.rounds
            assert rounds.is_fresh
            assert (len(rounds.round_block_hash), len(rounds.previous_round_block_hash)) == (32, 32)
            assert rounds.last_initialized_round > 0
            assert rounds.last_seen_l1_block > 0
            assert rounds.pool_size > 0
            assert bench.gas.price_wei > 0

    run(story())


def test_a_new_round_leaves_the_hash_of_the_one_before(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as bench:
            number, block_hash = bench.rounds.last_initialized_round, bench.rounds.round_block_hash
            l1_block = bench.rounds.last_seen_l1_block
            await bench.next_round()
            assert bench.rounds.last_initialized_round == number + 1
            assert bench.rounds.previous_round_block_hash == block_hash != bench.rounds.round_block_hash
            assert bench.rounds.last_seen_l1_block > l1_block

    run(story(), deadline_s=40)


@pytest.mark.parametrize("active", [True, False])
def test_our_own_standing_is_told_and_nobody_elses(opened: Opened, active: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    async def story() -> None:
        async with opened(active=active) as bench:
            assert await bench.rounds.is_active(bench.recipient) == active
            assert await bench.rounds.is_active(STRANGER)

    run(story())


def test_a_sender_with_money_has_it_and_nothing_was_claimed(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as bench:
            funds = await bench.senders.funds(bench.payer)
            assert funds.deposit_wei > 0
            assert funds.reserve_wei > 0
            assert (funds.withdraw_round, funds.claimed_wei, funds.claimed_by_us_wei) == (0, 0, 0)
            assert await bench.senders.funds(bench.payer) == funds

    run(story())


def test_without_a_chain_the_view_stays_and_is_not_fresh_and_new_senders_are_unknown(opened: Opened) -> None:
    async def story() -> None:
        async with opened() as bench:
            before = (bench.rounds.last_initialized_round, bench.rounds.round_block_hash, bench.gas.price_wei)
            await bench.lose()
            assert not bench.rounds.is_fresh
            assert before == (bench.rounds.last_initialized_round, bench.rounds.round_block_hash, bench.gas.price_wei)
            assert await bench.rounds.is_active(bench.recipient)
            with pytest.raises(ChainUnavailableError):
                await bench.senders.funds(STRANGER)

    run(story())


@pytest.mark.parametrize("kind", ["memory", "memory with an older one", "file", "cluster"])
def test_ticket_secrets_are_long_and_the_current_one_comes_first(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], TicketSecrets]] = {
        "memory": FixedSecrets,
        "memory with an older one": lambda: FixedSecrets(older=(bytes([3]) * 32,)),
        "file": lambda: TicketSecretFile.load(tmp_path / "secrets", clock=ManualClock()),
        "cluster": lambda: ClusterTicketSecrets(("a" * 32, "b" * 32)),
    }
    secrets = made[kind]()
    assert secrets.all[0] == secrets.current
    assert {len(secret) for secret in secrets.all} == {32}
    assert len(set(secrets.all)) == len(secrets.all)
