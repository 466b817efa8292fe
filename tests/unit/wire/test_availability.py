"""The start-up check of the service address: it warns and asks again, whatever answers there."""

import asyncio

import coincurve
import pytest
from google.protobuf.message import DecodeError
from structlog.testing import capture_logs

from baton.kernel.crypto import public_key_to_address, sign_message
from baton.kernel.ids import ZERO_ADDRESS, Address
from baton.wire.availability import AvailabilityCheck
from tests.support import eventually, run

KEY = bytes.fromhex("46" * 32)


class Signer:
    """A node with a key, or without."""

    orch_id = "offchain"

    def __init__(self, *, key: bytes | None = None) -> None:
        self.address = (
            ZERO_ADDRESS if key is None else Address(public_key_to_address(coincurve.PrivateKey(key).public_key))
        )

    def sign(self, message: bytes) -> bytes:
        return message


class Network:
    """Answers pings as told, the last one for ever, and counts the pauses between."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.pauses: list[float] = []

    async def ping(self, service_uri: str, value: bytes) -> bytes:
        assert service_uri == "https://o.example:8935"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return sign_message(KEY, value) if answer == b"signed" else answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


def check(network: Network, signer: Signer) -> list[str]:
    """The problems that were logged until the node found itself."""

    async def main() -> list[str]:
        job = AvailabilityCheck(
            service_uri="https://o.example:8935", signer=signer, ping=network.ping, sleep=network.sleep
        )
        with capture_logs() as lines:
            task = asyncio.create_task(job.run())
            await eventually(
                lambda: task.done() or any(line["event"].startswith("reachable") for line in lines),
                what="the check is through",
            )
            assert not task.done(), "the check must rest, not end"
            task.cancel()
            await asyncio.wait((task,))
        return [line["problem"] for line in lines if "problem" in line]

    return run(main())


@pytest.mark.parametrize(
    "trouble",
    [
        OSError("no route"),
        TimeoutError(),
        DecodeError("no message"),
        ValueError("odd"),
        AssertionError(),
        KeyError("x"),
    ],
)
def test_whatever_goes_wrong_is_a_warning_and_a_retry(trouble: Exception) -> None:
    network = Network(trouble, trouble, b"")
    assert len(check(network, Signer())) == 2
    assert network.pauses == [2.0, 5.0, 15.0]


def test_a_node_with_a_key_knows_itself_by_its_signature() -> None:
    network = Network(b"", b"signed")
    assert check(network, Signer(key=KEY)) == ["somebody else answers there"]
