"""The balancer of sessions over devices: known cases of video.md 7.12, and its laws under any order of events."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from baton.kernel.profiles import PRESETS, VideoProfile, session_cost_px_per_s
from baton.video.balancer import Balancer, DeviceLimits, DeviceUse, Placement

THREE = ("a", "b", "c")


def balancer(*, sessions: int = 0, px_per_s: int = 0, devices: tuple[str, ...] = THREE) -> Balancer:
    return Balancer(devices=devices, limits=DeviceLimits(sessions=sessions, px_per_s=px_per_s))


def place(it: Balancer, session: str, cost: int = 10, among: tuple[str, ...] = THREE) -> str | None:
    return it.place(session, cost_px_per_s=cost, among=among).device


@pytest.mark.parametrize(
    ("profile", "cost"),
    [
        (PRESETS["P720p30fps16x9"], 1280 * 720 * 30),
        (VideoProfile(name="passthrough", width=100, height=100, bitrate_bps=1), 100 * 100 * 30),
        (VideoProfile(name="ntsc", width=100, height=100, bitrate_bps=1, fps=30_000, fps_den=1001), 100 * 100 * 29),
        (VideoProfile(name="no denominator", width=10, height=10, bitrate_bps=1, fps=25), 10 * 10 * 25),
        (VideoProfile(name="unparsable", width=0, height=0, bitrate_bps=1, fps=25), 0),
    ],
    ids=lambda value: value.name if isinstance(value, VideoProfile) else "",
)
def test_the_cost_of_a_session_is_pixels_times_whole_frames_a_second(profile: VideoProfile, cost: int) -> None:
    assert session_cost_px_per_s((profile,)) == cost
    assert session_cost_px_per_s((profile, profile)) == 2 * cost


def test_equal_sessions_are_dealt_out_from_a_start_that_moves_on() -> None:
    it = balancer()
    assert [place(it, name) for name in "123456"] == ["a", "b", "c", "a", "b", "c"]


def test_the_strictly_smallest_load_wins_and_ties_go_to_the_first_from_the_start() -> None:
    it = balancer()
    assert place(it, "1", 100) == "a"
    assert place(it, "2", 1) == "b"
    assert place(it, "3", 1) == "c"
    # The start is at a again: b and c are equal, b is met first.
    assert place(it, "4", 1) == "b"
    assert place(it, "5", 1) == "c"
    # Sessions without a cost add no load; the start at c finds c and b equal, and c first.
    assert place(it, "6", 0) == "c"
    assert it.use("a") == DeviceUse(1, 100)


def test_a_session_stays_where_it_is_with_the_cost_it_came_with() -> None:
    it = balancer()
    first = place(it, "1", 10)
    for cost in (1, 1_000_000):
        assert place(it, "1", cost) == first
    assert it.use("a") == DeviceUse(1, 10)


def test_a_session_that_failed_gives_its_load_back_and_may_land_elsewhere() -> None:
    it = balancer()
    assert place(it, "1") == "a"
    assert it.end("1") == "a"
    assert it.use("a") == DeviceUse()
    assert place(it, "1") == "b"
    assert it.end("unknown") is None


def test_a_fresh_start_moves_the_session_and_its_load_to_the_least_loaded_device() -> None:
    it = balancer(devices=("a", "b"))
    place(it, "1", 10)
    place(it, "2", 5)
    place(it, "3", 30)
    assert (it.use("a"), it.use("b")) == (DeviceUse(1, 10), DeviceUse(2, 35))
    moved = it.place("2", cost_px_per_s=999, among=("a", "b"), reinit=True)
    assert moved == Placement("a", left="b")
    assert (it.use("a"), it.use("b")) == (DeviceUse(2, 15), DeviceUse(1, 30))
    # Its own load does not count against the device it is on: here it stays, and nothing has to be let go of.
    stays = it.place("3", cost_px_per_s=1, among=("a", "b"), reinit=True)
    assert stays == Placement("b")
    assert it.use("b") == DeviceUse(1, 30)


def test_limits_of_each_device_hold_by_number_and_by_load() -> None:
    it = balancer(sessions=1)
    assert [place(it, name) for name in "1234"] == ["a", "b", "c", None]
    assert not it.has_room(THREE)
    it.end("2")
    assert it.has_room(THREE)
    assert not it.has_room(("a", "c"))
    assert place(it, "4") == "b"
    by_load = balancer(px_per_s=100)
    assert place(by_load, "1", 101) is None
    assert place(by_load, "1", 100) == "a"
    assert not by_load.fits(1, ("a",))
    assert not by_load.has_room(("a",))
    assert place(by_load, "2", 60) == "b"
    assert by_load.fits(40, ("b",))
    assert not by_load.fits(41, ("b",))


def test_sessions_of_a_lost_device_find_room_elsewhere_as_far_as_there_is() -> None:
    it = balancer(sessions=2)
    for name in "12345":
        place(it, name)
    assert it.lose("a") == ("1", "4")
    assert it.use("a") == DeviceUse()
    assert place(it, "1", among=("b", "c")) == "c"
    assert place(it, "4", among=("b", "c")) is None
    assert place(it, "4") == "a"


def test_a_session_that_continues_another_takes_its_place_on_a_full_device() -> None:
    it = balancer(devices=("a",), sessions=1, px_per_s=10)
    place(it, "old", 10, ("a",))
    it.succeed("old", "new")
    assert it.use("a") == DeviceUse(1, 10)
    assert place(it, "new", 999, ("a",)) == "a"
    # The old one finishes what it has, and its end takes nothing away.
    assert place(it, "old", 999, ("a",)) == "a"
    assert it.end("old") == "a"
    assert it.use("a") == DeviceUse(1, 10)
    it.succeed("unknown", "new")
    assert it.end("new") == "a"
    assert it.use("a") == DeviceUse()


SESSIONS = st.sampled_from([f"s{n}" for n in range(12)])
DEVICES = ("d0", "d1", "d2", "d3")


class BalancerMachine(RuleBasedStateMachine):
    """Any order of placing, ending, failing, losing and continuing; a plain model keeps the books."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = DeviceLimits(sessions=4, px_per_s=1000)
        self.balancer = Balancer(devices=DEVICES, limits=self.limits)
        self.seats: dict[str, tuple[str, int, bool]] = {}
        self.among = set(DEVICES)

    def load(self, device: str, *, without: str = "") -> int:
        return sum(cost for s, (d, cost, _) in self.seats.items() if d == device and s != without)

    def number(self, device: str, *, without: str = "") -> int:
        return sum(counted for s, (d, _, counted) in self.seats.items() if d == device and s != without)

    @rule(session=SESSIONS, cost=st.integers(0, 400), reinit=st.booleans())
    def place(self, session: str, cost: int, reinit: bool) -> None:  # noqa: FBT001 -- drawn by the machine
        before = self.seats.get(session)
        answer = self.balancer.place(session, cost_px_per_s=cost, among=self.among, reinit=reinit)
        if before is not None and before[0] in self.among and not reinit:
            assert answer == Placement(before[0])
            return
        cost, counted = (before[1], before[2]) if before is not None else (cost, True)
        self.seats.pop(session, None)
        takers = [
            device
            for device in self.among
            if not counted or (self.number(device) < 4 and self.load(device) + max(cost, 1) <= 1000)
        ]
        assert answer.left == (before[0] if before is not None and before[0] != answer.device else None)
        if not takers:
            assert answer.device is None
            return
        assert answer.device in takers
        assert self.load(answer.device) == min(map(self.load, takers))
        self.seats[session] = (answer.device, cost, counted)

    @rule(session=SESSIONS)
    def end(self, session: str) -> None:
        seat = self.seats.pop(session, None)
        assert self.balancer.end(session) == (seat[0] if seat is not None else None)

    @rule(device=st.sampled_from(DEVICES))
    def lose(self, device: str) -> None:
        self.among.discard(device)
        lost = [session for session, seat in self.seats.items() if seat[0] == device]
        assert sorted(self.balancer.lose(device)) == sorted(lost)
        for session in lost:
            del self.seats[session]

    @rule(device=st.sampled_from(DEVICES))
    def recover(self, device: str) -> None:
        self.among.add(device)

    @rule(before=SESSIONS, after=SESSIONS)
    def succeed(self, before: str, after: str) -> None:
        self.balancer.succeed(before, after)
        seat = self.seats.get(before)
        if seat is not None and before != after:
            self.seats[after] = seat
            self.seats[before] = (seat[0], 0, False)

    @invariant()
    def books_agree_and_limits_hold(self) -> None:
        for device in DEVICES:
            use = self.balancer.use(device)
            assert use == DeviceUse(self.number(device), self.load(device))
            assert use.sessions <= self.limits.sessions
            assert use.load_px_per_s <= self.limits.px_per_s
        for session, seat in self.seats.items():
            assert self.balancer.device_of(session) == seat[0]

    @invariant()
    def room_is_where_a_session_would_be_placed(self) -> None:
        full = [d for d in self.among if self.number(d) >= self.limits.sessions or self.load(d) >= self.limits.px_per_s]
        assert self.balancer.has_room(self.among) == (len(full) < len(self.among))


BalancerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestBalancer = BalancerMachine.TestCase
