"""What strangers may take: time for a body, turns in discovery, and lines in the log."""

from contextlib import suppress
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from baton.jobs.limits import CallerLimiter
from baton.jobs.naming import rendition_names
from baton.kernel.capabilities import Capabilities, ModelConstraint
from baton.kernel.errors import RefusedError, Text
from baton.kernel.profiles import PRESETS, VideoProfile
from tests.unit.jobs.rig import Rig, scenario


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [("video/MP2T", (500, Text.INTERNAL)), ("application/vnd+livepeer.uri", (400, Text.BAD_REQUEST))],
)
def test_a_body_is_waited_for_no_longer_than_its_gateway_would(content_type: str, answer: tuple[int, str]) -> None:
    async def body() -> None:
        rig = Rig()
        rig.spool.gate.clear()
        late = replace(rig.request(content_type=content_type), arrived=rig.clock.monotonic() - 7.99)
        with pytest.raises(RefusedError) as refused:
            await rig.send(late, body=b"https://store.example/1.ts")
        assert (refused.value.status, refused.value.text) == answer
        assert rig.ledger.released == 1
        assert rig.desk.in_hand == 0

    scenario(body)


def test_third_of_a_name_never_lands_on_a_name_that_looks_like_its_own() -> None:
    def named(name: str) -> VideoProfile:
        return replace(PRESETS["P144p30fps16x9"], name=name)

    names = rendition_names((named("a"), named("a_2"), named("a")), seq=1)
    assert len(set(names)) == 3
    names = rendition_names((named("a"), named("a"), named("a_1"), named("a_1_2"), named("a")), seq=1)
    assert len(set(names)) == 5


def test_one_network_of_ipv6_is_one_caller() -> None:
    limiter = CallerLimiter(rate_per_s=0.0, burst=2)
    assert limiter.allows("2001:db8:0:1::1", 0.0)
    assert limiter.allows("2001:db8:0:1::2", 0.0)
    assert not limiter.allows("2001:db8:0:1:ffff::3", 0.0)
    assert limiter.allows("2001:db8:0:2::1", 0.0)


def test_asking_too_often_fills_no_log() -> None:
    async def body() -> None:
        rig = Rig()
        with capture_logs() as lines:
            for _ in range(250):
                with suppress(RefusedError):
                    await rig.discovery.get_orchestrator(rig.question(), peer_host="10.0.0.1")
        assert {line["reason"] for line in lines if line["event"] == "discovery refused"} == {Text.REQUEST_TOO_MANY}
        assert not [line for line in lines if line["log_level"] != "debug"]

    scenario(body)


@pytest.mark.parametrize("ignore", [False, True])
def test_live_video_needs_a_model_with_room_unless_the_caller_does_not_care(*, ignore: bool) -> None:
    async def body() -> None:
        rig = Rig()
        wanted = Capabilities(models={35: {"noop": ModelConstraint(warm=True)}})
        question = replace(rig.question(), capabilities=wanted, ignore_capacity_check=ignore)
        if ignore:
            assert (await rig.discovery.get_orchestrator(question, peer_host="10.0.0.1")).transcoder
            return
        rig.webhook.refuse = "no"
        with pytest.raises(RefusedError) as refused:
            await rig.discovery.get_orchestrator(question, peer_host="10.0.0.1")
        assert refused.value.text == f"{Text.AUTHENTICATION_FAILED}no"
        rig.webhook.refuse = None
        with pytest.raises(RefusedError) as refused:
            await rig.discovery.get_orchestrator(question, peer_host="10.0.0.1")
        assert refused.value.text == Text.REQUEST_CAPPED

    scenario(body)


def test_a_node_that_takes_no_work_answers_whatever_was_asked() -> None:
    async def body() -> None:
        rig = Rig(service_uri="")
        wanted = Capabilities(models={35: {"noop": ModelConstraint()}})
        question = replace(rig.question(), capabilities=wanted)
        assert (await rig.discovery.get_orchestrator(question, peer_host="10.0.0.1")).transcoder == ""

    scenario(body)
