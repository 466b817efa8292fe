"""Judgments about money: the terms an orchestrator sells under, and how a paid stream went."""

from baton.jobs.messages import OrchestratorInfo
from baton.selftest.checks import Check, failed, info, passed, printable
from baton.selftest.paying import PaymentSession
from baton.selftest.tickets import PayerLimits, TermsRefusedError, expected_value_wei, judge_terms, price_per_px

__all__ = ["judge_books", "judge_terms_for_sale"]

_WEI_PER_GWEI = 10**9


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
