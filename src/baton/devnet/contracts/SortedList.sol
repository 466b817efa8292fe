// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// A doubly linked list, largest key first, with hints for the place of a key (chain.md 4.2, sorted list and hints).
library SortedList {
    struct Node {
        uint256 key;
        address prev;
        address next;
        bool present;
    }

    struct List {
        address head;
        address tail;
        uint256 size;
        uint256 maxSize;
        mapping(address => Node) nodes;
    }

    function setMaxSize(List storage self, uint256 maxSize) internal {
        require(maxSize > self.maxSize, "new max size must be greater than old max size");
        self.maxSize = maxSize;
    }

    function contains(List storage self, address id) internal view returns (bool) {
        return self.nodes[id].present;
    }

    function isFull(List storage self) internal view returns (bool) {
        return self.size == self.maxSize;
    }

    function insert(List storage self, address id, uint256 key, address prev, address next) internal {
        require(!isFull(self), "list is full");
        require(!contains(self, id), "node already in list");
        require(id != address(0), "node id is null");
        require(key > 0, "key is zero");
        if (!isPlace(self, key, prev, next)) {
            (prev, next) = findPlace(self, key, prev, next);
        }
        self.nodes[id] = Node(key, prev, next, true);
        if (prev == address(0)) {
            self.head = id;
        } else {
            self.nodes[prev].next = id;
        }
        if (next == address(0)) {
            self.tail = id;
        } else {
            self.nodes[next].prev = id;
        }
        self.size++;
    }

    function remove(List storage self, address id) internal {
        require(contains(self, id), "node not in list");
        (address prev, address next) = (self.nodes[id].prev, self.nodes[id].next);
        if (prev == address(0)) {
            self.head = next;
        } else {
            self.nodes[prev].next = next;
        }
        if (next == address(0)) {
            self.tail = prev;
        } else {
            self.nodes[next].prev = prev;
        }
        delete self.nodes[id];
        self.size--;
    }

    /// The node leaves before its new place is looked for, so hints must not name it. A key of zero just leaves.
    function updateKey(List storage self, address id, uint256 key, address prev, address next) internal {
        remove(self, id);
        if (key > 0) {
            insert(self, id, key, prev, next);
        }
    }

    /// Whether the hint may be taken as it is.
    function isPlace(List storage self, uint256 key, address prev, address next) private view returns (bool) {
        if (prev == address(0) && next == address(0)) {
            return self.size == 0;
        }
        if (prev == address(0)) {
            return self.head == next && key >= self.nodes[next].key;
        }
        if (next == address(0)) {
            return self.tail == prev && key <= self.nodes[prev].key;
        }
        return self.nodes[prev].next == next && self.nodes[prev].key >= key && key >= self.nodes[next].key;
    }

    /// A wrong hint costs a walk and is never an error: down from a usable prev, up from a usable next, else from the
    /// head down.
    function findPlace(List storage self, uint256 key, address prev, address next)
        private
        view
        returns (address, address)
    {
        if (prev != address(0) && (!contains(self, prev) || key > self.nodes[prev].key)) {
            prev = address(0);
        }
        if (next != address(0) && (!contains(self, next) || key < self.nodes[next].key)) {
            next = address(0);
        }
        if (prev == address(0) && next != address(0)) {
            prev = self.nodes[next].prev;
            while (prev != address(0) && self.nodes[prev].key < key) {
                (prev, next) = (self.nodes[prev].prev, prev);
            }
            return (prev, next);
        }
        next = prev == address(0) ? self.head : self.nodes[prev].next;
        while (next != address(0) && self.nodes[next].key >= key) {
            (prev, next) = (next, self.nodes[next].next);
        }
        return (prev, next);
    }
}
