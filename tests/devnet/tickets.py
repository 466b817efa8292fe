"""Tickets as gateways make them, for the devnet's own suite: hash and signature computed here, not by Baton."""

from dataclasses import dataclass, replace
from typing import Self

import coincurve

from baton.devnet import Account, Devnet
from tests.devnet.evm import Evm, Log, keccak

__all__ = ["ALWAYS", "REDEEM", "TICKET", "Ticket", "redeem", "ticket_hash"]

TICKET = "(address,address,uint256,uint256,uint256,bytes32,bytes)"
REDEEM = f"redeemWinningTicket({TICKET},bytes,uint256)"
ALWAYS = 2**256 - 1
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def ticket_hash(fields: tuple[bytes, bytes, int, int, int, bytes, bytes]) -> bytes:
    """Of a ticket's fields in their order."""
    recipient, sender, face_value, win_prob, nonce, rand_hash, aux_data = fields
    numbers = b"".join(number.to_bytes(32, "big") for number in (face_value, win_prob, nonce))
    return keccak(recipient + sender + numbers + rand_hash + aux_data)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket, its signature and the preimage that wins."""

    key: bytes
    recipient: bytes
    sender: bytes
    aux_data: bytes
    face_value: int = 10**18
    win_prob: int = ALWAYS
    nonce: int = 1
    rand: int = 0xABCDEF
    rand_hash: bytes | None = None

    @classmethod
    def of(cls, chain: Devnet, evm: Evm, **changes: object) -> Self:
        """A ticket of the first gateway to the first orchestrator in the current round, as far as not changed."""
        number = evm.read("rounds_manager", "lastInitializedRound()")
        block_hash = evm.read("rounds_manager", "blockHashForRound(uint256)", number, returns="bytes32")
        gateway = chain.accounts.gateway
        ticket = cls(
            key=gateway.private_key,
            recipient=chain.accounts.orchestrator.address,
            sender=gateway.address,
            aux_data=number.to_bytes(32, "big") + block_hash,
        )
        return replace(ticket, **changes)  # type: ignore[arg-type]  # names are the fields'

    @property
    def fields(self) -> tuple[bytes, bytes, int, int, int, bytes, bytes]:
        rand_hash = self.rand_hash or keccak(self.rand.to_bytes(32, "big"))
        return (
            *(self.recipient, self.sender),
            *(self.face_value, self.win_prob, self.nonce),
            *(rand_hash, self.aux_data),
        )

    @property
    def hash(self) -> bytes:
        return ticket_hash(self.fields)

    @property
    def signature(self) -> bytes:
        digest = keccak(b"\x19Ethereum Signed Message:\n32" + self.hash)
        signed = coincurve.PrivateKey(self.key).sign_recoverable(digest, hasher=None)
        return signed[:64] + bytes([signed[64] + 27])

    @property
    def malleated(self) -> bytes:
        """The other signature that the same key could have made."""
        signature = self.signature
        s = _ORDER - int.from_bytes(signature[32:64], "big")
        return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])

    @property
    def draw(self) -> int:
        return int.from_bytes(keccak(self.signature + self.rand.to_bytes(32, "big")), "big")


def redeem(evm: Evm, by: Account, ticket: Ticket, signature: bytes | None = None) -> tuple[Log, ...]:
    """The events of its redemption."""
    return evm.send(by, "ticket_broker", REDEEM, ticket.fields, signature or ticket.signature, ticket.rand)
