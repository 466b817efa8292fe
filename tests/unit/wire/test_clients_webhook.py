import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from baton.jobs.messages import Price
from baton.jobs.ports import AuthWebhook, WebhookRefusedError
from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address, address_from_hex
from baton.wire.clients import HttpAuthWebhook
from baton.wire.clients import webhook as module
from tests.support import eventually, run
from tests.unit.wire.serving import raw_server, self_signed, serving

SENDER_HEX = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"
SENDER = address_from_hex(SENDER_HEX)
STRANGER = Address(b"\x01" * 20)
PRICED = b'{"priceInfo":{"pricePerUnit":7,"pixelsPerUnit":3}}'


class Operator:
    """What the operator's server does; changed while it runs."""

    def __init__(self, status: int = 200, body: bytes = b"{}") -> None:
        self.status = status
        self.body = body
        self.silent = False
        self.asked: list[tuple[str, str, str, Any]] = []
        self.free = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path, request.content_type, await request.json()))
        if self.silent:
            await self.free.wait()
        return web.Response(status=self.status, body=self.body)


@asynccontextmanager
async def asking(
    operator: Operator, *, clock: ManualClock | None = None, timeout_s: float = 2.0
) -> AsyncIterator[HttpAuthWebhook]:
    async with serving(operator.answer) as port:
        url = f"http://127.0.0.1:{port}/auth?key=1"
        webhook = HttpAuthWebhook(url=url, clock=clock or ManualClock(), timeout_s=timeout_s)
        try:
            yield webhook
        finally:
            operator.free.set()
            await webhook.close()


async def refusal(webhook: HttpAuthWebhook, sender: Address = SENDER) -> str:
    with pytest.raises(WebhookRefusedError) as refused:
        await webhook.authenticate(sender)
    return str(refused.value)


def test_the_sender_is_named_in_the_reference_form() -> None:
    async def story() -> None:
        operator = Operator()
        async with asking(operator) as webhook:
            port: AuthWebhook = webhook
            assert await port.authenticate(SENDER) is None
        assert operator.asked == [("POST", "/auth", "application/json", {"id": SENDER_HEX})]

    run(story())


@pytest.mark.parametrize(
    ("body", "price"),
    [
        (PRICED, Price(7, 3)),
        (b'{"priceInfo":{"pricePerUnit":0,"pixelsPerUnit":1}}', Price(0, 1)),
        (b"{}", None),
        (b"null", None),
        (b' {"priceInfo":null,"more":[1]} ', None),
        (b'{"priceInfo":{}}', None),
        (b'{"priceInfo":{"pricePerUnit":7}}', None),
        (b'{"priceInfo":{"pixelsPerUnit":7}}', None),
        (b'{"priceInfo":{"pricePerUnit":7,"pixelsPerUnit":0}}', None),
    ],
)
def test_a_yes_may_carry_a_price(body: bytes, price: Price | None) -> None:
    async def story() -> None:
        async with asking(Operator(body=body)) as webhook:
            assert await webhook.authenticate(SENDER) == price
            assert webhook.cached_price(SENDER) == price
            assert webhook.cached_price(STRANGER) is None

    run(story())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"{}{}",
        b"[]",
        b"1",
        b'"x"',
        b"\xff",
        b'{"priceInfo":5}',
        b'{"priceInfo":[1]}',
        b'{"priceInfo":{"pricePerUnit":"7","pixelsPerUnit":1}}',
        b'{"priceInfo":{"pricePerUnit":7.0,"pixelsPerUnit":1}}',
        b'{"priceInfo":{"pricePerUnit":true,"pixelsPerUnit":1}}',
        b'{"priceInfo":{"pricePerUnit":-1,"pixelsPerUnit":1}}',
        b'{"priceInfo":{"pricePerUnit":9223372036854775808,"pixelsPerUnit":1}}',
        b'{"priceInfo":{"pricePerUnit":1,"pixelsPerUnit":-1}}',
        b'{"x":"' + b"x" * 70_000 + b'"}',
        b"[" * 60_000,
    ],
)
def test_a_200_that_makes_no_sense_is_a_no_even_for_who_was_let_in_before(body: bytes) -> None:
    async def story() -> None:
        operator = Operator()
        async with asking(operator) as webhook:
            await webhook.authenticate(SENDER)
            operator.body = body
            assert await refusal(webhook) == "webhook answer unusable"

    run(story())


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["priceInfo", "pricePerUnit", "pixelsPerUnit"]), inner, max_size=3)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_a_price_or_nothing_or_a_no(body: bytes) -> None:
    try:
        price = module._price(body)
    except WebhookRefusedError:
        return
    assert price is None or (price.px_per_unit > 0 and price.wei_per_unit >= 0)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (403, b"not on my list\n", "not on my list"),
        (500, b"broken", "broken"),
        (404, b"", ""),
        (204, b"", ""),
        (403, b"a\x00b\x1b[31mc\r\nd\te", "ab[31mc d e"),
        (403, "nein, danke ü".encode(), "nein, danke ü"),
        (403, b"x" * 5000, "x" * 1024),
    ],
)
def test_any_other_status_is_a_no_in_the_operators_words(status: int, body: bytes, text: str) -> None:
    async def story() -> None:
        async with asking(Operator(status, body)) as webhook:
            assert await refusal(webhook) == text

    run(story())


def test_the_webhook_is_asked_each_time_so_a_no_counts_at_once() -> None:
    async def story() -> None:
        operator = Operator(body=PRICED)
        async with asking(operator) as webhook:
            await webhook.authenticate(SENDER)
            await webhook.authenticate(SENDER)
            assert len(operator.asked) == 2
            operator.status = 403
            await refusal(webhook)
            assert webhook.cached_price(SENDER) is None
            operator.silent = True

    run(story())


def test_prices_are_remembered_for_half_an_hour_from_the_last_yes() -> None:
    async def story() -> None:
        clock = ManualClock()
        async with asking(Operator(body=PRICED), clock=clock) as webhook:
            await webhook.authenticate(SENDER)
            clock.advance(1000)
            await webhook.authenticate(SENDER)
            clock.advance(1799)
            assert webhook.cached_price(SENDER) == Price(7, 3)
            clock.advance(1)
            assert webhook.cached_price(SENDER) is None

    run(story())


def test_while_it_is_silent_those_let_in_before_stay_and_strangers_wait_outside() -> None:
    async def story() -> None:
        clock, operator = ManualClock(), Operator(body=PRICED)
        async with asking(operator, clock=clock, timeout_s=0.2) as webhook:
            await webhook.authenticate(SENDER)
            operator.silent = True
            clock.advance(1799)
            assert await webhook.authenticate(SENDER) == Price(7, 3)
            assert await refusal(webhook, STRANGER) == "webhook unavailable"
            clock.advance(1)
            assert await refusal(webhook) == "webhook unavailable"
            operator.silent = False
            operator.free.set()
            assert await webhook.authenticate(STRANGER) == Price(7, 3)

    with capture_logs() as logs:
        run(story())
    assert [(e["event"], e["log_level"]) for e in logs] == [
        ("auth webhook does not answer", "warning"),
        ("auth webhook answers again", "info"),
    ]


def test_an_outage_tells_peers_nothing_about_the_operators_network() -> None:
    async def story() -> str:
        async with raw_server(b"") as port:
            pass
        webhook = HttpAuthWebhook(url=f"http://127.0.0.1:{port}/secret-path", clock=ManualClock())
        try:
            return await refusal(webhook)
        finally:
            await webhook.close()

    assert run(story()) == "webhook unavailable"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999,
    ],
)
def test_broken_http_is_an_outage(answer: bytes) -> None:
    async def story() -> str:
        async with raw_server(answer) as port:
            webhook = HttpAuthWebhook(url=f"http://127.0.0.1:{port}/", clock=ManualClock())
            try:
                return await refusal(webhook)
            finally:
                await webhook.close()

    assert run(story()) == "webhook unavailable"


def test_an_endless_no_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=403)
        await response.prepare(request)
        try:
            while True:
                await response.write(b"no " * 1000)
        except ConnectionError:
            return response

    async def story() -> str:
        async with serving(endless) as port:
            webhook = HttpAuthWebhook(url=f"http://127.0.0.1:{port}/", clock=ManualClock())
            try:
                return await refusal(webhook)
            finally:
                await webhook.close()

    text = run(story())
    assert text.startswith("no no no")
    assert len(text) <= 1024


def test_the_webhooks_certificate_is_checked(tmp_path: Path) -> None:
    async def story() -> str:
        async with serving(Operator().answer, tls=self_signed(tmp_path)) as port:
            webhook = HttpAuthWebhook(url=f"https://127.0.0.1:{port}/", clock=ManualClock())
            try:
                return await refusal(webhook)
            finally:
                await webhook.close()

    assert run(story()) == "webhook unavailable"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_REMEMBERED", 2)

    async def story() -> None:
        async with asking(Operator(body=PRICED)) as webhook:
            senders = [Address(bytes([n]) * 20) for n in range(3)]
            for sender in senders:
                await webhook.authenticate(sender)
            assert [webhook.cached_price(s) for s in senders] == [None, Price(7, 3), Price(7, 3)]

    run(story())


def test_a_cancelled_caller_is_not_an_outage() -> None:
    async def story() -> None:
        operator = Operator()
        operator.silent = True
        async with asking(operator) as webhook:
            async with asyncio.TaskGroup() as group:
                call = group.create_task(webhook.authenticate(SENDER))
                await eventually(lambda: operator.asked, what="the call")
                call.cancel()
            assert call.cancelled()

    with capture_logs() as logs:
        run(story())
    assert logs == []
