"""Redemption: the thirteen checks in their order, and what is paid (chain.md 4.3)."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_abi.abi import decode

from baton.devnet import BrokerRule, Devnet
from tests.devnet.evm import Evm, Reverted, keccak, split_types
from tests.devnet.tickets import ALWAYS, REDEEM, TICKET, Ticket, redeem, ticket_hash
from tests.support import run

ZERO = bytes(20)
ETHER = 10**18
REDEEMED = "c389eb51ed006dbf2528507f010efdf5225ea596e1e1741d74f550dab1925ee7"
TRANSFER = "8b87351a208c06e3ceee59d80725fd77a23b4129e1b51ca231fc89b40712649c"
RAND_HASH = bytes.fromhex("41b1a0649752af1b28b3dc29a1556eee781e4a4c3a1f7f53f90fa834de098c4d")
CALLDATA = (
    "ec8b3cb6000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000"
    "000000000000000000000001a046641fdc00b0da1c09807862f3a56fb300b94592be66ca46e1248a895eeaa2be00000000000000000000"
    "0000a5e37e0ba14655e92deff29f32adbc7d09b8a2cf0000000000000000000000003ee860a4aba830af84ebbce2b381fc11db8493e200"
    "0000000000000000000000000000000000000000000000002386f26fc1000000068db8bac710cb295e9e1b089a027525460aa64c2f837b"
    "4a233a4c6f8cf000000000000000000000000000000000000000000000000000000000000000000e5309662eee5608da45aaefe60433ad"
    "ec052acab8683dd12d78aad8a0192b3bec00000000000000000000000000000000000000000000000000000000000000e0000000000000"
    "00000000000000000000000000000000000000000000000000400000000000000000000000000000000000000000000000000000000000"
    "000653f3b1d2925fd1325a8a6ba8923fbe6de31dd93d9e85540eaf5a306f21177c3b8c0000000000000000000000000000000000000000"
    "00000000000000000000004190cb8a9280386cc77e9f3473bb87530cf9a1dbe5625013a9ed16675ad7607c800bf4e32ee4cc6b9c785e1c"
    "786c9965831a8216c408b251f98d6c18bf1bf4d1621c00000000000000000000000000000000000000000000000000000000000000"
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            (ZERO, ZERO, 0, 0, 4294967295, bytes(32), b""),
            "e1393fc7f6de093780674022f96cb8e3872235167d037c04d554e58c0e63d280",
        ),
        ((ZERO, ZERO, 0, 0, 1, bytes(32), b""), "ce0918ba94518293e9712effbe5fca4f1f431089833a5b8c257cb1e024595f68"),
        ((ZERO, ZERO, 1, 500, 0, bytes(32), b""), "87ef13f2d37e4d5352a01d3c77b8179d80e0887f1953bfabfd0bfd7b0f689ddd"),
        ((ZERO, ZERO, 500, 1, 0, bytes(32), b""), "aa4b35071043587992ac8b9dd1b2cf1d8311130e6458cf0b2342484e21af5f5b"),
        (
            (bytes.fromhex("73AEd7b5dEb30222fa896f399d46cC99c7BEe57F"), ZERO, 0, 0, 0, bytes(32), b""),
            "81e353ae39046e2b77b9f996abbaeed527fda559b61ef90f299c4499dd508ccc",
        ),
        ((ZERO, ZERO, 0, 0, 0, RAND_HASH, b""), "be5eaf9a49a39540b9bb02f1a21904f61324a29819e2c032824bfaa10c100b17"),
        (
            (ZERO, ZERO, 0, 0, 0, bytes(32), (10).to_bytes(32, "big") + RAND_HASH),
            "e502907c16036ab3d11b78c5a2e93c20f3d6415c67f91de4ed01348182b3b2e2",
        ),
    ],
    ids=str,
)
def test_contract_hashes_tickets_as_the_network_does(
    evm: Evm, fields: tuple[bytes, bytes, int, int, int, bytes, bytes], expected: str
) -> None:
    found = evm.read("ticket_broker", f"getTicketHash({TICKET})", fields, returns="bytes32")
    assert found.hex() == expected == ticket_hash(fields).hex()


def test_real_redemption_gets_as_far_as_its_round(evm: Evm) -> None:
    # A redemption of the real chain: everything before the round's hash holds, and that round is not ours.
    question = {"to": evm.address("ticket_broker"), "data": "0x" + CALLDATA}
    with pytest.raises(Reverted, match=r"^ticket creationRound does not have a block hash$"):
        evm.ask("eth_call", question, "latest")
    fields, signature, rand = decode(split_types(f"{TICKET},bytes,uint256"), bytes.fromhex(CALLDATA[8:]))
    found = evm.read("ticket_broker", f"getTicketHash({TICKET})", fields, returns="bytes32")
    assert found.hex() == "d5104bbecf755deaa03acf83486f2414d749f5e9d98b9feb9a0ad3791413f7e4"
    draw = keccak(signature + rand.to_bytes(32, "big")).hex()
    assert draw == "00048748a6c474056ae4994bbf827c769bfff306709b6a484140e4dfc8a93d65"


def test_winner_is_paid_from_the_deposit(devnet: Devnet, evm: Evm) -> None:
    ticket = Ticket.of(devnet, evm, face_value=3 * ETHER)
    logs = redeem(evm, devnet.accounts.spare[0], ticket)
    sender, recipient = int.from_bytes(ticket.sender, "big"), int.from_bytes(ticket.recipient, "big")
    assert [log.topic for log in logs] == [TRANSFER, REDEEMED]
    assert (logs[0].indexed, logs[0].words) == ((sender, recipient), (3 * ETHER,))
    assert logs[1].indexed == (sender, recipient)
    types = split_types("uint256,uint256,uint256,uint256,bytes")
    assert decode(types, logs[1].data) == (3 * ETHER, ALWAYS, 1, ticket.rand, ticket.aux_data)
    assert evm.read("ticket_broker", "usedTickets(bytes32)", ticket.hash, returns="bool")
    info = evm.read("ticket_broker", "getSenderInfo(address)", ticket.sender, returns="uint256,uint256,uint256,uint256")
    assert info == (7 * ETHER, 0, 10 * ETHER, 0)
    # 95 % at once, and 5 % by its share of the stake, which here is all of it.
    assert evm.read("bonding_manager", "pendingFees(address,uint256)", ticket.recipient, 0) == 3 * ETHER


class Scene:
    """A chain where every check fails at once, and each is put right from the first on."""

    def __init__(self, devnet: Devnet, evm: Evm, rule: BrokerRule) -> None:
        self.devnet, self.evm = devnet, evm
        run(devnet.use_broker_rule(rule))
        # An unlocked sender without funds, and a recipient that nobody registered.
        self.sender, self.recipient = devnet.accounts.spare[0], devnet.accounts.spare[1]
        run(devnet.fund_gateway(self.sender, deposit_wei=1))
        evm.send(self.sender, "ticket_broker", "unlock()")
        run(devnet.next_round(2))
        evm.send(self.sender, "ticket_broker", "withdraw()")
        good = Ticket.of(devnet, evm)
        self.aux_data = good.aux_data
        old_round = run(devnet.current_round()) - 2
        old_hash = evm.read("rounds_manager", "blockHashForRound(uint256)", old_round, returns="bytes32")
        self.expired = old_round.to_bytes(32, "big") + old_hash
        run(devnet.next_round(initialize=False))
        run(devnet.pause())
        self.ticket = Ticket(self.recipient.private_key, ZERO, ZERO, b"short", win_prob=0, rand=7, rand_hash=bytes(32))
        self.signature: bytes | None = b"short"

    def failure(self) -> str:
        """What redemption says now."""
        signature = self.ticket.signature if self.signature is None else self.signature
        with pytest.raises(Reverted) as caught:
            self.evm.send(
                self.devnet.accounts.spare[2], "ticket_broker", REDEEM, self.ticket.fields, signature, self.ticket.rand
            )
        return str(caught.value)

    def change(self, *, used: bool = False, **fields: object) -> None:
        """Another ticket; ``used`` marks it so by the word in storage, as if it had been redeemed."""
        self.ticket = replace(self.ticket, **fields)  # type: ignore[arg-type]  # names are the fields'
        if used:
            self.mark(1)

    def mark(self, word: int) -> None:
        slot = keccak(self.ticket.hash + (6).to_bytes(32, "big"))
        broker = self.evm.address("ticket_broker")
        self.evm.ask("anvil_setStorageAt", broker, "0x" + slot.hex(), "0x" + word.to_bytes(32, "big").hex())
        assert self.evm.read("ticket_broker", "usedTickets(bytes32)", self.ticket.hash, returns="bool") is bool(word)


def enough(scene: Scene) -> None:
    run(scene.devnet.fund_gateway(scene.sender, deposit_wei=ETHER))


def lock_again(scene: Scene) -> None:
    """The sender is locked again and has nothing: the word of its withdraw round is cleared."""
    slot = int.from_bytes(keccak(scene.sender.address.rjust(32, b"\0") + (4).to_bytes(32, "big")), "big") + 1
    scene.evm.ask("anvil_setStorageAt", scene.evm.address("ticket_broker"), hex(slot), "0x" + "00" * 32)
    assert not scene.evm.read("ticket_broker", "isUnlockInProgress(address)", scene.sender.address, returns="bool")


NO_FUNDS = {
    BrokerRule.ANY_FUNDS: "sender deposit and reserve are zero",
    BrokerRule.FULL_COVER: "sender deposit and reserve insufficient to cover ticket face value",
}
"""What the first step of each is about, and how it is put right."""


@pytest.mark.parametrize("rule", BrokerRule)
def test_checks_come_in_the_order_of_the_table(devnet: Devnet, evm: Evm, rule: BrokerRule) -> None:
    scene = Scene(devnet, evm, rule)
    winning = Ticket.of(devnet, evm)
    unknown_round = (2**40).to_bytes(32, "big") + bytes(32)
    wrong_hash = winning.aux_data[:32] + keccak(b"another")
    signer = scene.sender.private_key

    def next_round() -> None:
        # The round goes on being the one of ``aux_data`` plus one, so the good ticket is still valid.
        run(devnet.initialize_round())

    steps: list[tuple[str, Callable[[], object]]] = [
        ("system is paused", lambda: run(devnet.unpause())),
        ("current round is not initialized", next_round),
        ("ticket recipient is null address", lambda: scene.change(recipient=scene.recipient.address)),
        ("ticket sender is null address", lambda: scene.change(sender=scene.sender.address)),
        ("invalid length for ticket auxData: must be 64 bytes", lambda: scene.change(aux_data=unknown_round)),
        ("ticket creationRound does not have a block hash", lambda: scene.change(aux_data=wrong_hash)),
        ("ticket creationRoundBlockHash invalid for creationRound", lambda: scene.change(aux_data=scene.expired)),
        ("ticket is expired", lambda: scene.change(aux_data=scene.aux_data)),
        ("recipientRand does not match recipientRandHash", lambda: scene.change(rand_hash=None, used=True)),
        ("ticket is used", lambda: scene.mark(0)),
        ("INVALID_SIGNATURE_LENGTH", lambda: setattr(scene, "signature", scene.ticket.malleated)),
        ("ECDSA: invalid signature 's' value", lambda: setattr(scene, "signature", bytes(65))),
        ("ECDSA: invalid signature", lambda: setattr(scene, "signature", None)),
        ("invalid signature over ticket hash", lambda: scene.change(key=signer)),
        ("ticket did not win", lambda: scene.change(win_prob=ALWAYS)),
        ("sender is unlocked", lambda: lock_again(scene)),
        (NO_FUNDS[rule], lambda: enough(scene)),
        ("transcoder must be registered", lambda: scene.change(recipient=devnet.accounts.orchestrator.address)),
    ]
    for text, put_right in steps:
        assert scene.failure() == text
        put_right()
    assert [log.topic for log in redeem(evm, scene.recipient, scene.ticket)] == [TRANSFER, REDEEMED]


def test_v_of_a_signature_is_27_or_28(devnet: Devnet, evm: Evm) -> None:
    ticket = Ticket.of(devnet, evm)
    for v in (0, 1, 26, 29, 255):
        with pytest.raises(Reverted, match=r"^ECDSA: invalid signature$"):
            redeem(evm, devnet.accounts.spare[0], ticket, ticket.signature[:64] + bytes([v]))
    for length in (0, 64, 66):
        with pytest.raises(Reverted, match=r"^INVALID_SIGNATURE_LENGTH$"):
            redeem(evm, devnet.accounts.spare[0], ticket, (ticket.signature + b"\0")[:length] or b"\0")


def test_draw_decides_and_must_be_below_the_probability(devnet: Devnet, evm: Evm) -> None:
    # The probability is signed too, so each ticket has a draw of its own.
    half = [Ticket.of(devnet, evm, face_value=1, win_prob=2**255, nonce=nonce) for nonce in range(1, 17)]
    wins = [ticket.draw < 2**255 for ticket in half]
    for ticket, win in zip(half, wins, strict=True):
        if win:
            redeem(evm, devnet.accounts.spare[0], ticket)
        else:
            with pytest.raises(Reverted, match=r"^ticket did not win$"):
                redeem(evm, devnet.accounts.spare[0], ticket)
    assert len(set(wins)) == 2


def test_ticket_lives_for_two_rounds(devnet: Devnet, evm: Evm) -> None:
    first, second = (Ticket.of(devnet, evm, nonce=nonce) for nonce in (1, 2))
    run(devnet.next_round())
    redeem(evm, devnet.accounts.spare[0], first)
    run(devnet.next_round())
    with pytest.raises(Reverted, match=r"^ticket is expired$"):
        redeem(evm, devnet.accounts.spare[0], second)


def test_ticket_of_a_never_active_orchestrator_divides_by_zero(devnet: Devnet, evm: Evm) -> None:
    newcomer = devnet.accounts.spare[0]
    run(devnet.register_orchestrator(newcomer, stake_wei=ETHER))
    ticket = Ticket.of(devnet, evm, recipient=newcomer.address)
    with pytest.raises(Reverted, match=r"^Panic\(0x12\)$"):
        redeem(evm, newcomer, ticket)
    run(devnet.next_round())
    redeem(evm, newcomer, ticket)


def test_batch_pays_the_good_and_passes_over_the_bad(devnet: Devnet, evm: Evm) -> None:
    good, loser, other = (
        Ticket.of(devnet, evm, nonce=nonce, win_prob=win_prob) for nonce, win_prob in ((1, ALWAYS), (2, 0), (3, ALWAYS))
    )
    tickets = [good, loser, good, other]
    signature = f"batchRedeemWinningTickets({TICKET}[],bytes[],uint256[])"
    fields, signatures = [each.fields for each in tickets], [each.signature for each in tickets]
    logs = evm.send(
        devnet.accounts.spare[0], "ticket_broker", signature, fields, signatures, [each.rand for each in tickets]
    )
    assert [log.topic for log in logs] == [TRANSFER, REDEEMED] * 2
    used = [evm.read("ticket_broker", "usedTickets(bytes32)", each.hash, returns="bool") for each in tickets]
    assert used == [True, False, True, True]
    with pytest.raises(Reverted, match=r"^Panic\(0x32\)$"):
        evm.send(devnet.accounts.spare[0], "ticket_broker", signature, fields, signatures, [1])
