"""Judgments about money: the terms an orchestrator sells under, how a paid stream went, and what the node has of it."""

from fractions import Fraction

from baton.jobs.messages import OrchestratorInfo
from baton.selftest.checks import Check, failed, info, passed, printable
from baton.selftest.noderecord import NodeCounts, NodeRecord
from baton.selftest.paying import PaymentSession
from baton.selftest.tickets import PayerLimits, TermsRefusedError, expected_value_wei, judge_terms, price_per_px

__all__ = ["judge_balances", "judge_books", "judge_debit", "judge_terms_for_sale", "judge_tickets", "judge_winners"]

_WEI_PER_GWEI = 10**9
_NEAR_GWEI = 1.0


def judge_terms_for_sale(terms: OrchestratorInfo, *, limits: PayerLimits | None = None) -> Check:
    """Whether a gateway with usual limits would sign tickets under these terms, as far as no chain is asked."""
    name = "ticket terms"
    params, price = terms.ticket_params, terms.price
    if params is None or price is None:
        return info(name, "none: nothing to pay")
    try:
        per_px = price_per_px(price)
        judge_terms(params, limits=limits if limits is not None else PayerLimits(), last_seen_l1_block=None)
    except TermsRefusedError as error:
        return failed(name, f"a gateway would refuse them: {printable(str(error))}")
    worth_wei, face_wei = expected_value_wei(params), int.from_bytes(params.face_value, "big")
    if per_px > 0 and worth_wei <= 0:
        return failed(name, "tickets worth nothing at a price above zero: nobody can pay")
    return passed(name, f"{float(worth_wei):.0f} wei a ticket, {face_wei / _WEI_PER_GWEI:,.0f} gwei to the winner")


def judge_books(purse: PaymentSession) -> Check:
    """What was paid, what it bought, and whether the terms stayed usable on the way."""
    name = "payments"
    if purse.faults:
        return failed(name, f"{len(purse.faults)} times: {purse.faults[0]}")
    told = (
        f"{purse.tickets} tickets worth {float(purse.sent_wei):.0f} wei, "
        f"work of {float(purse.fees_wei):.0f} wei, credit of {float(purse.credit_wei):.0f} wei left"
    )
    return passed(name, told)


def judge_tickets(purse: PaymentSession, counts: NodeCounts, record: NodeRecord) -> Check:
    """Whether every ticket that was sent was taken, for what it is worth, and put on record."""
    told = f"{purse.tickets} sent, {counts.tickets} taken, {record.tickets} on the node's record"
    worth = f"; worth {counts.credit_gwei:,.0f} gwei to the node"
    same = purse.tickets == counts.tickets == record.tickets
    near = abs(counts.credit_gwei - float(purse.sent_wei / _WEI_PER_GWEI)) < _NEAR_GWEI
    return (passed if same and near else failed)("tickets", told + worth)


def judge_winners(counts: NodeCounts, record: NodeRecord, faults: tuple[str, ...]) -> Check:
    """Whether the node kept what it says has won; no winner at all is bad luck and no fault."""
    if faults:
        return failed("winners", f"{len(faults)} of {len(record.winners)} wrong: {faults[0]}")
    if counts.winners != len(record.winners):
        return failed("winners", f"{counts.winners} counted by the node, {len(record.winners)} on its record")
    worth = f"{record.won_wei / _WEI_PER_GWEI:,.0f} gwei"
    return passed("winners", f"{len(record.winners)} kept by the node, {worth} to redeem; every draw repeated")


def judge_debit(purse: PaymentSession, counts: NodeCounts, price: Fraction) -> Check:
    """Whether both sides count the same work at the same price."""
    told = f"{counts.pixels:,} pixels counted by the node, {float(purse.fees_wei):.0f} wei booked by the gateway"
    return (passed if counts.pixels * price == purse.fees_wei else failed)("debit", told)


def judge_balances(purse: PaymentSession, record: NodeRecord) -> Check:
    """Whether both sides agree on what is left, to the last fraction of a wei."""
    ours, theirs = purse.credit_wei, record.balance_wei
    if ours != theirs:
        return failed("balances", f"the gateway holds {float(ours):.0f} wei, the node {float(theirs):.0f} wei")
    return passed("balances", f"credit less debit leaves {float(ours):.0f} wei on both sides, to the last fraction")
