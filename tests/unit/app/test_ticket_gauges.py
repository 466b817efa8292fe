import asyncio
from pathlib import Path
from typing import Any

import pytest

from baton.app import ticket_gauges
from baton.app.ticket_gauges import TicketGauges
from baton.kernel.ids import Address
from baton.payments.ticket import Ticket, WinningTicket
from baton.storage.database import Database
from baton.storage.schema import TicketState
from baton.storage.winners import TicketStore
from tests.support import eventually, run


class Heard:
    """Satisfies ``Metrics``: the last value of each name, and everything observed."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.observed: list[str] = []

    def set(self, name: str, value: float, **_labels: str) -> None:
        self.values[name] = value

    def add(self, name: str, amount: float = 1.0, **_labels: str) -> None:
        self.values[name] = self.values.get(name, 0.0) + amount

    def observe(self, name: str, _value: float, **_labels: str) -> None:
        self.observed.append(name)

    def forget_stream(self, manifest_id: str) -> None:
        del manifest_id


def winner(nonce: int) -> WinningTicket:
    ticket = Ticket(Address(bytes(20)), Address(bytes(20)), 3 * 10**9, 5, nonce, bytes(32), 1, bytes(32))
    return WinningTicket(ticket, bytes(65), 1, 1)


def test_what_waits_is_counted_and_commits_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_gauges, "_EVERY_S", 0.01)

    async def story() -> None:
        heard: Any = Heard()
        database = Database.open(tmp_path / "money", metrics=heard)
        store = TicketStore(database, now=lambda: 1.0)
        await store.add((winner(1), winner(2)), won_at_s=1.0)
        gauges = TicketGauges(store=store, metrics=heard)
        service = asyncio.ensure_future(gauges.run())
        await eventually(lambda: heard.values.get("tickets_pending") == 2, what="both are counted")
        assert heard.values["tickets_pending_value"] == 6.0
        await store.move(winner(1).ticket.hash, TicketState.REDEEMED)
        await eventually(lambda: heard.values["tickets_pending"] == 1, what="one is left")
        assert heard.values["database_waiting"] in {0, 1}
        assert "database_commit_time_seconds" in heard.observed
        await database.close()
        service.cancel()
        with pytest.raises(asyncio.CancelledError):
            await service

    run(story())
