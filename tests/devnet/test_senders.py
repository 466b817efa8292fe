"""Senders' funds, reserves and their shares (chain.md 4.3, effects and sender side)."""

import pytest

from baton.devnet import BrokerRule, Devnet
from tests.devnet.evm import Evm, Reverted
from tests.devnet.tickets import Ticket, redeem
from tests.support import run

ETHER = 10**18
DEPOSIT = "5159e237d952190e68d5215430f305831be7c9c8776d1377c76679ae4773413f"
RESERVE = "b52b99b9e83551fcbd069b559cc3e823e2a1a3bad8ece46561ea77524394c850"
CLAIMED = "5c2b394723f408a40a60335e24b71829642e35f350cebe2036a96a66e895ea98"
UNLOCK = "f7870c5b224cbc19873599e46ccfc7103934650509b1af0c3ce90138377c2004"
CANCELLED = "fa044b7b93a40365dc68049797c2eb06918523d694e5d56e406cac3eb35578e5"
WITHDRAWAL = "df273cb619d95419a9cd0ec88123a0538c85064229baa6363788f743fff90deb"
TRANSFER = "8b87351a208c06e3ceee59d80725fd77a23b4129e1b51ca231fc89b40712649c"
REDEEMED = "c389eb51ed006dbf2528507f010efdf5225ea596e1e1741d74f550dab1925ee7"
INFO = "uint256,uint256,uint256,uint256"


def info(evm: Evm, sender: bytes) -> tuple[int, int, int, int]:
    found: tuple[int, int, int, int] = evm.read("ticket_broker", "getSenderInfo(address)", sender, returns=INFO)
    return found


def test_unknown_sender_is_four_zeros(evm: Evm) -> None:
    assert info(evm, b"\x11" * 20) == (0, 0, 0, 0)


def test_funds_add_up_and_lie_with_the_minter(devnet: Devnet, evm: Evm) -> None:
    someone, other = devnet.accounts.spare[:2]
    before = int(evm.ask("eth_getBalance", evm.address("minter"), "latest"), 16)
    (first,) = evm.send(someone, "ticket_broker", "fundDeposit()", value=5)
    (second,) = evm.send(someone, "ticket_broker", "fundReserve()", value=7)
    both = evm.send(
        other,
        "ticket_broker",
        "fundDepositAndReserveFor(address,uint256,uint256)",
        *(someone.address, 1, 2),
        value=3,
    )
    assert [(log.topic, log.words) for log in (first, second, *both)] == [
        (DEPOSIT, (5,)),
        (RESERVE, (7,)),
        (DEPOSIT, (1,)),
        (RESERVE, (2,)),
    ]
    assert info(evm, someone.address) == (6, 0, 9, 0)
    assert int(evm.ask("eth_getBalance", evm.address("minter"), "latest"), 16) - before == 15
    with pytest.raises(Reverted, match=r"^msg\.value does not equal sum of deposit amount and reserve amount$"):
        evm.send(someone, "ticket_broker", "fundDepositAndReserve(uint256,uint256)", 1, 2, value=4)


def test_unlock_withdraw_and_what_forbids_them(devnet: Devnet, evm: Evm) -> None:
    gateway, nobody = devnet.accounts.gateway, devnet.accounts.spare[0]
    now = run(devnet.current_round())
    for call in ("unlock()", "withdraw()"):
        with pytest.raises(Reverted, match=r"^sender deposit and reserve are zero$"):
            evm.send(nobody, "ticket_broker", call)
    for call in ("cancelUnlock()", "withdraw()"):
        with pytest.raises(Reverted, match=r"^no unlock request in progress$"):
            evm.send(gateway, "ticket_broker", call)
    (unlock,) = evm.send(gateway, "ticket_broker", "unlock()")
    assert (unlock.topic, unlock.words) == (UNLOCK, (now, now + 2))
    assert info(evm, gateway.address)[1] == now + 2
    with pytest.raises(Reverted, match=r"^unlock already initiated$"):
        evm.send(gateway, "ticket_broker", "unlock()")
    with pytest.raises(Reverted, match=r"^account is locked$"):
        evm.send(gateway, "ticket_broker", "withdraw()")
    (cancelled,) = evm.send(gateway, "ticket_broker", "cancelUnlock()")
    assert cancelled.topic == CANCELLED
    evm.send(gateway, "ticket_broker", "unlock()")
    run(devnet.next_round(2, initialize=False))  # funds need no initialized round
    before = int(evm.ask("eth_getBalance", gateway.address_hex, "latest"), 16)
    (withdrawal,) = evm.send(gateway, "ticket_broker", "withdraw()")
    assert (withdrawal.topic, withdrawal.words) == (WITHDRAWAL, (10 * ETHER, 10 * ETHER))
    assert info(evm, gateway.address) == (0, now + 2, 0, 0)
    gained = int(evm.ask("eth_getBalance", gateway.address_hex, "latest"), 16) - before
    assert 19 * ETHER < gained <= 20 * ETHER


def test_own_funds_end_an_unlock_and_those_of_others_do_not(devnet: Devnet, evm: Evm) -> None:
    gateway, other = devnet.accounts.gateway, devnet.accounts.spare[0]
    evm.send(gateway, "ticket_broker", "unlock()")
    gift = "fundDepositAndReserveFor(address,uint256,uint256)"
    evm.send(other, "ticket_broker", gift, gateway.address, 1, 0, value=1)
    assert info(evm, gateway.address)[1] > 0
    logs = evm.send(gateway, "ticket_broker", "fundReserve()", value=1)
    assert [log.topic for log in logs] == [CANCELLED, RESERVE]
    assert info(evm, gateway.address)[1] == 0


def test_ticket_of_an_unlocking_sender_is_good_until_its_round(devnet: Devnet, evm: Evm) -> None:
    gateway = devnet.accounts.gateway
    evm.send(gateway, "ticket_broker", "unlock()")
    run(devnet.next_round())
    first, second = (Ticket.of(devnet, evm, nonce=nonce, face_value=1) for nonce in (1, 2))
    redeem(evm, devnet.accounts.keeper, first)
    run(devnet.next_round())
    with pytest.raises(Reverted, match=r"^sender is unlocked$"):
        redeem(evm, devnet.accounts.keeper, second)


def test_reserve_pays_what_the_deposit_does_not(devnet: Devnet, evm: Evm) -> None:
    ticket = Ticket.of(devnet, evm, face_value=14 * ETHER)
    logs = redeem(evm, devnet.accounts.keeper, ticket)
    assert [log.topic for log in logs] == [CLAIMED, TRANSFER, REDEEMED]
    assert logs[0].indexed == (int.from_bytes(ticket.sender, "big"),)
    assert logs[0].words == (int.from_bytes(ticket.recipient, "big"), 4 * ETHER)
    assert logs[1].words == (14 * ETHER,)
    assert info(evm, ticket.sender) == (0, 0, 6 * ETHER, 4 * ETHER)
    claimed = "claimedReserve(address,address)"
    assert evm.read("ticket_broker", claimed, ticket.sender, ticket.recipient) == 4 * ETHER
    run(devnet.next_round())
    assert info(evm, ticket.sender) == (0, 0, 6 * ETHER, 0)
    assert evm.read("ticket_broker", claimed, ticket.sender, ticket.recipient) == 0


def test_share_of_the_reserve_is_by_the_pool_of_the_next_round(devnet: Devnet, evm: Evm) -> None:
    gateway, orchestrator, newcomer = devnet.accounts.gateway, devnet.accounts.orchestrator, devnet.accounts.spare[0]
    claimable = "claimableReserve(address,address)"
    assert evm.read("ticket_broker", claimable, gateway.address, orchestrator.address) == 10 * ETHER
    run(devnet.register_orchestrator(newcomer, stake_wei=ETHER))
    assert evm.read("bonding_manager", "getTranscoderPoolSize()") == 2
    assert evm.read("ticket_broker", claimable, gateway.address, orchestrator.address) == 5 * ETHER
    assert evm.read("ticket_broker", claimable, gateway.address, newcomer.address) == 0  # not active yet
    run(devnet.next_round())
    assert evm.read("ticket_broker", claimable, gateway.address, newcomer.address) == 5 * ETHER


def test_pool_that_grows_after_a_claim_makes_the_share_underflow(devnet: Devnet, evm: Evm) -> None:
    ticket, later = (Ticket.of(devnet, evm, nonce=nonce, face_value=18 * ETHER) for nonce in (1, 2))
    redeem(evm, devnet.accounts.keeper, ticket)  # 8 of 10 ETH of the reserve
    run(devnet.register_orchestrator(devnet.accounts.spare[0], stake_wei=ETHER))
    with pytest.raises(Reverted, match=r"^Panic\(0x11\)$"):
        evm.read("ticket_broker", "claimableReserve(address,address)", ticket.sender, ticket.recipient)
    run(devnet.fund_gateway(devnet.accounts.gateway, reserve_wei=0, deposit_wei=17 * ETHER))
    with pytest.raises(Reverted, match=r"^Panic\(0x11\)$"):
        redeem(evm, devnet.accounts.keeper, later)
    run(devnet.next_round())
    redeem(evm, devnet.accounts.keeper, later)


def test_old_rule_uses_a_ticket_up_for_dust_and_the_new_one_keeps_it(devnet: Devnet, evm: Evm) -> None:
    someone = devnet.accounts.spare[0]
    run(devnet.fund_gateway(someone, deposit_wei=1))
    ticket = Ticket.of(devnet, evm, key=someone.private_key, sender=someone.address)
    with pytest.raises(Reverted, match=r"^sender deposit and reserve insufficient to cover ticket face value$"):
        redeem(evm, someone, ticket)
    assert not evm.read("ticket_broker", "usedTickets(bytes32)", ticket.hash, returns="bool")
    run(devnet.use_broker_rule(BrokerRule.ANY_FUNDS))
    assert info(evm, someone.address) == (1, 0, 0, 0)  # an upgrade changes no state
    logs = redeem(evm, someone, ticket)
    assert [(log.topic, log.words) for log in logs[:1]] == [(TRANSFER, (1,))]
    assert evm.read("ticket_broker", "usedTickets(bytes32)", ticket.hash, returns="bool")


def test_cover_by_the_whole_reserve_may_still_pay_nothing(devnet: Devnet, evm: Evm) -> None:
    # Checked is the whole reserve, paid is the claimant's share, and one who is not active has none.
    someone, outsider = devnet.accounts.spare[:2]
    run(devnet.fund_gateway(someone, reserve_wei=ETHER))
    ticket = Ticket.of(devnet, evm, key=someone.private_key, sender=someone.address, recipient=outsider.address)
    logs = redeem(evm, someone, ticket)
    assert [log.topic for log in logs] == [REDEEMED]
    assert evm.read("ticket_broker", "usedTickets(bytes32)", ticket.hash, returns="bool")


def test_fees_of_tickets_can_be_withdrawn(devnet: Devnet, evm: Evm) -> None:
    orchestrator, purse = devnet.accounts.orchestrator, devnet.accounts.spare[0]
    redeem(evm, devnet.accounts.keeper, Ticket.of(devnet, evm, face_value=2 * ETHER))
    run(devnet.next_round())
    withdraw = "withdrawFees(address,uint256)"
    with pytest.raises(Reverted, match=r"^invalid recipient$"):
        evm.send(orchestrator, "bonding_manager", withdraw, bytes(20), 1)
    with pytest.raises(Reverted, match=r"^insufficient fees to withdraw$"):
        evm.send(orchestrator, "bonding_manager", withdraw, purse.address, 2 * ETHER + 1)
    before = int(evm.ask("eth_getBalance", purse.address_hex, "latest"), 16)
    evm.send(orchestrator, "bonding_manager", withdraw, purse.address, 2 * ETHER)
    assert int(evm.ask("eth_getBalance", purse.address_hex, "latest"), 16) - before == 2 * ETHER
    assert evm.read("bonding_manager", "pendingFees(address,uint256)", orchestrator.address, 0) == 0
