"""An independent gateway that asks for terms over and over: grpcio, in a process of its own.

``python -m benchmarks.asker URI`` answers each line ``SECONDS PAUSE_S FRESH`` on stdin with the times of its questions
as JSON: on a connection that is kept, or with FRESH 1 on a new one each time, TLS included, as gateways discover.
"""

import json
import ssl
import sys
import time
from urllib.parse import urlsplit

import grpc
from tests.peer.gateway import PeerGateway
from tests.peer.pb import lp_rpc_pb2 as pb

_METHOD = "/net.Orchestrator/GetOrchestrator"
_TIMEOUT_S = 8.0


class _Asker:
    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._target = f"{parts.hostname}:{parts.port}"
        pem = ssl.get_server_certificate((str(parts.hostname), int(parts.port or 0)), timeout=10)
        self._credentials = grpc.ssl_channel_credentials(pem.encode())
        # A pool of its own: a new channel to the same place would share the old one's connection.
        self._options = [("grpc.ssl_target_name_override", parts.hostname), ("grpc.use_local_subchannel_pool", 1)]
        with PeerGateway(uri) as gateway:
            self._request = gateway.orchestrator_request().SerializeToString()
        self._kept = self._open()

    def _open(self) -> grpc.Channel:
        return grpc.secure_channel(self._target, self._credentials, self._options)

    def _ask(self, channel: grpc.Channel) -> None:
        answer = channel.unary_unary(_METHOD)(self._request, timeout=_TIMEOUT_S, wait_for_ready=True)
        if not pb.OrchestratorInfo.FromString(answer).transcoder:
            message = "the answer names no transcoder"
            raise RuntimeError(message)

    def ask(self, *, seconds: float, pause_s: float, fresh: bool) -> list[float]:
        """Milliseconds of each question."""
        times_ms = []
        self._ask(self._kept)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            started = time.perf_counter()
            if fresh:
                with self._open() as channel:
                    self._ask(channel)
                    times_ms.append((time.perf_counter() - started) * 1000)
            else:
                self._ask(self._kept)
                times_ms.append((time.perf_counter() - started) * 1000)
            time.sleep(pause_s)
        return times_ms


def main() -> None:
    """Answer each line."""
    asker = _Asker(sys.argv[1])
    for line in sys.stdin:
        seconds, pause_s, fresh = line.split()
        times_ms = asker.ask(seconds=float(seconds), pause_s=float(pause_s), fresh=fresh == "1")
        print(json.dumps(times_ms), flush=True)


if __name__ == "__main__":
    main()
