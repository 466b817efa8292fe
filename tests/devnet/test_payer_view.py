"""What the self test's gateway reads of a real chain before it pays."""

from baton.devnet import Devnet
from baton.selftest.chainview import ChainView
from tests.support import run


def view_of(devnet: Devnet) -> ChainView:
    return ChainView(rpc_url=devnet.rpc_url, ticket_broker=devnet.addresses.ticket_broker)


def test_l1_block_is_the_clock_s(devnet: Devnet) -> None:
    view = view_of(devnet)
    assert run(view.last_seen_l1_block()) == run(devnet.l1_block())
    run(devnet.advance_l1(7))
    assert run(view.last_seen_l1_block()) == run(devnet.l1_block())


def test_sender_with_funds_can_pay_up_to_its_deposit(devnet: Devnet) -> None:
    view, sender = view_of(devnet), devnet.accounts.gateway.address
    deposit_wei = devnet.options.deposit_wei
    assert run(view.sender_fault(sender, face_value_wei=deposit_wei)) is None
    fault = run(view.sender_fault(sender, face_value_wei=deposit_wei + 1))
    assert fault == f"ticket faceValue {deposit_wei + 1} > max faceValue {deposit_wei}"


def test_stranger_and_sender_with_half_of_it_cannot_pay(devnet: Devnet) -> None:
    view, spare = view_of(devnet), devnet.accounts.spare[0]
    assert run(view.sender_fault(spare.address, face_value_wei=1)) == "no sender reserve"
    run(devnet.fund_gateway(spare, reserve_wei=10**18))
    assert run(view.sender_fault(spare.address, face_value_wei=1)) == "no sender deposit"
    run(devnet.fund_gateway(spare, deposit_wei=10**18))
    assert run(view.sender_fault(spare.address, face_value_wei=1)) is None


def test_sender_about_to_leave_cannot_pay(devnet: Devnet) -> None:
    gateway = devnet.accounts.gateway
    run(devnet.transact(gateway, "ticket_broker", "unlock"))
    fault = run(view_of(devnet).sender_fault(gateway.address, face_value_wei=1))
    assert fault == f"deposit and reserve for sender {gateway.address_hex} is set to unlock soon"
