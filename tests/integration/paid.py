"""A service port that is paid: real tickets, accounts and winners in SQLite, and a chain that the test moves by hand.

Everything from TLS to the database is the real thing; only rounds, deposits and gas prices are held in memory. The
engine makes renditions of as many pixels as the test says, and waits where the test wants it to.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from baton.jobs.offchain import SignatureCheck
from baton.jobs.paid import TicketPayments
from baton.jobs.ports import Payments, SenderCheck
from baton.kernel.clock import SystemClock
from baton.kernel.errors import BatonError
from baton.kernel.ids import Address
from baton.kernel.metrics import SilentMetrics
from baton.media.job import RenditionOutput, TranscodeOutput, TranscodeRequest
from baton.payments.facevalue import Economics
from baton.payments.ports import AccountKey, AccountState
from baton.payments.prices import PriceTable
from baton.payments.quoting import Quoting
from baton.payments.recipient import Recipient
from baton.storage.accounts import AccountStore
from baton.storage.database import Database
from baton.storage.winners import TicketStore
from tests.integration.scripted import Port, serving
from tests.node import eventually as wait_until
from tests.payments.memory import FixedGas, FixedRounds, FixedSecrets, FixedSenders
from tests.peer.gateway import Answer, PeerGateway
from tests.peer.keys import VECTOR_KEY
from tests.peer.paying import PeerSession, Spent, fee_estimate, price_of
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import SegmentPost, preset
from tests.support import eventually

__all__ = [
    "BODY",
    "EV_WEI",
    "ME",
    "PRICE",
    "SMALL",
    "Chain",
    "Money",
    "PaidPort",
    "PricedEngine",
    "Till",
    "done",
    "paid_port",
]

ME = Address(VECTOR_KEY.address)
EV_WEI = 8_000_000_000
PRICE = Fraction(1200)
BODY = b"the engine of these tests looks at no picture"
SMALL = (preset("P144p30fps16x9"),)
_STORE_BYTES = 50_000_000


class AheadClock(SystemClock):
    """The system's clock, and as far ahead of it as a test wants."""

    def __init__(self) -> None:
        """Right so far."""
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return super().monotonic() + self.ahead_s


@dataclass
class Chain:
    """What the node sees of the chain, and how its operator asks for money; tests change it while the port serves."""

    rounds: FixedRounds = field(default_factory=FixedRounds)
    senders: FixedSenders = field(default_factory=FixedSenders)
    gas: FixedGas = field(default_factory=FixedGas)
    secrets: FixedSecrets = field(default_factory=FixedSecrets)
    prices: PriceTable = field(default_factory=lambda: PriceTable(default=PRICE))
    economics: Economics = field(default_factory=lambda: Economics(ev_wei=EV_WEI, redeem_gas=1_200_000))
    clock: AheadClock = field(default_factory=AheadClock)
    """What the recipient goes by; it only ever goes forward."""


class Money:
    """Satisfies the port's ``Money`` with tickets over a database in ``folder``."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        """The database is opened here and loaded in ``open``."""
        folder.mkdir(parents=True, exist_ok=True)
        clock = chain.clock
        self._database = Database.open(f"sqlite:///{folder / 'money.sqlite3'}")
        self.store = AccountStore(self._database, now=clock.now)
        self.tickets = TicketStore(self._database, now=clock.now)
        quoting = Quoting(
            recipient=ME,
            prices=lambda: chain.prices,
            economics=lambda: chain.economics,
            rounds=chain.rounds,
            gas=chain.gas,
            secrets=chain.secrets,
            overhead_most=Fraction(3, 2),
        )
        self.recipient = Recipient(
            recipient=ME,
            quoting=quoting,
            rounds=chain.rounds,
            senders=chain.senders,
            secrets=chain.secrets,
            store=self.store,
            pending_wei=lambda _sender: 0,
            clock=clock,
        )
        self.payments: Payments = TicketPayments(recipient=self.recipient, metrics=SilentMetrics())
        self.senders: SenderCheck = SignatureCheck()

    async def open(self) -> None:
        """Learn what is on record."""
        await self.recipient.load()

    async def close(self) -> None:
        """Finish what is being written."""
        await self.recipient.close()
        await self._database.close()


class PricedEngine:
    """Satisfies ``SegmentEngine``: renditions whose pixels ``pixels`` decides; raises ``error`` when there is one."""

    def __init__(self) -> None:
        """As after ``reset``."""
        self.pixels: Callable[[TranscodeRequest], Sequence[int]]
        self.frames: int
        self.error: BatonError | None
        self.started = 0
        self.go = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Every rendition has 1000 pixels, and nothing waits or fails."""
        self.pixels = lambda request: [1000] * len(request.profiles)
        self.frames = 1
        self.error = None
        self.go.set()

    def always(self, *pixels: int) -> None:
        """From now on renditions of so many pixels."""
        self.pixels = lambda _request: pixels

    def lasting(self, frames: int) -> None:
        """From now on renditions of so many frames, of the size that was asked for."""
        self.frames = frames
        self.pixels = lambda request: [frames * each.width * each.height for each in request.profiles]

    async def transcode(
        self, request: TranscodeRequest, *, deadline_s: float, content_hash: bytes, stream_key: str
    ) -> TranscodeOutput:
        """What the test says, once it says so."""
        del deadline_s, content_hash, stream_key
        self.started += 1
        await eventually(self.go.is_set, deadline_s=20, what="the test lets the engine go on")
        if self.error is not None:
            raise self.error
        outputs = tuple(
            RenditionOutput(data=bytes(100), pixels=pixels, frames=self.frames, width=each.width, height=each.height)
            for each, pixels in zip(request.profiles, self.pixels(request), strict=True)
        )
        return TranscodeOutput(renditions=outputs, decoded_px=4, decoded_frames=1, engine_ms=1)


class PaidPort(Port):
    """The port, its engine, its chain and its books."""

    def __init__(self, folder: Path, *, chain: Chain | None = None) -> None:
        """Another port on the same folder is the same node after a restart."""
        self.chain = chain if chain is not None else Chain()
        self.engine = PricedEngine()
        self.books = Money(folder / "books", self.chain)
        super().__init__(folder, engine=self.engine, money=self.books, store_bytes=_STORE_BYTES)
        self._first_offer = self.offered

    def reset(self) -> None:
        """Chain, operator and engine as they were at first."""
        fresh = Chain()
        for name in ("rounds", "senders", "gas", "secrets"):
            for part, first in vars(getattr(fresh, name)).items():
                setattr(getattr(self.chain, name), part, first)
        self.chain.prices, self.chain.economics = fresh.prices, fresh.economics
        self.engine.reset()
        self.offered = self._first_offer

    def account(self, sender: bytes, key: str) -> AccountState | None:
        """An account as it is on record."""
        return self.wait_for(self.books.store.account(AccountKey(Address(sender), key)))

    def balance(self, sender: bytes, key: str) -> Fraction:
        """Its balance; 0 for one that does not exist."""
        state = self.account(sender, key)
        return state.balance_wei if state is not None else Fraction(0)

    def holds(self, sender: bytes, key: str) -> int:
        """Work of it that is not settled."""
        return self.books.recipient.ledger.holds(AccountKey(Address(sender), key))


@dataclass
class Till:
    """One session of a peer gateway that pays as it goes."""

    port: PaidPort
    gateway: PeerGateway
    session: PeerSession
    profiles: tuple[pb.VideoProfile, ...] = SMALL
    seq: int = 0

    @classmethod
    def opened(cls, port: PaidPort, gateway: PeerGateway, **fields: object) -> "Till":
        """A fresh session."""
        return cls(port, gateway, PeerSession(gateway.key, gateway.get_orchestrator()), **fields)  # type: ignore[arg-type]  # passed on

    @property
    def session_id(self) -> str:
        """The name of the account."""
        return self.session.info.auth_token.session_id

    @property
    def balance(self) -> Fraction:
        """What the node has on record for it."""
        return self.port.balance(self.gateway.key.address, self.session_id)

    def post(self, payment: pb.Payment | None, *, duration_ms: int = 2000, body: bytes = BODY) -> SegmentPost:
        """The next segment with this payment."""
        post = self.gateway.compose(
            body, info=self.session.info, profiles=self.profiles, seq=self.seq, duration_ms=duration_ms
        )
        self.seq += 1
        if payment is not None:
            post.payment.CopyFrom(payment)
        return post

    def send(self, payment: pb.Payment | None, *, duration_ms: int = 2000, http2: bool = True) -> Answer:
        """Send the next segment with this payment, whatever it is."""
        return self.gateway.post(self.post(payment, duration_ms=duration_ms), http2=http2)

    def prepare(self, *, duration_ms: int = 2000) -> Spent:
        """An honest payment for the next segment."""
        fee = fee_estimate(self.profiles, duration_ms=duration_ms, price=price_of(self.session.info))
        return self.session.pay(fee)

    def finish(self, spent: Spent, answer: Answer) -> None:
        """Book what came back, as a gateway does."""
        if answer.status == 200 and not answer.error:
            self.session.settle(spent, pixels=sum(s.pixels for s in answer.result.data.segments))
        if answer.status == 200 and answer.result.HasField("info"):
            self.session.learn(answer.result.info)

    def pay_and_send(self, *, duration_ms: int = 2000, http2: bool = True) -> Answer:
        """One honest segment, booked."""
        spent = self.prepare(duration_ms=duration_ms)
        answer = self.send(spent.payment, duration_ms=duration_ms, http2=http2)
        self.finish(spent, answer)
        return answer

    def pay_and_get_info(self) -> pb.OrchestratorInfo:
        """The terms that come with the answer to an honest segment."""
        answer = self.pay_and_send()
        assert (answer.status, answer.error) == (200, ""), answer.text
        return answer.result.info

    def wait_holds(self, count: int) -> None:
        """Return once so many segments of the session hold their cost."""
        key = self.gateway.key.address
        wait_until(lambda: self.port.holds(key, self.session_id) == count, what=f"{count} segments hold their cost")


def done(pending: Sequence[Future[Answer]], count: int) -> list[Answer]:
    """The answers that came, once there are ``count``."""
    wait_until(lambda: sum(each.done() for each in pending) >= count, what=f"{count} answers")
    return [each.result() for each in pending if each.done()]


@contextmanager
def paid_port(folder: Path, *, chain: Chain | None = None) -> Iterator[PaidPort]:
    """A paid port that serves while the context lasts."""
    with serving(PaidPort(folder, chain=chain)) as port:
        yield port
