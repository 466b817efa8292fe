"""The gateway of the self test pays a real port: both books agree, over both protocols, and the judge is content."""

import asyncio
from pathlib import Path

import pytest

from baton.kernel.capabilities import Capabilities, bits_from_ids
from baton.kernel.ids import ManifestId
from baton.kernel.profiles import PRESETS
from baton.selftest.checks import Verdict
from baton.selftest.checks_payment import judge_books, judge_terms_for_sale
from baton.selftest.gateway import Gateway, SegmentJob
from baton.selftest.http2 import PeerError
from baton.selftest.parties import Endpoint, GatewayKey
from baton.selftest.paying import PaymentSession
from tests.integration.paid import BODY, PaidPort, paid_port

pytestmark = [pytest.mark.node]

KEY = GatewayKey.from_private_key(bytes([0x46]) * 32)
WANTED = Capabilities(bits=bits_from_ids((0, 1, 12, 26)))
SMALL = (PRESETS["P144p30fps16x9"], PRESETS["P240p30fps16x9"])


def job(seq: int) -> SegmentJob:
    return SegmentJob(
        manifest_id=ManifestId("stream"), seq=seq, data=BODY, duration_ms=2000, profiles=SMALL, capabilities=WANTED
    )


async def stream(port: PaidPort) -> PaymentSession:
    async with Gateway(endpoint=Endpoint.parse(port.url), key=KEY) as gateway:
        terms = await gateway.get_orchestrator(WANTED)
        assert judge_terms_for_sale(terms).verdict is Verdict.PASS
        with pytest.raises(PeerError, match="status 400: Insufficient balance"):
            await gateway.post_segment(job(0), terms)
        purse = PaymentSession(key=KEY, terms=terms)
        for seq in range(1, 7):
            spent = await purse.pay(SMALL, duration_ms=2000)
            answer = await gateway.post_segment(job(seq), purse.terms, payment=spent.payment, http1=seq % 2 == 0)
            assert answer.result.error == ""
            purse.settle(spent, pixels=sum(r.pixels for r in answer.result.renditions))
            purse.learn(answer.result.info)
        return purse


def test_both_books_agree(tmp_path: Path) -> None:
    with paid_port(tmp_path) as port:
        port.engine.pixels = lambda _request: [2_345_678, 6_789_012]
        purse = asyncio.run(stream(port))
        assert judge_books(purse).verdict is Verdict.PASS
        assert purse.fees_wei == 6 * (2_345_678 + 6_789_012) * 1212
        assert purse.credit_wei == purse.sent_wei - purse.fees_wei
        assert port.balance(bytes(KEY.address), purse.terms.auth_token.session_id) == purse.credit_wei
