"""The story of a segment: order of checks, texts, money settled exactly once, and work that ends with its client."""

import asyncio
import threading
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from baton.jobs.admission import SegmentRequest
from baton.jobs.intake import URI_CONTENT_TYPE
from baton.jobs.messages import AuthToken
from baton.kernel.capabilities import Capabilities
from baton.kernel.crypto import keccak256
from baton.kernel.errors import RefusedError, Text, TranscodeError
from baton.kernel.ids import SessionId
from tests.support import eventually
from tests.unit.jobs.rig import BODY, PROFILES, Key, Rig, scenario, settle, without_token

PIXELS = sum(p.width * p.height for p in PROFILES)


async def refusal(rig: Rig, request: SegmentRequest | None = None, *, body: bytes = BODY) -> tuple[int, str]:
    with pytest.raises(RefusedError) as refused:
        await rig.send(request, body=body)
    assert rig.accepted == 0
    return refused.value.status, refused.value.text


def test_a_segment_is_answered_kept_settled_and_its_file_removed() -> None:
    async def body() -> None:
        rig = Rig()
        metadata = rig.metadata(seq=5)
        result = await rig.send(rig.request(metadata))
        assert result.error == ""
        assert result.seq == 5
        assert [r.pixels for r in result.renditions] == [p.width * p.height for p in PROFILES]
        assert metadata.auth_token is not None
        session = metadata.auth_token.session_id
        assert list(rig.store.saved) == [f"{session}/{p.name}/5.ts" for p in PROFILES]
        assert result.info is not None
        assert result.info.auth_token == metadata.auth_token
        assert result.signature == b""
        assert rig.accepted == 1
        assert (rig.ledger.settled, rig.ledger.released) == ([PIXELS], 0)
        assert rig.spool.files[0].removed

    scenario(body)


def test_perceptual_hashes_that_were_asked_for_are_kept_beside_their_renditions() -> None:
    async def body() -> None:
        rig = Rig()
        metadata = replace(rig.metadata(seq=5), calc_perceptual_hash=True)
        result = await rig.send(rig.request(metadata))
        assert metadata.auth_token is not None
        folder = f"{metadata.auth_token.session_id}/"
        for profile, rendition in zip(PROFILES, result.renditions, strict=True):
            assert rig.store.saved[f"{folder}{profile.name}/5.ts.phash"] == b"hash of " + profile.name.encode()
            assert rendition.perceptual_hash_url == f"{rendition.url}.phash"
        assert len(rig.store.saved) == 2 * len(PROFILES)

    scenario(body)


def test_perceptual_hashes_that_nobody_asked_for_are_not_made() -> None:
    async def body() -> None:
        rig = Rig()
        result = await rig.send()
        assert [job.perceptual_hash for job in rig.engine.jobs] == [False]
        assert {rendition.perceptual_hash_url for rendition in result.renditions} == {""}

    scenario(body)


def test_a_missing_perceptual_hash_leaves_the_rendition_as_it_is() -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.hashes = False
        result = await rig.send(rig.request(replace(rig.metadata(), calc_perceptual_hash=True)))
        assert result.error == ""
        assert [rendition.perceptual_hash_url for rendition in result.renditions] == [""] * len(PROFILES)
        assert len(rig.store.saved) == len(PROFILES)
        assert rig.ledger.settled == [PIXELS]

    scenario(body)


def test_a_perceptual_hash_that_cannot_be_kept_is_left_out_and_told() -> None:
    async def body() -> None:
        rig = Rig()
        rig.store.fail_after = 2 * len(PROFILES) - 1
        with capture_logs() as logs:
            result = await rig.send(rig.request(replace(rig.metadata(), calc_perceptual_hash=True)))
        assert result.error == ""
        assert [bool(each.perceptual_hash_url) for each in result.renditions] == [True] * (len(PROFILES) - 1) + [False]
        assert all(each.url for each in result.renditions)
        assert rig.ledger.settled == [PIXELS]
        assert [line["reason"] for line in logs if line["event"] == "perceptual hash not kept"] == ["Session ended"]

    scenario(body)


def test_a_node_with_a_key_signs_the_hashes_in_profile_order() -> None:
    async def body() -> None:
        rig = Rig(signer=Key(name="0xabc"))
        result = await rig.send()
        hashes = b"".join(keccak256(p.name.encode() * 4) for p in PROFILES)
        assert result.signature == b"signed:" + hashes
        assert rig.engine.jobs[0].orch_id == "0xabc"

    scenario(body)


def test_who_asks_for_no_rendition_gets_none_and_no_work_is_done_for_it() -> None:
    async def body() -> None:
        rig = Rig(signer=Key(name="0xabc"))
        result = await rig.send(rig.request(replace(rig.metadata(seq=3), profiles=())))
        assert (result.error, result.renditions, result.seq) == ("", (), 3)
        assert result.signature == b"signed:"
        assert rig.engine.jobs == []
        assert rig.streams.table.open_count == 0
        assert rig.ledger.settled == [0]
        assert rig.spool.files[0].removed

    scenario(body)


def test_checks_come_in_the_stated_order() -> None:
    async def body() -> None:
        rig = Rig(verify=True, max_sessions=0)
        rig.ledger.refuse_quote = RefusedError(500, "no terms")
        rig.ledger.refuse_payment = RefusedError(400, "bad ticket")
        wrong = replace(without_token(rig.metadata()), capabilities=Capabilities(bits=(1 << 63,)), content_hash=b"")
        assert await refusal(rig, rig.request(wrong)) == (403, Text.SEGMENT_SIG)

        rig = Rig(max_sessions=0)
        rig.ledger.refuse_quote = RefusedError(500, "no terms")
        rig.ledger.refuse_payment = RefusedError(400, "bad ticket")
        assert await refusal(rig, rig.request(wrong)) == (403, Text.INCOMPATIBLE)
        step8 = without_token(rig.metadata())
        assert await refusal(rig, rig.request(step8)) == (403, Text.MISSING_AUTH_TOKEN)
        forged = AuthToken(token=b"x", session_id=SessionId("s"), expiration=0)
        assert await refusal(rig, rig.request(replace(step8, auth_token=forged))) == (403, Text.INVALID_AUTH_TOKEN)
        token = rig.mint.issue(caller="10.0.0.1")
        rig.clock.advance(1801)
        assert await refusal(rig, rig.request(replace(step8, auth_token=token))) == (403, Text.EXPIRED_AUTH_TOKEN)
        assert await refusal(rig) == (403, Text.CAPPED)

        rig = Rig()
        rig.ledger.refuse_quote = RefusedError(500, "no terms")
        rig.ledger.refuse_payment = RefusedError(400, "bad ticket")
        assert await refusal(rig) == (500, Text.INTERNAL)
        rig.ledger.refuse_quote = None
        rig.spool.full = True
        assert await refusal(rig) == (400, "bad ticket")
        rig.ledger.refuse_payment = None
        assert await refusal(rig) == (500, Text.INTERNAL)
        rig.spool.full = False
        assert await refusal(rig, body=b"other bytes") == (403, Text.FORBIDDEN)

    scenario(body)


def test_a_refusal_after_the_hold_gives_it_back_and_leaves_no_file() -> None:
    async def body() -> None:
        rig = Rig()
        await refusal(rig, body=b"other bytes")
        assert (rig.ledger.settled, rig.ledger.released) == ([], 1)
        assert rig.spool.files[0].removed

    scenario(body)


@pytest.mark.parametrize("text", [Text.INVALID_DATA, Text.UNSUPPORTED_CODEC])
def test_an_engine_error_travels_undecorated_and_costs_nothing(text: str) -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.error = TranscodeError(text, detail="what the codec said")
        result = await rig.send()
        assert result.error == text
        assert result.renditions == ()
        assert (rig.ledger.settled, rig.ledger.released) == ([], 1)

    scenario(body)


def test_a_bug_behind_the_200_is_still_an_answer() -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.error = ZeroDivisionError("ours")
        assert (await rig.send()).error == Text.UNKNOWN
        assert rig.ledger.released == 1

    scenario(body)


def test_a_rendition_that_cannot_be_kept_fails_the_segment() -> None:
    async def body() -> None:
        rig = Rig()
        rig.store.fail_after = 1
        result = await rig.send()
        assert result.error == Text.SESSION_ENDED
        assert result.renditions == ()
        assert rig.ledger.settled == []

    scenario(body)


def test_a_body_that_names_its_segment_is_fetched() -> None:
    async def body() -> None:
        rig = Rig()
        request = rig.request(content_type=URI_CONTENT_TYPE)
        assert (await rig.send(request, body=b"https://store.example/1.ts")).error == ""
        rig = Rig()
        request = rig.request(content_type=URI_CONTENT_TYPE)
        assert await refusal(rig, request, body=b"http://169.254.169.254/") == (400, Text.BAD_REQUEST)
        assert await refusal(rig, request, body=b"h" * 5000) == (400, Text.BAD_REQUEST)
        assert await refusal(rig, request, body=b"\xff\xfe") == (400, Text.BAD_REQUEST)

    scenario(body)


def test_a_cancelled_request_cancels_its_work_and_releases_its_hold() -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.gate.clear()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rig.send())
            await settle()
            assert rig.engine.running == 1
            task.cancel()
        assert rig.engine.cancelled == 1
        assert rig.ledger.released == 1
        assert rig.streams.busy == 0

    scenario(body)


def test_who_leaves_while_renditions_that_can_be_fetched_are_signed_pays_for_them() -> None:
    class SlowKey(Key):
        def sign(self, message: bytes) -> bytes:
            begun.set()
            assert go.wait(10)
            return super().sign(message)

    begun, go = threading.Event(), threading.Event()

    async def body() -> None:
        rig = Rig(signer=SlowKey(name="0xabc"))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rig.send())
            await eventually(begun.is_set, what="the renditions are signed")
            task.cancel()
        assert len(rig.store.saved) == len(PROFILES)
        go.set()
        assert (len(rig.ledger.settled), rig.ledger.released) == (1, 0)

    scenario(body)


def test_the_sixth_segment_of_a_session_is_busy_in_the_body() -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.gate.clear()
        token = rig.mint.issue(caller="10.0.0.1")
        async with asyncio.TaskGroup() as group:
            for seq in range(5):
                group.create_task(rig.send(rig.request(rig.metadata(token=token, seq=seq))))
            await settle()
            result = await rig.send(rig.request(rig.metadata(token=token, seq=5)))
            assert result.error == Text.BUSY
            assert rig.accepted == 6
            rig.engine.gate.set()
        assert [job.seq for job in rig.engine.jobs] == [0, 1, 2, 3, 4]

    scenario(body)


def test_the_last_slot_is_given_once_and_the_loser_reads_capped() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        rig.spool.gate.clear()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(rig.send(rig.request(rig.metadata(manifest="a"))))
            second = group.create_task(rig.send(rig.request(rig.metadata(manifest="b"))))
            await settle()
            rig.spool.gate.set()
        errors = sorted([first.result().error, second.result().error])
        assert errors == ["", Text.CAPPED]

    scenario(body)


def test_a_draining_node_goes_on_with_its_streams_and_takes_no_new_one() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")
        await rig.send(rig.request(rig.metadata(token=token, seq=1)))
        rig.gate.takes_sessions = False
        assert (await rig.send(rig.request(rig.metadata(token=token, seq=2)))).error == ""
        renewed = rig.mint.issue(caller="10.0.0.1")
        assert (await rig.send(rig.request(rig.metadata(token=renewed, seq=3)))).error == ""
        rig.accepted = 0
        assert await refusal(rig, rig.request(rig.metadata(manifest="new"))) == (403, Text.CAPPED)
        rig.gate.takes_segments = False
        assert await refusal(rig, rig.request(rig.metadata(token=renewed, seq=4))) == (403, Text.CAPPED)

    scenario(body)


def test_an_ended_session_tells_its_waiting_segments() -> None:
    async def body() -> None:
        rig = Rig()
        rig.engine.gate.clear()
        token = rig.mint.issue(caller="10.0.0.1")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(rig.send(rig.request(rig.metadata(token=token, seq=1))))
            await settle()
            waiting = group.create_task(rig.send(rig.request(rig.metadata(token=token, seq=2))))
            await settle()
            await rig.discovery.end_session(token)
            await settle()
            assert waiting.done()
            rig.engine.gate.set()
        assert waiting.result().error == Text.SESSION_ENDED
        assert running.result().error == ""
        assert rig.store.ended == [token.session_id]

    scenario(body)


def test_one_network_never_takes_all_places_that_uploads_have() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1000)
        rig.spool.gate.clear()
        async with asyncio.TaskGroup() as group:
            for number in range(256):
                group.create_task(rig.send(rig.request(rig.metadata(manifest=str(number)))))
            await settle()
            assert rig.desk.in_hand == 256
            assert await refusal(rig) == (403, Text.CAPPED)
            elsewhere = replace(rig.request(rig.metadata(manifest="elsewhere")), peer_host="10.0.0.2")
            other = group.create_task(rig.send(elsewhere))
            await settle()
            assert rig.desk.in_hand == 257
            rig.spool.gate.set()
        assert other.result().error == ""
        assert rig.desk.in_hand == 0

    scenario(body)


def test_the_closing_line_tells_the_cause_and_no_whole_session_id() -> None:
    async def body() -> None:
        rig = Rig()
        request = replace(rig.request(rig.metadata(seq=9)), client="203.0.113.9")
        rig.engine.error = TranscodeError(Text.INVALID_DATA, detail="what the codec said")
        rig.engine.gate.clear()
        with capture_logs() as lines:
            async with asyncio.TaskGroup() as group:
                group.create_task(rig.send(request))
                await settle()
                rig.clock.advance(1.5)
                rig.engine.gate.set()
        (closing,) = [line for line in lines if line["event"] == "segment closed"]
        assert closing["error"] == Text.INVALID_DATA
        assert closing["detail"] == "what the codec said"
        assert closing["engine_ms"] == 1500
        assert (closing["seq"], closing["client"], closing["outcome"]) == (9, "203.0.113.9", "transcode")
        token = request.metadata.auth_token
        assert token is not None
        assert not any(token.session_id in str(value) for line in lines for value in line.values())

    scenario(body)


def test_a_store_that_never_answers_holds_its_turn_no_longer_than_the_gateway_waits() -> None:
    async def body() -> None:
        rig = Rig()
        rig.store.hang = True
        request = replace(rig.request(), arrived=rig.clock.monotonic() - 7.9)
        result = await rig.send(request)
        assert result.error == Text.IO_ERROR
        assert rig.ledger.released == 1
        assert rig.streams.busy == 0

    scenario(body)


def test_a_session_that_paid_goes_on_when_no_new_terms_can_be_made() -> None:
    async def body() -> None:
        rig = Rig()
        rig.ledger.refuse_quote = RefusedError(500, "insufficient sender reserve")
        metadata = rig.metadata(seq=1)
        with pytest.raises(RefusedError, match="Internal Server Error"):
            await rig.send(rig.request(metadata))
        assert metadata.auth_token is not None
        rig.ledger.paid.add(metadata.auth_token.session_id)
        result = await rig.send(rig.request(metadata))
        assert (result.error, result.info) == ("", None)
        assert result.renditions

    scenario(body)
