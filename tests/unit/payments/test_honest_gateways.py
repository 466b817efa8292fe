"""An honest gateway is never refused: whatever it asks for, in whatever order things come, fail or cost more.

The gateway is the peer's own, which shares no code with the node; between the two travel the bytes of the wire.
"""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from baton.jobs.messages import AuthToken, OrchestratorInfo
from baton.jobs.paid import TicketPayments
from baton.jobs.ports import Admitted
from baton.kernel.capabilities import Capabilities
from baton.kernel.clock import ManualClock
from baton.kernel.ids import Address, SessionId
from baton.kernel.metrics import SilentMetrics
from baton.kernel.profiles import VideoProfile, estimated_px
from baton.payments.facevalue import Economics
from baton.payments.ports import AccountKey
from baton.payments.prices import PriceTable
from baton.payments.quoting import Quoting
from baton.payments.recipient import Recipient
from baton.wire import codec
from tests.payments.memory import FixedGas, FixedRounds, FixedSecrets, FixedSenders, MemoryPaymentStore
from tests.peer.keys import VECTOR_KEY
from tests.peer.paying import PeerSession, Spent, fee_estimate, price_of
from tests.peer.pb import lp_rpc_pb2 as pb
from tests.peer.segments import make_profile

ME = Address(bytes([7]) * 20)
SENDER = Address(VECTOR_KEY.address)
SESSION = SessionId("session")
TOKEN = AuthToken(bytes(32), SESSION, 2_000_000_000)


@dataclass
class Flight:
    """One segment on its way: its payment, then its hold, then its pixels."""

    spent: Spent
    profiles: tuple[pb.VideoProfile, ...]
    duration_ms: int
    fails: bool
    info: pb.OrchestratorInfo | None = None
    held: Admitted | None = None
    pixels: int | None = None


@dataclass
class Story:
    """A node and a gateway in one session; the test decides what happens next."""

    price: Fraction
    ratio: Fraction
    """What a ticket is worth for each wei that a second of video costs."""
    shape: Fraction
    """Pixels of the source's shape for each pixel of the shape that was asked for."""
    ladder: list[tuple[int, int, int]]
    clock: ManualClock = field(default_factory=ManualClock)
    sent: list[Flight] = field(default_factory=list)
    at_work: list[Flight] = field(default_factory=list)
    answered: list[Flight] = field(default_factory=list)
    lost: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        self.economics = self.worth(self.ratio)
        parts = {"rounds": FixedRounds(), "secrets": FixedSecrets()}
        quoting = Quoting(
            recipient=ME,
            prices=lambda: PriceTable(default=self.price),
            economics=lambda: self.economics,
            gas=FixedGas(),
            overhead_most=Fraction(3, 2),
            **parts,  # type: ignore[arg-type]  # by name
        )
        self.recipient = Recipient(
            recipient=ME,
            quoting=quoting,
            senders=FixedSenders(),
            store=MemoryPaymentStore(now=self.clock.now),
            pending_wei=lambda _sender: 0,
            clock=self.clock,
            **parts,  # type: ignore[arg-type]  # by name
        )
        self.payments = TicketPayments(recipient=self.recipient, metrics=SilentMetrics())

    def worth(self, ratio: Fraction) -> Economics:
        """Tickets worth so much of a second of video."""
        second = sum(w * h * (fps or 60) for w, h, fps in self.ladder) * self.price
        return Economics(ev_wei=max(1, int(second * ratio)), redeem_gas=1_200_000)

    async def info(self) -> pb.OrchestratorInfo:
        quote = await self.payments.quote(sender=SENDER, session_id=SESSION, capabilities=None)
        told = OrchestratorInfo(
            transcoder="https://127.0.0.1",
            address=ME,
            capabilities=Capabilities(),
            auth_token=TOKEN,
            ticket_params=quote.ticket_params,
            price=quote.price,
        )
        return pb.OrchestratorInfo.FromString(codec.encode_orchestrator_info(told))

    async def begin(self) -> None:
        self.gateway = PeerSession(VECTOR_KEY, await self.info())

    async def step(self, step: "Step") -> None:
        """What happens next; nothing where there is nothing it could happen to."""
        what, which, duration_ms, fails = step
        if what == "send" and len(self.sent) + len(self.at_work) + len(self.answered) < MOST_UNDER_WAY:
            self.send(duration_ms, fails=fails)
        elif what == "arrive" and self.sent:
            await self.arrive(which)
        elif what == "work" and self.at_work:
            await self.work(which)
        elif what == "hear" and self.answered:
            self.hear(which)
        elif what == "ev":
            self.economics = self.worth(self.ratio * Fraction(1 + which, 3))
        elif what == "wait":
            self.clock.advance(0.5)

    async def finish(self) -> None:
        """Everything under way comes to its end."""
        while self.sent:
            await self.arrive(0)
        while self.at_work:
            await self.work(0)
        while self.answered:
            self.hear(0)

    def send(self, duration_ms: int, *, fails: bool) -> None:
        profiles = tuple(make_profile(f"p{n}", w, h, 1000, fps) for n, (w, h, fps) in enumerate(self.ladder))
        price = price_of(self.gateway.info)
        spent = self.gateway.pay(fee_estimate(profiles, duration_ms=duration_ms, price=price))
        self.sent.append(Flight(spent, profiles, duration_ms, fails))

    async def arrive(self, which: int) -> None:
        flight = self.sent.pop(which % len(self.sent))
        flight.info = await self.info()
        flight.held = await self.payments.accept(
            payment=codec.decode_payment(flight.spent.payment.SerializeToString()),
            session_id=SESSION,
            estimated_px=estimate(flight),
        )
        self.at_work.append(flight)

    async def work(self, which: int) -> None:
        flight = self.at_work.pop(which % len(self.at_work))
        assert flight.held is not None
        if flight.fails:
            await self.payments.release(flight.held)
        else:
            flight.pixels = int(estimate(flight) * self.shape)
            await self.payments.settle(flight.held, pixels=flight.pixels)
        self.answered.append(flight)

    def hear(self, which: int) -> None:
        flight = self.answered.pop(which % len(self.answered))
        if flight.pixels is None:
            self.lost += flight.spent.existing + flight.spent.fresh
        else:
            self.gateway.settle(flight.spent, pixels=flight.pixels)
        assert flight.info is not None
        self.gateway.learn(flight.info)


def estimate(flight: Flight) -> int:
    profiles = tuple(
        VideoProfile(name=p.name, width=p.width, height=p.height, bitrate_bps=1000, fps=p.fps) for p in flight.profiles
    )
    return estimated_px(profiles, duration_ms=flight.duration_ms)


SHAPES = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(4, 3), Fraction(256, 81)])
RATIOS = st.sampled_from([Fraction(1, 8), Fraction(1, 3), Fraction(1), Fraction(3), Fraction(10)])
SIZES = st.lists(
    st.sampled_from([(0, 720, 30), (256, 144, 30), (426, 240, 30), (640, 360, 0), (1280, 720, 60)]),
    min_size=1,
    max_size=3,
)
Step = tuple[str, int, int, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "arrive", "arrive", "work", "work", "hear", "hear", "ev", "wait"]),
        st.integers(0, 4),
        st.integers(1, 6000),
        st.booleans(),
    ),
    min_size=10,
    max_size=60,
)
MOST_UNDER_WAY = 5


@settings(max_examples=40)  # signatures are slow
@given(
    price=st.fractions(min_value=Fraction(1, 1000), max_value=3000, max_denominator=10**6),
    ratio=RATIOS,
    shape=SHAPES,
    ladder=SIZES,
    steps=STEPS,
)
def test_honest_gateway_is_never_refused_and_both_books_agree(
    price: Fraction, ratio: Fraction, shape: Fraction, ladder: list[tuple[int, int, int]], steps: list[Step]
) -> None:
    async def told() -> None:
        story = Story(price, ratio, shape, ladder)
        await story.begin()
        for step in steps:
            await story.step(step)
        await story.finish()
        state = story.recipient.ledger.state(AccountKey(SENDER, SESSION))
        ours = state.balance_wei if state is not None else Fraction(0)
        assert ours == story.gateway.credit + story.lost
        assert story.recipient.ledger.holds(AccountKey(SENDER, SESSION)) == 0

    asyncio.run(told())
