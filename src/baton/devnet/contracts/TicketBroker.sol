// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Manager, ManagerProxyTarget} from "./Manager.sol";

/// Funds of senders and redemption of winning tickets (chain.md 3.4 and 4.3). The two rules about funds are two
/// targets of one proxy, as an upgrade of the real chain was.
abstract contract TicketBroker is ManagerProxyTarget {
    struct Ticket {
        address recipient;
        address sender;
        uint256 faceValue;
        uint256 winProb;
        uint256 senderNonce;
        bytes32 recipientRandHash;
        bytes auxData;
    }

    struct Sender {
        uint256 deposit;
        uint256 withdrawRound;
    }

    struct ReserveInfo {
        uint256 fundsRemaining;
        uint256 claimedInCurrentRound;
    }

    struct Reserve {
        uint256 funds;
        mapping(uint256 => uint256) claimedForRound;
        mapping(uint256 => mapping(address => uint256)) claimedByAddress;
    }

    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    uint256 public unlockPeriod;
    uint256 public ticketValidityPeriod;
    mapping(address => Sender) private senders;
    mapping(address => Reserve) private reserves;
    mapping(bytes32 => bool) public usedTickets;

    event DepositFunded(address indexed sender, uint256 amount);
    event ReserveFunded(address indexed reserveHolder, uint256 amount);
    event ReserveClaimed(address indexed reserveHolder, address claimant, uint256 amount);
    event Unlock(address indexed sender, uint256 startRound, uint256 endRound);
    event UnlockCancelled(address indexed sender);
    event Withdrawal(address indexed sender, uint256 deposit, uint256 reserve);
    event WinningTicketTransfer(address indexed sender, address indexed recipient, uint256 amount);
    event WinningTicketRedeemed(
        address indexed sender,
        address indexed recipient,
        uint256 faceValue,
        uint256 winProb,
        uint256 senderNonce,
        uint256 recipientRand,
        bytes auxData
    );

    constructor(address controller_) Manager(controller_) {}

    function setUnlockPeriod(uint256 unlockPeriod_) external onlyControllerOwner {
        unlockPeriod = unlockPeriod_;
        emit ParameterUpdate("unlockPeriod");
    }

    function setTicketValidityPeriod(uint256 ticketValidityPeriod_) external onlyControllerOwner {
        require(ticketValidityPeriod_ > 0, "ticketValidityPeriod must be greater than 0");
        ticketValidityPeriod = ticketValidityPeriod_;
        emit ParameterUpdate("ticketValidityPeriod");
    }

    // Senders

    function fundDeposit() external payable whenSystemNotPaused {
        addDeposit(msg.sender, msg.value);
        minter().depositETH{value: msg.value}();
    }

    function fundReserve() external payable whenSystemNotPaused {
        addReserve(msg.sender, msg.value);
        minter().depositETH{value: msg.value}();
    }

    function fundDepositAndReserve(uint256 depositAmount, uint256 reserveAmount) external payable {
        fundDepositAndReserveFor(msg.sender, depositAmount, reserveAmount);
    }

    function fundDepositAndReserveFor(address addr, uint256 depositAmount, uint256 reserveAmount)
        public
        payable
        whenSystemNotPaused
    {
        require(
            msg.value == depositAmount + reserveAmount,
            "msg.value does not equal sum of deposit amount and reserve amount"
        );
        addDeposit(addr, depositAmount);
        addReserve(addr, reserveAmount);
        minter().depositETH{value: msg.value}();
    }

    function unlock() external whenSystemNotPaused {
        requireFunds();
        Sender storage sender = senders[msg.sender];
        require(sender.withdrawRound == 0, "unlock already initiated");
        uint256 current = roundsManager().currentRound();
        sender.withdrawRound = current + unlockPeriod;
        emit Unlock(msg.sender, current, sender.withdrawRound);
    }

    function cancelUnlock() external whenSystemNotPaused {
        cancel(msg.sender);
    }

    function withdraw() external whenSystemNotPaused {
        requireFunds();
        Sender storage sender = senders[msg.sender];
        require(sender.withdrawRound > 0, "no unlock request in progress");
        require(roundsManager().currentRound() >= sender.withdrawRound, "account is locked");
        (uint256 deposit, uint256 reserve) = (sender.deposit, reserves[msg.sender].funds);
        sender.deposit = 0;
        reserves[msg.sender].funds = 0;
        minter().trustedWithdrawETH(msg.sender, deposit + reserve);
        emit Withdrawal(msg.sender, deposit, reserve);
    }

    function requireFunds() private view {
        require(
            senders[msg.sender].deposit > 0 || reserves[msg.sender].funds > 0,
            "sender deposit and reserve are zero"
        );
    }

    function addDeposit(address sender, uint256 amount) private {
        senders[sender].deposit += amount;
        if (sender == msg.sender && isUnlockInProgress(sender)) {
            cancel(sender);
        }
        emit DepositFunded(sender, amount);
    }

    function addReserve(address holder, uint256 amount) private {
        reserves[holder].funds += amount;
        if (holder == msg.sender && isUnlockInProgress(holder)) {
            cancel(holder);
        }
        emit ReserveFunded(holder, amount);
    }

    function cancel(address sender) private {
        require(isUnlockInProgress(sender), "no unlock request in progress");
        senders[sender].withdrawRound = 0;
        emit UnlockCancelled(sender);
    }

    function isUnlockInProgress(address sender) public view returns (bool) {
        return senders[sender].withdrawRound > 0;
    }

    function getSenderInfo(address sender) external view returns (Sender memory, ReserveInfo memory) {
        return (senders[sender], getReserveInfo(sender));
    }

    function getReserveInfo(address holder) public view returns (ReserveInfo memory) {
        Reserve storage reserve = reserves[holder];
        return ReserveInfo(reserve.funds, reserve.claimedForRound[roundsManager().currentRound()]);
    }

    function claimedReserve(address holder, address claimant) public view returns (uint256) {
        return reserves[holder].claimedByAddress[roundsManager().currentRound()][claimant];
    }

    /// An equal share for each member of the pool, that is of the next round's set. A pool that grew after the
    /// claimant drew its share makes this underflow, as on the real chain.
    function claimableReserve(address holder, address claimant) public view returns (uint256) {
        uint256 poolSize = bondingManager().getTranscoderPoolSize();
        if (poolSize == 0 || !bondingManager().isActiveTranscoder(claimant)) {
            return 0;
        }
        ReserveInfo memory info = getReserveInfo(holder);
        return (info.fundsRemaining + info.claimedInCurrentRound) / poolSize - claimedReserve(holder, claimant);
    }

    // Tickets

    function getTicketHash(Ticket memory ticket) public pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                ticket.recipient,
                ticket.sender,
                ticket.faceValue,
                ticket.winProb,
                ticket.senderNonce,
                ticket.recipientRandHash,
                ticket.auxData
            )
        );
    }

    /// The failure of one ticket is not the failure of the others; events tell which were paid.
    function batchRedeemWinningTickets(
        Ticket[] memory tickets,
        bytes[] memory sigs,
        uint256[] memory recipientRands
    ) external whenSystemNotPaused inInitializedRound {
        for (uint256 i = 0; i < tickets.length; i++) {
            try TicketBroker(address(this)).redeemWinningTicket(tickets[i], sigs[i], recipientRands[i]) {} catch {}
        }
    }

    function redeemWinningTicket(Ticket memory ticket, bytes memory sig, uint256 recipientRand)
        external
        whenSystemNotPaused
        inInitializedRound
    {
        bytes32 ticketHash = getTicketHash(ticket);
        requireWinner(ticket, ticketHash, sig, recipientRand);
        Sender storage sender = senders[ticket.sender];
        require(
            sender.withdrawRound == 0 || roundsManager().currentRound() < sender.withdrawRound, "sender is unlocked"
        );
        requireCover(sender.deposit, reserves[ticket.sender].funds, ticket.faceValue);
        usedTickets[ticketHash] = true;

        uint256 paid = ticket.faceValue;
        if (paid > sender.deposit) {
            paid = sender.deposit + claimReserve(ticket.sender, ticket.recipient, paid - sender.deposit);
            sender.deposit = 0;
        } else {
            sender.deposit -= paid;
        }
        if (paid > 0) {
            (uint256 creationRound,) = abi.decode(ticket.auxData, (uint256, bytes32));
            bondingManager().updateTranscoderWithFees(ticket.recipient, paid, creationRound);
            emit WinningTicketTransfer(ticket.sender, ticket.recipient, paid);
        }
        emit WinningTicketRedeemed(
            ticket.sender,
            ticket.recipient,
            ticket.faceValue,
            ticket.winProb,
            ticket.senderNonce,
            recipientRand,
            ticket.auxData
        );
    }

    /// The rule about what the sender must still have.
    function requireCover(uint256 deposit, uint256 reserve, uint256 faceValue) internal pure virtual;

    function requireWinner(Ticket memory ticket, bytes32 ticketHash, bytes memory sig, uint256 recipientRand)
        private
        view
    {
        require(ticket.recipient != address(0), "ticket recipient is null address");
        require(ticket.sender != address(0), "ticket sender is null address");
        requireRound(ticket.auxData);
        require(
            keccak256(abi.encodePacked(recipientRand)) == ticket.recipientRandHash,
            "recipientRand does not match recipientRandHash"
        );
        require(!usedTickets[ticketHash], "ticket is used");
        require(signer(ticketHash, sig) == ticket.sender, "invalid signature over ticket hash");
        require(uint256(keccak256(abi.encodePacked(sig, recipientRand))) < ticket.winProb, "ticket did not win");
    }

    function requireRound(bytes memory auxData) private view {
        require(auxData.length == 64, "invalid length for ticket auxData: must be 64 bytes");
        (uint256 creationRound, bytes32 creationRoundBlockHash) = abi.decode(auxData, (uint256, bytes32));
        bytes32 known = roundsManager().blockHashForRound(creationRound);
        require(known != 0, "ticket creationRound does not have a block hash");
        require(known == creationRoundBlockHash, "ticket creationRoundBlockHash invalid for creationRound");
        require(creationRound + ticketValidityPeriod > roundsManager().currentRound(), "ticket is expired");
    }

    /// Who signed the hash under the prefix of EIP-191. One signature has one encoding: low s, v 27 or 28.
    function signer(bytes32 ticketHash, bytes memory sig) private pure returns (address recovered) {
        require(sig.length == 65, "INVALID_SIGNATURE_LENGTH");
        (bytes32 r, bytes32 s, uint8 v) = (word(sig, 32), word(sig, 64), uint8(sig[64]));
        require(uint256(s) <= HALF_ORDER, "ECDSA: invalid signature 's' value");
        require(v == 27 || v == 28, "ECDSA: invalid signature");
        bytes32 digest = keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", ticketHash));
        recovered = ecrecover(digest, v, r, s);
        require(recovered != address(0), "ECDSA: invalid signature");
    }

    function word(bytes memory data, uint256 offset) private pure returns (bytes32 found) {
        assembly {
            found := mload(add(data, offset))
        }
    }

    function claimReserve(address holder, address claimant, uint256 wanted) private returns (uint256 amount) {
        uint256 claimable = claimableReserve(holder, claimant);
        amount = wanted < claimable ? wanted : claimable;
        if (amount > 0) {
            uint256 current = roundsManager().currentRound();
            Reserve storage reserve = reserves[holder];
            reserve.funds -= amount;
            reserve.claimedForRound[current] += amount;
            reserve.claimedByAddress[current][claimant] += amount;
            emit ReserveClaimed(holder, claimant, amount);
        }
    }
}

/// The rule until July 2026: anything at all is enough, and a ticket may be used up for dust.
contract AnyFundsTicketBroker is TicketBroker {
    constructor(address controller_) TicketBroker(controller_) {}

    function requireCover(uint256 deposit, uint256 reserve, uint256) internal pure override {
        require(deposit > 0 || reserve > 0, "sender deposit and reserve are zero");
    }
}

/// The rule since (chain.md 5): deposit and whole reserve cover the face value, or the ticket stays unused.
contract FullCoverTicketBroker is TicketBroker {
    constructor(address controller_) TicketBroker(controller_) {}

    function requireCover(uint256 deposit, uint256 reserve, uint256 faceValue) internal pure override {
        require(
            deposit + reserve >= faceValue, "sender deposit and reserve insufficient to cover ticket face value"
        );
    }
}
