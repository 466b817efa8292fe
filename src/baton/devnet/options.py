"""What a devnet is like: its rounds, its clocks, its people and their money.

LPT and ETH amounts are whole numbers of 1e-18 (wei). Cuts and shares: 1,000,000 is all of it. The rules are those of
Arbitrum One (chain.md 1.3) with shorter rounds.
"""

import math
from dataclasses import dataclass

__all__ = ["ETHER_WEI", "DevnetOptions"]

ETHER_WEI = 10**18
_MIN_ROUND_LENGTH = 2
_MAX_PEOPLE = 1000
_MAX_PORT = 65535
_WHOLE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetOptions:
    """Everything that can be chosen. Raises ``ValueError`` for what cannot work."""

    port: int = 0
    """Port of the RPC endpoint on loopback; 0 takes a free one."""
    chain_id: int = 54321
    """An id that reference builds take for a test network. 42161 makes a node believe that this is Arbitrum One."""
    block_time_s: float | None = None
    """Time between blocks; None makes a block of each transaction at once and none between."""
    l1_block_time_s: float | None = None
    """Time between L1 blocks; None leaves the L1 clock to the script."""
    initialize_rounds: bool = False
    """Whether each round is initialized as soon as it begins. Only with a running L1 clock."""
    l1_start_block: int = 1_000_000
    """The first L1 block, moved down to a round's start."""
    round_length: int = 50
    """In L1 blocks. Ticket parameters live 40 L1 blocks and tickets two rounds, so shorter rounds starve redemption."""
    round_lock_amount: int = 100_000
    """Share at a round's end in which cuts cannot be changed."""
    pool_size: int = 100
    unbonding_period: int = 7
    """Rounds."""
    unlock_period: int = 2
    """Rounds until a sender may withdraw."""
    ticket_validity_period: int = 2
    """Rounds in which a ticket may be redeemed."""
    inflation: int = 250_000
    """Share of all LPT minted in the first round; 1e9 is all of it."""
    inflation_change: int = 500
    target_bonding_rate: int = 500_000_000
    treasury_reward_cut_rate: int = 10**26
    """1e27 is all of it."""
    treasury_balance_ceiling_wei: int = 750_000 * ETHER_WEI
    supply_wei: int = 25_000_000 * ETHER_WEI
    """LPT in the hands of the deployer at the start."""
    orchestrators: int = 1
    """Registered and active from the start, with ``stake_wei`` each."""
    stake_wei: int = 50_000 * ETHER_WEI
    reward_cut: int = 100_000
    fee_share: int = 50_000
    service_uri: str = "https://127.0.0.1:8935"
    """What the registries say of each orchestrator."""
    gateways: int = 2
    """Senders with a deposit and a reserve."""
    deposit_wei: int = 10 * ETHER_WEI
    reserve_wei: int = 10 * ETHER_WEI
    accounts: int = 4
    """Further accounts with ETH and nothing else."""
    balance_wei: int = 10_000 * ETHER_WEI
    """ETH of every account."""
    gas_price_wei: int = 100_000_000
    """What ``eth_gasPrice`` answers."""
    eth_usd: int = 3000 * 10**8
    """First answer of the price feed, 8 decimals."""

    def __post_init__(self) -> None:
        """Refuse what no chain could be made of."""
        problems = [
            text
            for text, wrong in (
                ("the port must lie between 0 and 65535", not 0 <= self.port <= _MAX_PORT),
                ("the chain id must be positive", self.chain_id <= 0),
                ("the block time must be positive", not _is_time(self.block_time_s)),
                ("the L1 block time must be positive", not _is_time(self.l1_block_time_s)),
                (f"a round has at least {_MIN_ROUND_LENGTH} L1 blocks", self.round_length < _MIN_ROUND_LENGTH),
                ("the L1 clock starts after the first round", self.l1_start_block < 2 * self.round_length),
                ("a share lies between 0 and 1000000", not self._shares_are_shares),
                (f"at most {_MAX_PEOPLE} accounts of a kind, and none less than none", not self._people_are_few),
                ("more orchestrators than places in the pool", self.orchestrators > self.pool_size),
            )
            if wrong
        ]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def _shares_are_shares(self) -> bool:
        return all(0 <= share <= _WHOLE for share in (self.round_lock_amount, self.reward_cut, self.fee_share))

    @property
    def _people_are_few(self) -> bool:
        return all(0 <= count <= _MAX_PEOPLE for count in (self.orchestrators, self.gateways, self.accounts))

    @property
    def first_l1_block(self) -> int:
        """Where the L1 clock begins: the start of a round."""
        return self.l1_start_block - self.l1_start_block % self.round_length


def _is_time(seconds: float | None) -> bool:
    """Whether something can happen that often; whoever writes ``nan`` is told so too."""
    return seconds is None or 0 < seconds < math.inf
