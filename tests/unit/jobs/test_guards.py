"""Guards that only show when somebody leans on them: whose stream it is, how long a wait may be, what is remembered."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from baton.jobs import discovery, intake, streams
from baton.jobs.admission import SegmentRequest
from baton.jobs.discovery import KnownSenders
from baton.jobs.intake import URI_CONTENT_TYPE
from baton.jobs.limits import CallerLimiter
from baton.jobs.messages import Price
from baton.kernel.errors import RefusedError, Text
from baton.kernel.ids import Address, SessionId
from baton.kernel.metrics import SilentMetrics
from tests.support import eventually
from tests.unit.jobs.rig import Key, Rig, scenario, settle
from tests.wire.port import CountingMetrics


class CountingCheck:
    """Takes the signature ``good`` and counts how often it was asked."""

    def __init__(self, *, identifies: bool) -> None:
        self.identifies_senders = identifies
        self.asked = 0

    def verify(self, sender: Address, message: bytes, signature: bytes) -> bool:
        del sender, message
        self.asked += 1
        return signature == b"good"


def sender(number: int) -> Address:
    return Address(bytes(19) + bytes([number]))


def test_a_good_signature_is_checked_once_and_a_bad_one_each_time() -> None:
    check = CountingCheck(identifies=True)
    known = KnownSenders(check)
    assert [known.verify(sender(1), b"good") for _ in range(3)] == [True] * 3
    assert check.asked == 1
    assert [known.verify(sender(1), b"bad") for _ in range(3)] == [False] * 3
    assert check.asked == 4
    assert known.verify(sender(2), b"good")
    assert check.asked == 5


def test_signatures_that_prove_nothing_are_not_remembered() -> None:
    check = CountingCheck(identifies=False)
    known = KnownSenders(check)
    assert all(known.verify(sender(1), b"good") for _ in range(3))
    assert check.asked == 3


def test_senders_unused_for_longest_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_REMEMBERED_SENDERS", 2)
    check = CountingCheck(identifies=True)
    known = KnownSenders(check)
    for number in (1, 2, 1, 3):
        known.verify(sender(number), b"good")
    assert check.asked == 3
    known.verify(sender(1), b"good")
    assert check.asked == 3, "the one in use was forgotten"
    known.verify(sender(2), b"good")
    assert check.asked == 4, "more were remembered than there is room for"


@pytest.mark.parametrize("length", [0, 31, 32])
def test_a_ping_of_a_hash_or_less_is_signed(length: int) -> None:
    assert Rig(signer=Key(name="0xabc")).discovery.ping(bytes(length)) == b"signed:" + bytes(length)


@pytest.mark.parametrize("length", [33, 52, 100_000])
def test_a_ping_that_could_mean_something_else_is_not_signed(length: int) -> None:
    with pytest.raises(RefusedError) as refused:
        Rig(signer=Key(name="0xabc")).discovery.ping(bytes(length))
    assert refused.value.text == "Invalid ping value"


def test_a_closing_node_grants_no_refresh() -> None:
    async def body() -> None:
        rig = Rig()
        await rig.send(rig.request(rig.metadata()))
        rig.clock.advance(1700)
        rig.gate.takes_sessions = rig.gate.takes_segments = False
        with pytest.raises(RefusedError) as refused:
            await rig.discovery.get_orchestrator(rig.question(), peer_host="10.0.0.1")
        assert refused.value.text == Text.REQUEST_CAPPED
        rig.gate.takes_segments = True
        await rig.discovery.get_orchestrator(rig.question(), peer_host="10.0.0.1")

    scenario(body)


def test_a_token_that_another_caller_obtained_continues_nobodys_stream() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        await rig.send(rig.request(rig.metadata()))
        foreign = rig.mint.issue(caller="10.0.0.2")
        with pytest.raises(RefusedError) as refused:
            await rig.send(rig.request(rig.metadata(token=foreign)))
        assert (refused.value.status, refused.value.text) == (403, Text.CAPPED)
        own = rig.mint.issue(caller="10.0.0.1")
        assert (await rig.send(rig.request(rig.metadata(token=own)))).error == ""

    scenario(body)


def test_an_address_of_a_segment_is_read_no_further_than_addresses_go() -> None:
    async def body() -> None:
        rig = Rig()
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1000
                yield b"h" * 1000

        async def accepted() -> None:
            raise AssertionError

        with pytest.raises(RefusedError) as refused:
            await rig.desk.handle(rig.request(content_type=URI_CONTENT_TYPE), endless(), accepted=accepted)
        assert (refused.value.status, refused.value.text) == (400, Text.BAD_REQUEST)
        assert read == 5000

    scenario(body)


def test_a_fetch_has_its_own_budget_however_long_the_segment_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_FETCH_BUDGET_S", 0.01)

    async def body() -> None:
        rig = Rig()
        rig.spool.gate.clear()
        long = replace(rig.metadata(), duration_ms=300_000)
        with pytest.raises(RefusedError) as refused:
            await rig.send(rig.request(long, content_type=URI_CONTENT_TYPE), body=b"https://store.example/1.ts")
        assert (refused.value.status, refused.value.text) == (400, Text.BAD_REQUEST)

    scenario(body)


def test_the_engine_gets_what_is_left_of_the_budget() -> None:
    async def body() -> None:
        rig = Rig()
        await rig.send(replace(rig.request(), arrived=rig.clock.monotonic() - 3.0))
        assert rig.engine.deadlines_s == pytest.approx([5.0])

    scenario(body)


def test_a_stream_that_went_on_under_a_new_token_ends_its_old_session_when_that_is_idle() -> None:
    async def body() -> None:
        rig = Rig(max_sessions=1)
        rig.engine.gate.clear()
        old, new = rig.mint.issue(caller="10.0.0.1"), rig.mint.issue(caller="10.0.0.1")
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.send(rig.request(rig.metadata(token=old, seq=1))))
            await settle()
            group.create_task(rig.send(rig.request(rig.metadata(token=new, seq=2))))
            await settle()
            assert rig.engine.running == 2
            assert rig.store.ended == []
            rig.engine.gate.set()
        assert rig.store.ended == [old.session_id]
        assert [s.session_id for s in rig.streams.table.sessions()] == [new.session_id]

    scenario(body)


def test_a_silent_session_ends_with_everything_that_was_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_SWEEP_S", 0.0)

    async def body() -> None:
        rig = Rig()
        metadata = rig.metadata()
        await rig.send(rig.request(metadata))
        sweeping = asyncio.create_task(rig.streams.run())
        await settle()
        assert rig.store.ended == []
        rig.clock.advance(71)
        assert metadata.auth_token is not None
        session_id: SessionId = metadata.auth_token.session_id
        await eventually(lambda: rig.store.ended == [session_id], what="the store is told of the end")
        assert rig.streams.table.open_count == 0
        sweeping.cancel()

    scenario(body)


def test_patience_saves_up_no_more_than_a_burst() -> None:
    limiter = CallerLimiter(rate_per_s=10.0, burst=3)
    assert limiter.allows("a", 0.0)
    assert [limiter.allows("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_time_spent_before_the_line_counts_against_the_wait_in_it() -> None:
    async def body() -> None:
        rig = Rig()
        token = rig.mint.issue(caller="10.0.0.1")

        def request(seq: int, *, spent_s: float = 0.0) -> SegmentRequest:
            made = rig.request(replace(rig.metadata(token=token, seq=seq), duration_ms=5000))
            return replace(made, arrived=rig.clock.monotonic() - spent_s)

        rig.engine.gate.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.send(request(0)))
            await settle()
            rig.clock.advance(2.0)
            rig.engine.gate.set()
        rig.engine.gate.clear()
        async with asyncio.TaskGroup() as group:
            for seq in range(1, 6):
                group.create_task(rig.send(request(seq)))
            await settle()
            assert (await rig.send(request(6, spent_s=9.0))).error == Text.BUSY, "12 s in line, 11 s left"
            fresh = group.create_task(rig.send(request(7)))
            await settle()
            assert not fresh.done(), "12 s in line, 20 s left"
            rig.engine.gate.set()
        assert fresh.result().error == ""

    scenario(body)


def test_prices_of_capabilities_are_listed_for_who_asks_about_the_node_as_a_whole() -> None:
    async def body() -> None:
        rig = Rig()
        rig.ledger.capability_prices = (Price(wei_per_unit=1, px_per_unit=2, capability=35, constraint="noop"),)
        whole = replace(rig.question(), capabilities=None)
        answer = await rig.discovery.get_orchestrator(whole, peer_host="10.0.0.1")
        assert answer.capability_prices == rig.ledger.capability_prices
        assert (await rig.discovery.get_orchestrator(rig.question(), peer_host="10.0.0.1")).capability_prices == ()

    scenario(body)


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (402, "base64 decode error: illegal base64 data at input byte 0", "payment"),
        (400, "whatever payments say", "payment"),
        (400, "Insufficient balance", "balance"),
        (400, "BadRequest", "fetch"),
        (403, "proto: cannot parse invalid wire-format data", "encoding"),
        (403, "ErrorSegEncoding", "encoding"),
        (403, "expired auth token", "token"),
        (500, "Internal Server Error", "internal"),
    ],
)
def test_refusals_are_counted_by_their_step_and_never_by_a_strangers_words(status: int, text: str, reason: str) -> None:
    metrics = CountingMetrics()
    Rig(metrics=metrics).desk.refused(RefusedError(status, text), peer_host="10.0.0.1")
    assert metrics.values["segment_refusals_total", reason] == 1
    assert metrics.values["segments_total", "refused"] == 1


def test_a_metric_is_used_as_what_it_is() -> None:
    metrics = SilentMetrics()
    with pytest.raises(KeyError):
        metrics.set("segments_total", 1.0, outcome="refused")
    with pytest.raises(KeyError):
        metrics.observe("segments_total", 1.0, outcome="refused")
    with pytest.raises(KeyError):
        metrics.add("spool_bytes")
    with pytest.raises(KeyError):
        metrics.add("segments_total")
    with pytest.raises(KeyError):
        metrics.add("nobody_knows_it")
