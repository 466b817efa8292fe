"""Generate the peer's own message classes: ``python -m tests.peer.regenerate``."""

import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO_DIR = HERE.parents[1] / "proto" / "net"


def generate(target: Path) -> int:
    """Write ``lp_rpc_pb2.py`` and its stub into ``target``; returns the compiler's exit code."""
    arguments = ["protoc", f"-I{PROTO_DIR}", f"--python_out={target}", f"--pyi_out={target}", "lp_rpc.proto"]
    return int(protoc.main(arguments))


if __name__ == "__main__":
    sys.exit(generate(HERE / "pb"))
