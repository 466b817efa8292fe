"""Secrets behind ticket terms: quotes outlive restarts and changes for as long as they may come back."""

import itertools
import stat
from pathlib import Path

import pytest

from baton.jobs.tokens import TokenKeys, TokenMint
from baton.kernel.clock import ManualClock
from baton.payments.commitment import Terms, recipient_rand
from baton.payments.errors import Fault
from baton.payments.ports import TicketSecrets
from baton.payments.quoting import PARAMS_LIFETIME_BLOCKS
from baton.payments.validation import EXPIRY_GRACE_BLOCKS
from baton.storage.cluster import derived
from baton.storage.secrets import ClusterTokenSecrets
from baton.storage.ticket_secrets import ClusterTicketSecrets, TicketSecretFile
from tests.payments.gatewayside import Sender
from tests.payments.nodes import running
from tests.support import run

GATEWAY = Sender()
OLD, NEW, OTHER = ("old" * 11, "new" * 11, "other" * 7)
BLOCK_S = 12.0


def test_a_quote_is_good_over_a_restart_and_a_change_until_it_has_expired(tmp_path: Path) -> None:
    path, money = tmp_path / "ticket-secrets.json", tmp_path / "money"

    async def story() -> None:
        clock = ManualClock()
        first = TicketSecretFile.load(path, clock=clock)
        async with running(money, clock=clock, secrets=first, shared=False) as node:
            offer = await node.recipient.offer(GATEWAY.address, "k")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        clock.advance(TicketSecretFile.ROTATE_AFTER_S)
        again = TicketSecretFile.load(path, clock=clock)
        assert again.current == first.current
        assert await again.rotate_if_due()
        clock.advance(TicketSecretFile.OVERLAP_S - 1)
        async with running(money, clock=clock, secrets=TicketSecretFile.load(path, clock=clock), shared=False) as node:
            assert (await node.recipient.receive(GATEWAY.pay(offer, 1), "k")).error is None
            clock.advance(1)
            refused = (await node.recipient.receive(GATEWAY.pay(offer, 2), "k")).error
            assert refused is not None
            assert refused.fault is Fault.RECIPIENT_RAND

    run(story())


def test_the_overlap_covers_the_life_of_a_quote_though_blocks_are_missed() -> None:
    blocks = PARAMS_LIFETIME_BLOCKS + EXPIRY_GRACE_BLOCKS
    assert 7 * blocks * BLOCK_S <= TicketSecretFile.OVERLAP_S


def test_all_are_the_current_one_and_those_that_count(tmp_path: Path) -> None:
    async def story() -> None:
        clock = ManualClock()
        secrets = TicketSecretFile.load(tmp_path / "s", clock=clock)
        port: TicketSecrets = secrets
        first = port.current
        assert list(port.all) == [first]
        clock.advance(TicketSecretFile.ROTATE_AFTER_S)
        assert await secrets.rotate_if_due()
        both = port.all
        assert list(both) == [port.current, first]
        clock.advance(TicketSecretFile.OVERLAP_S)
        assert list(port.all) == [both[0]]

    run(story())


def test_nodes_of_a_cluster_have_the_same_secrets_and_nobody_else() -> None:
    one: TicketSecrets = ClusterTicketSecrets((NEW,))
    two: TicketSecrets = ClusterTicketSecrets((OLD, NEW))
    assert one.current == two.all[1] != two.current
    assert two.all == (two.current, one.current)
    assert len({*two.all, *ClusterTicketSecrets((OTHER,)).all}) == 3
    assert all(len(secret) == 32 for secret in two.all)
    with pytest.raises(ValueError, match="no cluster secret"):
        ClusterTicketSecrets(())


def test_keys_of_different_purposes_have_nothing_in_common() -> None:
    assert ClusterTicketSecrets((OLD,)).current != ClusterTokenSecrets((OLD,)).current
    assert derived((OLD,), purpose=b"a") != derived((OLD,), purpose=b"b")


def test_a_cluster_changes_its_secret_in_three_steps_without_losing_a_quote_or_a_stream() -> None:
    # Every node accepts the new one, then quotes by it, then drops the old one; at each step nodes differ by one step.
    steps = ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,))
    clock = ManualClock()
    terms = Terms(GATEWAY.address, 10**16, 5, 1, 2, 3, 4, bytes(32))  # type: ignore[arg-type]  # a whole price
    for before, after in itertools.pairwise(steps):
        for giver, taker in ((before, after), (after, before)):
            number = recipient_rand(ClusterTicketSecrets(giver).current, terms)
            assert number in {recipient_rand(secret, terms) for secret in ClusterTicketSecrets(taker).all}
            keys: TokenKeys = ClusterTokenSecrets(giver)
            token = TokenMint(keys=keys, clock=clock).issue(caller="gateway")
            assert TokenMint(keys=ClusterTokenSecrets(taker), clock=clock).matches(token)


def test_the_secret_is_in_no_text_about_it(tmp_path: Path) -> None:
    secrets = TicketSecretFile.load(tmp_path / "s", clock=ManualClock())
    cluster = ClusterTicketSecrets((OLD,))
    shown = f"{secrets!r}{secrets}{secrets._secrets!r}{cluster!r}"
    assert secrets.current.hex() not in shown
    assert OLD not in shown
