"""The engine pool while all is well: who works on what, who waits, who leaves, and what a child may know."""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from baton.kernel.capabilities import Capability
from baton.kernel.errors import CapacityError, ExitCode, StartError, Text, TranscodeError
from baton.kernel.profiles import PRESETS
from baton.media.job import Choice, EncoderTuning, EngineReport, TranscodeRequest
from baton.media.pool import EnginePool
from baton.media.process import ChildCommand
from baton.video.local import SegmentEngine
from tests.media.pooling import (
    ODD,
    QUICK,
    CountingMetrics,
    child_pids,
    count,
    folder_for,
    make_pool,
    order,
    running,
    tries,
    until,
)


def test_a_job_is_done_in_a_child_and_its_bytes_come_back(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            folder = folder_for(tmp_path)
            output = await order(pool, "fine 100000", folder, profiles=3)
            assert [len(r.data) for r in output.renditions] == [100_000] * 3
            assert tries(folder) != [os.getpid()]
            assert metrics.observed["engine_wait_seconds"] == 1
        assert not metrics.counted

    asyncio.run(story())


def test_the_pool_is_what_the_video_domain_asks_for() -> None:
    engine: SegmentEngine = make_pool()
    assert isinstance(engine, EnginePool)


def test_one_child_more_than_work_at_a_time_stands_by(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(children=2, metrics=metrics)) as pool, asyncio.TaskGroup() as group:
            await until(lambda: len(pool.children) == 3)
            folders = [folder_for(tmp_path) for _ in range(3)]
            jobs = [group.create_task(order(pool, "hang", folder, stream=folder.name)) for folder in folders]
            await until(lambda: all(tries(folder) for folder in folders[:2]))
            await until(lambda: metrics.gauges["engine_children_busy"] == 2)
            assert metrics.gauges["engine_children"] == 3
            assert pool.waiting == 1
            assert not tries(folders[2])
            assert sorted(view.state for view in pool.children) == ["busy", "busy", "idle"]
            assert all(view.rss_bytes > 1 << 20 for view in pool.children)
            assert set(pool.pids) == child_pids()
            for job in jobs:
                job.cancel()

    asyncio.run(story())


def test_jobs_wait_in_order_and_the_line_is_bounded(tmp_path: Path) -> None:
    async def story() -> None:
        limits = dataclasses.replace(QUICK, waiting_most=2)
        async with running(make_pool(children=1, limits=limits)) as pool, asyncio.TaskGroup() as group:
            blocker = group.create_task(order(pool, "hang", folder_for(tmp_path), stream="blocker"))
            await until(lambda: any(view.state == "busy" for view in pool.children))
            done: list[int] = []

            async def job(number: int) -> None:
                await order(pool, "fine 100", folder_for(tmp_path))
                done.append(number)

            for number in range(2):
                group.create_task(job(number))
                await until(lambda number=number: pool.waiting == number + 1)  # type: ignore[misc]  # bound early on purpose
            with pytest.raises(CapacityError) as refusal:
                await order(pool, "fine 100", folder_for(tmp_path))
            assert refusal.value.text == "OrchestratorBusy"
            blocker.cancel()
            await until(lambda: len(done) == 2)
            assert done == [0, 1]

    asyncio.run(story())


def test_a_caller_that_leaves_the_line_is_forgotten(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(children=1)) as pool, asyncio.TaskGroup() as group:
            blocker = group.create_task(order(pool, "hang", folder_for(tmp_path), stream="blocker"))
            await until(lambda: any(view.state == "busy" for view in pool.children))
            left = folder_for(tmp_path)
            waiter = group.create_task(order(pool, "fine 100", left))
            await until(lambda: pool.waiting == 1)
            waiter.cancel()
            await asyncio.wait([waiter])
            assert pool.waiting == 0
            blocker.cancel()
            await asyncio.wait([blocker])
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1
            assert tries(left) == []

    asyncio.run(story())


def test_cancelling_at_the_moment_of_the_grant_loses_no_child(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(children=1)) as pool:
            for _ in range(20):
                task = asyncio.ensure_future(order(pool, "fine 100", folder_for(tmp_path)))
                await asyncio.sleep(0)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1

    asyncio.run(story())


def test_no_time_left_is_refused_without_troubling_a_child(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            folder = folder_for(tmp_path)
            for deadline_s in (-1.0, 0.0, 0.05):
                with pytest.raises(CapacityError) as refusal:
                    await order(pool, "fine 100", folder, deadline_s=deadline_s)
                assert refusal.value.text == Text.BUSY
            assert tries(folder) == []
            assert await count(order(pool, "fine 100", folder)) == 1

    asyncio.run(story())


def test_a_job_that_would_wait_in_vain_is_refused_at_once_and_one_that_waited_in_vain_in_time(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(children=1, metrics=metrics)) as pool, asyncio.TaskGroup() as group:
            blocker = group.create_task(order(pool, "hang", folder_for(tmp_path), stream="blocker"))
            await until(lambda: any(view.state == "busy" for view in pool.children))
            with pytest.raises(CapacityError) as refusal:
                await order(pool, "fine 100", folder_for(tmp_path), deadline_s=0.3)
            assert refusal.value.text == Text.BUSY
            assert not metrics.counted
            blocker.cancel()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("words", "text", "detail"),
    [
        (f"refuse {Text.NO_KEYFRAMES}", Text.NO_KEYFRAMES, "as told"),
        ("refuse A text of its own", Text.UNKNOWN, "A text of its own: as told"),
        ("stumble over it", Text.UNKNOWN, "ZeroDivisionError: over it"),
        ("no_memory", Text.NO_MEMORY, ""),
    ],
)
def test_an_orderly_failure_is_the_engines_text_and_costs_no_child(
    tmp_path: Path, words: str, text: str, detail: str
) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            with pytest.raises(TranscodeError) as failure:
                await order(pool, words, folder_for(tmp_path))
            assert (failure.value.text, failure.value.detail) == (text, detail)
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1
        assert not metrics.counted

    asyncio.run(story())


def test_a_job_that_cannot_be_sent_is_refused() -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            huge = dataclasses.replace(PRESETS["P720p30fps16x9"], name="x" * (1 << 20))
            with pytest.raises(TranscodeError) as failure:
                await pool.transcode(
                    TranscodeRequest(input_path="", profiles=(huge,)), deadline_s=5, content_hash=b"", stream_key=""
                )
            assert failure.value.text == Text.INVALID_ARGUMENT

    asyncio.run(story())


def test_a_rendition_longer_than_a_gateway_takes_is_a_runaway_and_costs_no_child(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics, memory_limit_bytes=4 << 30)) as pool:
            with pytest.raises(TranscodeError) as failure:
                await order(pool, "fine 300000001", folder_for(tmp_path))
            assert failure.value.text == Text.RUNAWAY
        assert not metrics.counted

    asyncio.run(story())


def test_a_chatty_child_is_heard_no_faster_than_we_listen_and_works_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            assert await count(order(pool, "talk 1024", folder_for(tmp_path))) == 1

    asyncio.run(story())


def test_a_child_is_replaced_after_its_share_of_jobs(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(children=1, recycle_after_jobs=3, metrics=metrics)) as pool:
            folders = [folder_for(tmp_path) for _ in range(9)]
            for folder in folders:
                assert await count(order(pool, "fine 100", folder)) == 1
            workers = [tries(folder)[0] for folder in folders]
            assert len(set(workers)) == 3
            assert workers == sorted(workers, key=workers.index)
            await until(lambda: metrics.counted["engine_restarts_total recycled"] == 3)

    asyncio.run(story())


def test_signals_of_a_terminal_or_service_manager_leave_the_work_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            folder = folder_for(tmp_path)
            assert await count(order(pool, "interrupt", folder)) == 1
            assert len(tries(folder)) == 1
            assert os.getpgid(tries(folder)[0]) == tries(folder)[0] != os.getpgid(0)

    asyncio.run(story())


def test_no_secret_of_the_environment_reaches_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BATON_ETH_PASSWORD", "LP_ETHPASSWORD", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    async def story() -> None:
        async with running(make_pool()) as pool:
            with pytest.raises(TranscodeError) as told:
                await order(pool, "environment", folder_for(tmp_path))
            names = set(told.value.detail.split())
            assert {"PYTHONPATH", "CUDA_VISIBLE_DEVICES", "GLIBC_TUNABLES"} <= names
            assert not [name for name in names if name.startswith(("BATON_", "LP_", "AWS_", "DATABASE"))]

    asyncio.run(story())


def test_a_child_dumps_no_core_dies_before_the_node_and_steps_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(command=dataclasses.replace(ODD, niceness=3))) as pool:
            with pytest.raises(TranscodeError) as told:
                await order(pool, "limits", folder_for(tmp_path))
            assert told.value.detail == f"core 0 oom 500 nice {os.nice(0) + 3}"

    asyncio.run(story())


def test_a_probe_tells_what_the_engine_found() -> None:
    async def story() -> None:
        pool = make_pool()
        await pool.start()
        try:
            report = await pool.probe()
        finally:
            await pool.stop()
        assert pool._tuning.hevc_encoding is Choice.OFF, "what was not proven is not made either"
        assert report == EngineReport(
            capability_ids=(0, 1), refused=((2, "no such thing"),), engine="odd 1", encoders=("libodd",)
        )
        assert child_pids() == set()

    asyncio.run(story())


def test_what_failed_in_a_later_probe_is_tried_again_by_the_next(tmp_path: Path) -> None:
    """A device that proved HEVC once and failed with it under strain would stay out of use for good otherwise."""
    script = tmp_path / "probes"
    script.write_text("nothing hevc h264 hevc", encoding="ascii")
    command = dataclasses.replace(
        ODD, probe="tests.media.misbehaving_engine:probe_by_turns", environment=(("PROBES", str(script)),)
    )

    async def story() -> list[tuple[int, ...]]:
        pool = make_pool(command=command)
        await pool.start()
        try:
            with pytest.raises(StartError):
                await pool.probe()
            return [(await pool.probe()).capability_ids for _ in range(3)]
        finally:
            await pool.stop()

    both = (Capability.H264, Capability.HEVC_ENCODE)
    assert asyncio.run(story()) == [both, both[:1], both]


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (make_pool(command=dataclasses.replace(ODD, probe="tests.media.misbehaving_engine:probe_gone")), "nothing for"),
        (make_pool(tuning=EncoderTuning(preset="crash")), "crashed"),
        (
            make_pool(command=dataclasses.replace(ODD, probe="tests.media.misbehaving_engine:probe_nothing")),
            "such call$",
        ),
    ],
    ids=["refused", "crashed", "nothing works"],
)
def test_a_probe_that_fails_ends_the_start(pool: EnginePool, words: str) -> None:
    async def story() -> None:
        await pool.start()
        try:
            with pytest.raises(StartError, match=words) as failure:
                await pool.probe()
            assert failure.value.exit_code is ExitCode.ENGINE
        finally:
            await pool.stop()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (ChildCommand(transcode="tests.media.no_such_engine:transcode", probe="x:y"), "No module named"),
        (ChildCommand(transcode="os:no_such_function", probe="x:y"), "no_such_function"),
    ],
)
def test_an_engine_that_does_not_load_ends_the_start_with_its_last_words(command: ChildCommand, words: str) -> None:
    async def story() -> None:
        pool = make_pool(command=command)
        with pytest.raises(StartError, match=words) as failure:
            await pool.start()
        assert failure.value.exit_code is ExitCode.ENGINE
        assert child_pids() == set()

    asyncio.run(story())


def test_the_node_process_loads_no_codec() -> None:
    program = "import sys, baton.media.pool, baton.video.local; print(sorted(m for m in sys.modules if 'av' == m[:2]))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "[]"
