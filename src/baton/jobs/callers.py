"""Who is asking: the name by which a caller is known from one request to the next.

On a node that verifies signatures it is the sender's address. Off-chain a claimed address proves nothing, so it is the
network address the request came from, without its port.
"""

from baton.jobs.ports import SenderCheck
from baton.kernel.ids import Address, to_checksum_hex

__all__ = ["caller_name"]


def caller_name(senders: SenderCheck, *, sender: Address, peer_host: str) -> str:
    """The caller behind a request from ``peer_host`` that claims to be ``sender`` and passed the signature check."""
    return to_checksum_hex(sender) if senders.identifies_senders else peer_host
