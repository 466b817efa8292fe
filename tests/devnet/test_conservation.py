"""Whatever people do, in whatever order: nothing is owed that is not there, and the pool is what its rules say."""

from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from baton.devnet import Account, Devnet
from tests.devnet.evm import Evm, Reverted
from tests.devnet.tickets import Ticket, redeem
from tests.support import run

LPT = 10**18
ETHER = 10**18
BONDING = "bonding_manager"
DELEGATOR = "uint256,uint256,address,uint256,uint256,uint256,uint256"
REFUSALS = frozenset(
    {
        "delegation amount must be greater than 0",
        "registered transcoders can't delegate towards other addresses",
        "caller must be bonded",
        "amount is greater than bonded amount",
        "invalid unbonding lock ID",
        "withdraw round must be before or equal to the current round",
        "insufficient fees to withdraw",
        "caller must be an active transcoder",
        "caller has already called reward for the current round",
        "transcoder must be registered",
        "sender deposit and reserve insufficient to cover ticket face value",
        "Panic(0x12)",  # a ticket of an orchestrator that never was active
    }
)
"""What the rules forbid; anything else that reverts is a fault of the contract."""

people = st.integers(0, 3)
hints = st.tuples(st.integers(-1, 3), st.integers(-1, 3))
steps = st.one_of(
    st.tuples(st.just("bond"), people, people, st.integers(0, 50) | st.integers(1, 10**19), hints),
    st.tuples(st.just("unbond"), people, st.integers(1, 10**19), hints),
    st.tuples(st.just("unbond all"), people),
    st.tuples(st.just("rebond"), people, st.integers(0, 2), hints),
    st.tuples(st.just("withdraw stake"), people, st.integers(0, 2)),
    st.tuples(st.just("reward"), people, hints),
    st.tuples(st.just("ticket"), people, st.integers(1, 2 * ETHER)),
    st.tuples(st.just("withdraw fees"), people, st.integers(1, ETHER)),
    st.tuples(st.just("round"), st.integers(1, 8)),
)


class World:
    """Four people with LPT, one of them an orchestrator already."""

    def __init__(self, chain: Devnet) -> None:
        self.chain, self.evm = chain, Evm(chain)
        self.people = (chain.accounts.orchestrator, *chain.accounts.spare[:3])
        self.nonce = 0
        for each in self.people:
            owner = chain.accounts.deployer
            self.evm.send(owner, "livepeer_token", "transfer(address,uint256)", each.address, 1000 * LPT)
            allowance = (self.evm.address(BONDING), 2**256 - 1)
            self.evm.send(each, "livepeer_token", "approve(address,uint256)", *allowance)

    def hint(self, pair: tuple[int, int]) -> tuple[bytes, bytes]:
        prev, following = (bytes(20) if index < 0 else bytes(self.people[index].address) for index in pair)
        return prev, following

    def do(self, step: tuple[Any, ...]) -> None:
        try:
            self._do(step)
        except Reverted as refused:
            if str(refused) not in REFUSALS:
                message = f"{step}: {refused}"
                raise AssertionError(message) from refused

    def _do(self, step: tuple[Any, ...]) -> None:
        kind, evm = step[0], self.evm
        if kind == "round":
            run(self.chain.next_round(step[1]))
            return
        who: Account = self.people[step[1]]
        if kind == "bond":
            signature = "bondWithHint(uint256,address,address,address,address,address)"
            to, hint = self.people[step[2]].address, self.hint(step[4])
            evm.send(who, BONDING, signature, step[3], to, *hint, *hint)
        elif kind == "unbond":
            evm.send(who, BONDING, "unbondWithHint(uint256,address,address)", step[2], *self.hint(step[3]))
        elif kind == "unbond all":
            bonded = evm.read(BONDING, "pendingStake(address,uint256)", who.address, 0)
            evm.send(who, BONDING, "unbond(uint256)", max(bonded, 1))
        elif kind == "rebond":
            evm.send(who, BONDING, "rebondWithHint(uint256,address,address)", step[2], *self.hint(step[3]))
        elif kind == "withdraw stake":
            evm.send(who, BONDING, "withdrawStake(uint256)", step[2])
        elif kind == "reward":
            evm.send(who, BONDING, "rewardWithHint(address,address)", *self.hint(step[2]))
        elif kind == "ticket":
            self.nonce += 1
            ticket = Ticket.of(self.chain, evm, recipient=who.address, face_value=step[2], nonce=self.nonce)
            redeem(evm, who, ticket)
        elif kind == "withdraw fees":
            evm.send(who, BONDING, "withdrawFees(address,uint256)", who.address, step[2])

    def owed_lpt(self) -> int:
        total = 0
        for each in self.people:
            total += self.evm.read(BONDING, "pendingStake(address,uint256)", each.address, 0)
            locks = self.evm.read(BONDING, "getDelegator(address)", each.address, returns=DELEGATOR)[6]
            lock = "getDelegatorUnbondingLock(address,uint256)"
            for index in range(locks):
                total += self.evm.read(BONDING, lock, each.address, index, returns="uint256,uint256")[0]
        return total

    def owed_wei(self) -> int:
        fees = sum(self.evm.read(BONDING, "pendingFees(address,uint256)", each.address, 0) for each in self.people)
        funds = 0
        for gateway in self.chain.accounts.gateways:
            info = self.evm.read(
                "ticket_broker", "getSenderInfo(address)", gateway.address, returns="uint256,uint256,uint256,uint256"
            )
            funds += info[0] + info[2]
        return int(fees) + int(funds)

    def pool(self) -> list[tuple[str, int]]:
        found = []
        here = self.evm.read(BONDING, "getFirstTranscoderInPool()", returns="address")
        while int(here, 16):
            stake = self.evm.read(BONDING, "transcoderTotalStake(address)", bytes.fromhex(here[2:]))
            found.append((here, stake))
            here = self.evm.read(BONDING, "getNextTranscoderInPool(address)", here, returns="address")
        return found


@pytest.fixture
def chain(devnet_session: Devnet) -> Devnet:
    """Put back by each example itself."""
    return devnet_session


@pytest.mark.slow
@pytest.mark.timeout(300)
@hypothesis.settings(
    max_examples=8,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(script=st.lists(steps, min_size=5, max_size=20))
def test_nothing_is_owed_that_is_not_there(chain: Devnet, script: list[tuple[Any, ...]]) -> None:
    snapshot = run(chain.snapshot())
    try:
        world = World(chain)
        for step in script:
            world.do(step)
        minter = world.evm.address("minter")
        lpt = world.evm.read("livepeer_token", "balanceOf(address)", minter)
        wei = int(world.evm.ask("eth_getBalance", minter, "latest"), 16)
        # Something may be left over: divisions truncate, and who unbonds within a round leaves his share of its
        # rewards and fees to nobody. Nothing may be missing.
        assert world.owed_lpt() <= lpt
        assert world.owed_wei() <= wei
        members = world.pool()
        stakes = [stake for _, stake in members]
        assert stakes == sorted(stakes, reverse=True)
        assert len(members) == world.evm.read(BONDING, "getTranscoderPoolSize()")
        assert sum(stakes) == world.evm.read(BONDING, "nextRoundTotalActiveStake()")
        registered = {
            "0x" + each.address.hex()
            for each in world.people
            if world.evm.read(BONDING, "isRegisteredTranscoder(address)", each.address, returns="bool")
        }
        assert {member for member, _ in members} == registered
    finally:
        run(chain.revert(snapshot))
