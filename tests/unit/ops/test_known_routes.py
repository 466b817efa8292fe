"""The reference's routes on the management port: shapes, texts, and who may change what."""

from pathlib import Path

import httpx
import pytest

from baton.kernel.version import NODE_VERSION
from baton.ops.known_routes import _CHAIN_CHANGES, _CHAIN_READS
from tests.support import run
from tests.unit.ops.rig import Limit, Rig

TEXT = "text/plain; charset=utf-8"


class Chain:
    chain_id = 54321
    block = 0x010002


def shape(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["content-type"], answer.text


def test_reads_answer_as_the_reference_does(tmp_path: Path) -> None:
    async def story() -> None:
        async with Rig(tmp_path).running() as client:
            for path, body in {
                "/IsOrchestrator": "true",
                "/IsRedeemer": "false",
                "/EthChainID": "0",
                "/currentBlock": "",
                "/getLogLevel": "3",
            }.items():
                assert shape(await client.get(path)) == (200, TEXT, body)

    run(story())


def test_chain_is_told_as_it_was_last_seen(tmp_path: Path) -> None:
    async def story() -> None:
        async with Rig(tmp_path, chain=Chain()).running() as client:
            assert shape(await client.get("/EthChainID")) == (200, TEXT, "54321")
            block = await client.get("/currentBlock")
            assert (block.status_code, block.content) == (200, bytes([1, 0, 2]))

    run(story())


@pytest.mark.parametrize("transcodes", [True, False])
def test_status_has_the_fields_of_the_reference(tmp_path: Path, *, transcodes: bool) -> None:
    async def story() -> None:
        async with Rig(tmp_path, transcodes=transcodes).running() as client:
            answer = await client.get("/status")
            assert answer.headers["content-type"] == "application/json"
            found = answer.json()
            assert found.pop("GolangRuntimeVersion").startswith("python3.")
            assert found.pop("GOArch")
            assert found == {
                "Manifests": {},
                "InternalManifests": {},
                "StreamInfo": {},
                "OrchestratorPool": [],
                "OrchestratorPoolInfos": None,
                "Version": NODE_VERSION,
                "GOOS": "linux",
                "RegisteredTranscodersNumber": 0,
                "RegisteredTranscoders": [],
                "LocalTranscoding": transcodes,
                "BroadcasterPrices": {},
            }

    run(story())


def test_routes_of_the_chain_say_that_there_is_none(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            for path in _CHAIN_READS:
                answer = await client.get(path)
                assert shape(answer) == (500, TEXT, "missing ETH client\n")
                assert answer.headers["x-content-type-options"] == "nosniff"
            for path in _CHAIN_CHANGES:
                answer = await client.post(path, headers=rig.token, data={"amount": "1"})
                assert shape(answer) == (500, TEXT, "missing ETH client\n")

    run(story())


def test_what_is_not_there_is_not_found_in_the_reference_s_words(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            assert shape(await client.get("/nothing")) == (404, TEXT, "404 page not found\n")
            runners = await client.post("/registerLiveRunners", headers=rig.token, json={})
            assert shape(runners) == (404, TEXT, "live runners are not supported\n")

    run(story())


@pytest.mark.parametrize("path", ["/setMaxSessions?maxSessions=3", "/setLogLevel?loglevel=6", "/bond?amount=1"])
def test_a_change_needs_post_and_the_token_and_no_browser(tmp_path: Path, path: str) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            by_get = await client.get(path, headers=rig.token)
            assert shape(by_get) == (405, TEXT, "Method Not Allowed\n")
            assert by_get.headers["allow"] == "POST"
            assert (await client.post(path)).status_code == 401
            assert (await client.post(path, headers={**rig.token, "Origin": "http://localhost"})).status_code == 403
            assert (await client.post(path, headers={**rig.token, "Host": "evil.example"})).status_code == 403
            assert (rig.limit.value, rig.verbosity.number) == (10, 3)

    run(story())


def test_session_limit_is_changed_by_form_or_query_and_the_form_counts_first(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            form = await client.post("/setMaxSessions", headers=rig.token, data={"maxSessions": "25"})
            assert shape(form) == (200, TEXT, "Max sessions set to 25\n")
            assert rig.limit.value == 25
            query = await client.post("/setMaxSessions?maxSessions=7", headers=rig.token)
            assert query.text == "Max sessions set to 7\n"
            both = await client.post("/setMaxSessions?maxSessions=7", headers=rig.token, data={"maxSessions": "8"})
            assert both.text == "Max sessions set to 8\n"
            status = (await client.get("/baton/status")).json()
            assert status["max_sessions"] == 8
            assert {"name": "max-sessions", "value": "8", "source": "set at run time", "where": "/setMaxSessions"} in (
                status["settings"]
            )

    run(story())


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("", "missing form param: maxSessions"),
        *((word, "Max Sessions must be 'auto' or greater than zero") for word in ("0", "-1", "x", "1.5", " 5", "1e3")),
        ("9" * 5000, "Max Sessions must be 'auto' or greater than zero"),
        ("\u0665", "Max Sessions must be 'auto' or greater than zero"),
        ("auto", "-maxSessions 'auto' cannot be used when both -orchestrator and -transcoder are specified"),
    ],
)
def test_session_limits_that_make_no_sense_change_nothing(tmp_path: Path, word: str, text: str) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            answer = await client.post("/setMaxSessions", headers=rig.token, data={"maxSessions": word})
            assert shape(answer) == (400, TEXT, f"{text}\n")
            assert rig.limit.value == 10

    run(story())


def test_auto_needs_transcoders_that_connect(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, transcodes=False)
        async with rig.running() as client:
            answer = await client.post("/setMaxSessions", headers=rig.token, data={"maxSessions": "auto"})
            assert answer.status_code == 400
            assert "takes no standalone transcoders" in answer.text

    run(story())


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="maxSessions"\r\n\r\n5\r\n--x--',
        ),
        ("application/json", b'{"maxSessions": 5}'),
        ("application/x-www-form-urlencoded", b"a=1&" * 2000),
        ("application/x-www-form-urlencoded", b"\xff\x00=%zz"),
    ],
)
def test_bodies_that_are_no_form_give_no_parameter(tmp_path: Path, content_type: str, body: bytes) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            headers = {**rig.token, "Content-Type": content_type}
            answer = await client.post("/setMaxSessions", headers=headers, content=body)
            assert shape(answer) == (400, TEXT, "missing form param: maxSessions\n")

    run(story())


def test_a_limit_that_cannot_be_kept_is_one_error_and_no_change(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path, limit=Limit(broken=True))
        async with rig.running() as client:
            answer = await client.post("/setMaxSessions", headers=rig.token, data={"maxSessions": "5"})
            assert shape(answer) == (500, TEXT, "the limit cannot be kept: No space left on device\n")
            assert rig.limit.value == 10

    run(story())


def test_log_level_is_changed_and_read_back(tmp_path: Path) -> None:
    async def story() -> None:
        rig = Rig(tmp_path)
        async with rig.running() as client:
            answer = await client.post("/setLogLevel", headers=rig.token, data={"loglevel": "6"})
            assert shape(answer) == (200, TEXT, "")
            assert (await client.get("/getLogLevel")).text == "6"
            for word, text in {"": "missing form param: loglevel", "debug": "parameter 'logLevel' not defined"}.items():
                bad = await client.post("/setLogLevel", headers=rig.token, data={"loglevel": word})
                assert shape(bad) == (400, TEXT, f"{text}\n")
            assert rig.verbosity.number == 6

    run(story())
