"""Discovery: the order of its checks, its texts, and the refresh that a full node still grants."""

import asyncio
from dataclasses import replace

import pytest

from baton.jobs.messages import AuthToken, OrchestratorInfo, OrchestratorRequest, Price
from baton.kernel.capabilities import Capability, bits_from_ids
from baton.kernel.crypto import sign_message
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import SessionId, address_from_hex, to_checksum_hex
from tests.unit.jobs.rig import OFFERED, Key, Rig, scenario

TEST_KEY = bytes.fromhex("46" * 32)
TEST_ADDRESS = address_from_hex("0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F")


async def ask(rig: Rig, request: OrchestratorRequest | None = None, *, peer: str = "10.0.0.1") -> OrchestratorInfo:
    return await rig.discovery.get_orchestrator(request or rig.question(), peer_host=peer)


async def refusal(rig: Rig, request: OrchestratorRequest | None = None, *, peer: str = "10.0.0.1") -> str:
    with pytest.raises(RefusedError) as refused:
        await ask(rig, request, peer=peer)
    return refused.value.text


def signed(key: bytes = TEST_KEY) -> OrchestratorRequest:
    text = to_checksum_hex(TEST_ADDRESS).encode()
    return OrchestratorRequest(sender=TEST_ADDRESS, signature=sign_message(key, text), capabilities=None)


def test_an_answer_names_us_our_offer_and_a_fresh_session() -> None:
    async def body() -> None:
        rig = Rig()
        first, second = await ask(rig), await ask(rig)
        assert first.transcoder == "https://o.example:8935"
        assert first.capabilities.bits == bits_from_ids(OFFERED)
        assert Capability.AUTH_TOKEN in OFFERED
        assert rig.mint.matches(first.auth_token)
        assert first.auth_token.session_id != second.auth_token.session_id
        assert first.price is None
        assert first.ticket_params is None

    scenario(body)


def test_a_verifying_node_takes_a_good_signature_once_and_again_and_no_other() -> None:
    async def body() -> None:
        rig = Rig(verify=True)
        await ask(rig, signed())
        await ask(rig, signed())
        assert await refusal(rig, signed(b"\x01" * 32)) == Text.REQUEST_SIG
        assert await refusal(rig, replace(signed(), signature=b"")) == Text.REQUEST_SIG

    scenario(body)


def test_the_signature_is_checked_before_capacity_and_capacity_before_the_webhook() -> None:
    async def body() -> None:
        rig = Rig(verify=True, max_sessions=0)
        rig.webhook.refuse = "not you"
        assert await refusal(rig) == Text.REQUEST_SIG
        assert await refusal(rig, signed()) == Text.REQUEST_CAPPED
        rig = Rig()
        rig.webhook.refuse = "not you"
        assert await refusal(rig) == "authentication failed: not you"

    scenario(body)


def test_a_full_node_answers_the_gateway_whose_token_runs_out() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        token = (await ask(rig)).auth_token
        await rig.send(rig.request(rig.metadata(token=token)))
        assert await refusal(rig) == Text.REQUEST_CAPPED
        rig.clock.advance(1700)
        assert await refusal(rig, peer="10.9.9.9") == Text.REQUEST_CAPPED
        renewed = (await ask(rig)).auth_token
        result = await rig.send(rig.request(rig.metadata(token=renewed, seq=2)))
        assert result.error == ""
        assert rig.streams.table.open_count == 1

    scenario(body)


@pytest.mark.parametrize("cause", ["webhook", "terms"])
def test_a_refused_refresh_can_be_asked_for_again(cause: str) -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        token = (await ask(rig)).auth_token
        await rig.send(rig.request(rig.metadata(token=token)))
        rig.clock.advance(1700)
        if cause == "webhook":
            rig.webhook.refuse = "not now"
        else:
            rig.ledger.refuse_quote = RefusedError(403, "no terms")
        for _ in range(3):
            assert await refusal(rig) in {"authentication failed: not now", "no terms"}
        rig.webhook.refuse = None
        rig.ledger.refuse_quote = None
        assert (await ask(rig)).auth_token.session_id != token.session_id
        assert await refusal(rig) == Text.REQUEST_CAPPED

    scenario(body)


def test_two_that_ask_at_once_get_one_refresh() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        token = (await ask(rig)).auth_token
        await rig.send(rig.request(rig.metadata(token=token)))
        rig.clock.advance(1700)
        answers = await asyncio.gather(ask(rig), ask(rig), ask(rig), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, RefusedError)]
        assert [error.text for error in refused] == [Text.REQUEST_CAPPED] * 2

    scenario(body)


def test_a_draining_node_answers_refreshes_only() -> None:
    async def body() -> None:
        rig = Rig()
        token = (await ask(rig)).auth_token
        await rig.send(rig.request(rig.metadata(token=token)))
        rig.gate.takes_sessions = False
        assert await refusal(rig) == Text.REQUEST_CAPPED
        rig.clock.advance(1700)
        await ask(rig)
        rig.gate.takes_segments = False
        assert await refusal(rig) == Text.REQUEST_CAPPED

    scenario(body)


def test_the_price_of_the_webhook_reaches_both_answers() -> None:
    async def body() -> None:
        rig = Rig()
        rig.webhook.price = Price(wei_per_unit=7, px_per_unit=3)
        info = await ask(rig)
        assert info.price == rig.webhook.price
        result = await rig.send(rig.request(rig.metadata(token=info.auth_token)))
        assert result.info is not None
        assert result.info.price == rig.webhook.price

    scenario(body)


def test_callers_are_limited_one_by_one() -> None:
    async def body() -> None:
        rig = Rig()
        for _ in range(200):
            await ask(rig)
        assert await refusal(rig) == Text.REQUEST_TOO_MANY
        await ask(rig, peer="10.0.0.2")
        rig.clock.advance(1)
        await ask(rig)

    scenario(body)


def test_only_our_own_tokens_end_sessions() -> None:
    async def body() -> None:
        rig = Rig()
        for bad in (None, AuthToken(token=b"", session_id=SessionId(""), expiration=0)):
            with pytest.raises(RefusedError) as refused:
                await rig.discovery.end_session(bad)
            assert refused.value.text == Text.INVALID_AUTH_TOKEN_RPC
        token = (await ask(rig)).auth_token
        await rig.discovery.end_session(token)
        await rig.send(rig.request(rig.metadata(token=token)))
        rig.clock.advance(4000)
        await rig.discovery.end_session(token)
        assert rig.streams.table.open_count == 0

    scenario(body)


def test_a_ping_is_answered_with_what_the_key_says() -> None:
    assert Rig().discovery.ping(b"value") == b""
    assert Rig(signer=Key(name="0xabc")).discovery.ping(b"value") == b"signed:value"
