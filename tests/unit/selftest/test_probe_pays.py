"""``baton probe --pay``: an honest paid orchestrator passes, and each lie about money fails the row that names it."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from baton.jobs.messages import OrchestratorInfo, Price
from baton.selftest import probe
from baton.selftest.checks import Verdict
from baton.selftest.parties import Endpoint, GatewayKey
from baton.selftest.paying import TermsOnly
from baton.selftest.probing import ProbeResult, run_probe
from baton.selftest.report import SilentProgress
from tests.unit.selftest.fake_orchestrator import Behaviour, FakeOrchestrator
from tests.unit.selftest.made import Fixture
from tests.unit.selftest.test_paying import PARAMS
from tests.unit.selftest.test_probe import PROFILES, failures

KEY = GatewayKey.from_private_key(bytes([0x46]) * 32)
Terms = Callable[[OrchestratorInfo], OrchestratorInfo]


def selling(*, price: Callable[[int], int] = lambda _: 1200, fresh: bool = True) -> Terms:
    """Terms of a paid orchestrator; ``price`` is that of its n-th answer."""
    numbers = itertools.count()

    def info(honest: OrchestratorInfo) -> OrchestratorInfo:
        number = next(numbers)
        rand_hash = (number if fresh else 0).to_bytes(32, "big")
        return replace(
            honest, price=Price(price(number), 1), ticket_params=replace(PARAMS, recipient_rand_hash=rand_hash)
        )

    return info


def pay(fixture: Fixture, folder: Path, info: Terms) -> tuple[ProbeResult, FakeOrchestrator]:
    fake = FakeOrchestrator(fixture.renditions, Behaviour(signed=True, info=info))

    async def told() -> ProbeResult:
        async with fake.serving(folder):
            return await run_probe(
                endpoint=Endpoint.parse(fake.uri),
                key=KEY,
                video=fixture.clip,
                profiles=PROFILES,
                limit_s=30,
                progress=SilentProgress(),
                payer=TermsOnly(),
            )

    return asyncio.run(told()), fake


@pytest.mark.media
def test_honest_paid_orchestrator_passes(streamed_clip: Fixture, tmp_path: Path) -> None:
    result, fake = pay(streamed_clip, tmp_path, selling())
    assert failures(result) == {}
    rows = {check.name: check for check in result.checks}
    assert rows["ticket terms"].verdict is Verdict.PASS
    assert rows["payments"].reason.startswith(("1 tickets worth 8000000000 wei", "2 tickets worth 16000000000 wei"))
    assert fake.seen.segments


@pytest.mark.media
@pytest.mark.parametrize(
    ("info", "row", "reason"),
    [
        (selling(fresh=False), "payments", "the same ticket parameters came twice"),
        (selling(price=lambda n: 1200 + n), "payments", "the price of a running session rose"),
        (selling(price=lambda n: 1200 * 3**n), "segments", "Orchestrator price has more than doubled"),
        (
            lambda i: replace(i, price=Price(1200, 1), ticket_params=replace(PARAMS, win_prob=b"\xff" * 32)),
            "ticket terms",
            "a gateway would refuse them: ticket faceValue too low",
        ),
        (
            lambda i: replace(i, price=Price(2**62, 1), ticket_params=PARAMS),
            "segments",
            "total ticket EV",
        ),
    ],
    ids=["terms twice", "price rises", "price trebles", "face value too low", "dear"],
)
def test_lie_about_money_fails_its_row(
    streamed_clip: Fixture, tmp_path: Path, info: Terms, row: str, reason: str
) -> None:
    result, _ = pay(streamed_clip, tmp_path, info)
    assert reason in failures(result)[row]


@pytest.mark.parametrize("missing", ["--file", "--key-file"])
def test_paying_needs_a_file_and_a_key(tmp_path: Path, missing: str) -> None:
    given = {"--file": tmp_path / "film", "--key-file": tmp_path / "key"}
    arguments = []
    for name, path in given.items():
        path.write_text("46" * 32)
        if name != missing:
            arguments += [name, str(path)]
    result = CliRunner().invoke(probe.command, ["https://o.example", "--pay", *arguments])
    assert result.exit_code == 2
    assert "--pay" in result.output
