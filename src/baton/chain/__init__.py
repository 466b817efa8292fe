"""The chain: for now the node's own key. Knows the kernel, nothing of jobs, wire or storage."""
