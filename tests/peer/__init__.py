"""A second gateway: its own generated messages, its own signatures, its own HTTP. Imports nothing of the node's code.

Client and node must never be wrong together, so this package is built from the ``.proto`` and public libraries alone
(grpcio, httpx, eth-account); ``tests/architecture`` holds it to that.
"""
