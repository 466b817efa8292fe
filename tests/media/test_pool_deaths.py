"""The engine pool when children crash, hang, lie, grow, are suspended or killed: one segment pays, nobody else."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest

from baton.kernel.clock import ManualClock
from baton.kernel.errors import Text, TranscodeError
from baton.media.job import TranscodeOutput
from baton.media.process import ChildCommand
from tests.media.misbehaving_engine import LIES
from tests.media.pooling import (
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


@pytest.mark.parametrize("words", ["crash", "exit 0", "exit 3", "close", "stop"])
def test_a_first_death_costs_not_even_its_segment(tmp_path: Path, words: str) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            folder = folder_for(tmp_path)
            assert await count(order(pool, f"first {words}", folder)) == 1
            assert len(set(tries(folder))) == 2
            await until(lambda: len(pool.children) == 3)
            assert tries(folder)[0] not in pool.pids
        cause = "stopped" if words == "stop" else "crashed"
        assert metrics.counted == {f"engine_restarts_total {cause}": 1}

    asyncio.run(story())


def test_an_engine_that_asks_for_a_restart_gets_it_and_its_segment_another_try(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            folder = folder_for(tmp_path)
            assert await count(order(pool, f"first refuse {Text.UNRECOVERABLE}", folder)) == 1
            assert len(set(tries(folder))) == 2
            again = folder_for(tmp_path)
            assert await _text_of(order(pool, f"refuse {Text.UNRECOVERABLE}", again)) == Text.UNRECOVERABLE
            assert len(set(tries(again))) == 2
        assert metrics.counted == {"engine_restarts_total unrecoverable": 3}

    asyncio.run(story())


def test_a_child_that_the_kernel_holds_on_to_costs_its_place_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = os.killpg
    stuck: set[int] = set()

    def kill_unless_stuck(pid: int, number: int) -> None:
        if pid not in stuck:
            kill(pid, number)

    monkeypatch.setattr(os, "killpg", kill_unless_stuck)

    async def story() -> None:
        limits = dataclasses.replace(QUICK, keepers=dataclasses.replace(QUICK.keepers, burial_s=0.1))
        pool = make_pool(children=1, limits=limits)
        async with running(pool):
            await until(lambda: len(pool.children) == 2)
            stuck.update(pool.pids)
            for _ in stuck:
                folder = folder_for(tmp_path)
                # A child that dies on us; by its own hand it cannot end, being stopped first.
                assert await _text_of(order(pool, "hang", folder, deadline_s=1.5)) == Text.TRANSCODER_STOPPED
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="other")) == 1
            await until(lambda: len(pool.children) == 2 and not stuck & set(pool.pids))
            assert stuck < child_pids()
            for pid in stuck:
                kill(pid, signal.SIGKILL)
            await until(lambda: not stuck & child_pids())

    asyncio.run(story())


def test_content_that_kills_twice_is_unrecoverable_and_then_refused_without_a_child(tmp_path: Path) -> None:
    async def story() -> None:
        metrics, clock = CountingMetrics(), ManualClock()
        async with running(make_pool(metrics=metrics, clock=clock)) as pool:
            folder = folder_for(tmp_path)
            for _ in range(3):
                with pytest.raises(TranscodeError) as failure:
                    await order(pool, "crash", folder, content=b"poison")
                assert failure.value.text == "Unrecoverable state, restart process"
                assert not failure.value.retryable
            assert len(tries(folder)) == 2
            assert metrics.counted["poison_refusals_total"] == 2
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="stream")) == 1
            clock.advance(3600)
            assert await count(order(pool, "fine 100", folder_for(tmp_path), content=b"poison")) == 1

    asyncio.run(story())


def test_what_died_while_its_device_was_broken_is_held_against_nobody(tmp_path: Path) -> None:
    """And what died before that still is."""

    async def story() -> None:
        clock = ManualClock()
        async with running(make_pool(clock=clock)) as pool:
            for content, stream in ((b"bad", "bad"), (b"unlucky", "unlucky")):
                clock.advance(10)
                with pytest.raises(TranscodeError):
                    await order(pool, "crash", folder_for(tmp_path), content=content, stream=stream)
            for number in range(2):
                with pytest.raises(TranscodeError):
                    await order(pool, "crash", folder_for(tmp_path), content=b"%d" % number, stream="unlucky")
            assert await _text_of(order(pool, "fine 1", folder_for(tmp_path), stream="unlucky")) == "TranscoderStopped"
            pool.renew(blameless_since_s=clock.monotonic() - 1, displace=False)
            assert await count(order(pool, "fine 1", folder_for(tmp_path), content=b"unlucky", stream="unlucky")) == 1
            again = order(pool, "fine 1", folder_for(tmp_path), content=b"bad", stream="other")
            assert await _text_of(again) == Text.UNRECOVERABLE

    asyncio.run(story())


def test_a_stream_that_keeps_killing_is_sent_elsewhere_for_a_while(tmp_path: Path) -> None:
    async def story() -> None:
        metrics, clock = CountingMetrics(), ManualClock()
        async with running(make_pool(metrics=metrics, clock=clock)) as pool:
            folders = [folder_for(tmp_path) for _ in range(3)]
            for folder in folders:
                with pytest.raises(TranscodeError) as failure:
                    await order(pool, "crash", folder, stream="bad")
                assert failure.value.text == Text.UNRECOVERABLE
            # Only the first gets a second try: a stream that struck lately does not take two children at a time.
            assert [len(tries(folder)) for folder in folders] == [2, 1, 1]
            with pytest.raises(TranscodeError) as quarantine:
                await order(pool, "fine 100", folder_for(tmp_path), stream="bad")
            assert quarantine.value.text == "TranscoderStopped"
            assert quarantine.value.retryable
            assert metrics.counted["poison_refusals_total"] == 1
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="good")) == 1
            clock.advance(120)
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="bad")) == 1

    asyncio.run(story())


def test_sigkill_in_mid_segment_leaves_all_other_streams_unharmed(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(children=3)) as pool, asyncio.TaskGroup() as group:

            async def stream(name: str) -> int:
                return sum(
                    [
                        len((await order(pool, "fine 100", folder_for(tmp_path), stream=name)).renditions)
                        for _ in range(30)
                    ]
                )

            victims = [folder_for(tmp_path) for _ in range(3)]
            others = [group.create_task(stream(f"other {n}")) for n in range(2)]
            for victim in victims:
                job = group.create_task(order(pool, "first hang", victim, stream=victim.name))
                await until(lambda victim=victim: bool(tries(victim)))  # type: ignore[misc]  # bound early on purpose
                os.kill(tries(victim)[0], signal.SIGKILL)
                assert len((await job).renditions) == 1
                assert len(set(tries(victim))) == 2
            assert [await other for other in others] == [30, 30]

    asyncio.run(story())


def test_a_segment_that_hangs_ends_at_its_deadline_and_other_jobs_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool, asyncio.TaskGroup() as group:
            folder = folder_for(tmp_path)
            hung = group.create_task(_text_of(order(pool, "hang", folder, deadline_s=2.0, content=b"slow")))
            await until(lambda: bool(tries(folder)))
            for _ in range(20):
                assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="other")) == 1
            assert await hung == Text.TRANSCODER_STOPPED
            assert tries(folder)[0] not in pool.pids
            # The second time counts as poison: what hangs twice is not tried a third time.
            assert (
                await _text_of(order(pool, "hang", folder, deadline_s=1.5, content=b"slow")) == Text.TRANSCODER_STOPPED
            )
            assert await _text_of(order(pool, "hang", folder, deadline_s=30, content=b"slow")) == Text.UNRECOVERABLE
            assert len(tries(folder)) == 2
        assert metrics.counted["engine_restarts_total deadline"] == 2

    asyncio.run(story())


def test_a_job_that_got_only_the_end_of_its_time_is_not_to_blame(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool(children=1)) as pool, asyncio.TaskGroup() as group:
            blocker_folder, folder = folder_for(tmp_path), folder_for(tmp_path)
            blocker = group.create_task(order(pool, "hang", blocker_folder, stream="blocker"))
            await until(lambda: bool(tries(blocker_folder)))
            started = time.monotonic()
            late = group.create_task(_text_of(order(pool, "hang", folder, deadline_s=4.0, content=b"late")))
            await until(lambda: time.monotonic() - started > 2.5)
            blocker.cancel()
            assert await late == Text.TRANSCODER_STOPPED
            assert len(tries(folder)) == 1
            # Were it suspect, it would not get its second try now.
            assert await count(order(pool, "first crash", folder_for(tmp_path), content=b"late")) == 1

    asyncio.run(story())


def test_a_cancelled_job_kills_its_child_and_a_fresh_one_takes_over(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(children=1, metrics=metrics)) as pool, asyncio.TaskGroup() as group:
            folder = folder_for(tmp_path)
            job = group.create_task(order(pool, "hang", folder))
            await until(lambda: bool(tries(folder)))
            job.cancel()
            await asyncio.wait([job])
            assert job.cancelled()
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1
            await until(lambda: len(pool.children) == 2)
            assert tries(folder)[0] not in child_pids()
            # A caller that leaves is no strike against the content.
            assert await count(order(pool, "first crash", folder_for(tmp_path), content=os.fsencode(folder.name))) == 1
        assert metrics.counted["engine_restarts_total cancelled"] == 1

    asyncio.run(story())


def test_a_child_that_outgrows_its_memory_is_killed_and_the_segment_not_tried_again(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics, memory_limit_bytes=200 << 20)) as pool:
            folder = folder_for(tmp_path)
            assert await _text_of(order(pool, "grow 400", folder)) == Text.UNRECOVERABLE
            assert len(tries(folder)) == 1
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="other")) == 1
        assert metrics.counted == {"engine_restarts_total memory": 1}

    asyncio.run(story())


def test_a_child_that_stays_large_at_rest_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        # What a bare child takes differs between interpreters; the limit lies above it, and half of the limit below.
        async with running(make_pool(children=1)) as bare:
            await until(lambda: any(child.rss_bytes for child in bare.children))
            bare_bytes = max(child.rss_bytes for child in bare.children)
        pool = make_pool(children=1, metrics=metrics, memory_limit_bytes=bare_bytes * 3 // 2)
        async with running(pool):
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1
            await until(lambda: metrics.counted["engine_restarts_total recycled"] == 1)

    asyncio.run(story())


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie not in {"half", "twice"}])
def test_a_child_that_lies_is_killed_at_once_and_the_segment_tried_elsewhere(tmp_path: Path, lie: str) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            folder = folder_for(tmp_path)
            assert await count(order(pool, f"first say {lie}", folder)) == 1
            assert len(tries(folder)) == 2
        assert metrics.counted == {"engine_restarts_total garbage": 1}

    asyncio.run(story())


@pytest.mark.parametrize("words", ["say noise", "exit 1", "close"])
def test_what_happens_at_once_after_a_job_is_taken_is_held_against_it(tmp_path: Path, words: str) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            for _ in range(2):
                folder = folder_for(tmp_path)
                assert await _text_of(order(pool, words, folder, stream=folder.name)) == Text.UNRECOVERABLE
                assert len(tries(folder)) == 2

    asyncio.run(story())


def test_half_an_answer_is_no_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            folder = folder_for(tmp_path)
            assert await _text_of(order(pool, "say half", folder, deadline_s=2.0)) == Text.TRANSCODER_STOPPED
            assert len(tries(folder)) == 1

    asyncio.run(story())


def test_a_child_that_answers_twice_is_not_believed_once(tmp_path: Path) -> None:
    async def story() -> None:
        metrics = CountingMetrics()
        async with running(make_pool(metrics=metrics)) as pool:
            output = await order(pool, "first say twice", folder_for(tmp_path))
            assert len(output.renditions[0].data) == 1000
        assert metrics.counted == {"engine_restarts_total garbage": 1}

    asyncio.run(story())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_children_that_die_while_idle_are_replaced_and_jobs_never_notice(
    tmp_path: Path, number: signal.Signals
) -> None:
    async def story() -> None:
        async with running(make_pool()) as pool:
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1
            await until(lambda: len(pool.children) == 3)
            before = pool.pids
            for pid in before:
                os.kill(pid, number)
            assert await count(order(pool, "fine 100", folder_for(tmp_path), stream="other")) == 1
            await until(lambda: len(pool.children) == 3 and not set(before) & set(pool.pids))
            assert set(before).isdisjoint(child_pids())

    asyncio.run(story())


def test_a_child_that_does_not_take_its_job_is_replaced_and_the_job_not_blamed(tmp_path: Path) -> None:
    async def story() -> None:
        # So slow a watch would not see the suspended child; only the unanswered job tells.
        keepers = dataclasses.replace(QUICK.keepers, watch_interval_s=60.0)
        limits = dataclasses.replace(QUICK, accept_timeout_s=1.0, keepers=keepers)
        metrics = CountingMetrics()
        async with running(make_pool(children=1, limits=limits, metrics=metrics)) as pool:
            await until(lambda: len(pool.children) == 2)
            for pid in pool.pids:
                os.kill(pid, signal.SIGSTOP)
            assert await count(order(pool, "first crash", folder_for(tmp_path))) == 1
        assert metrics.counted["engine_restarts_total unresponsive"] == 2
        assert metrics.counted["engine_restarts_total crashed"] == 1

    asyncio.run(story())


def test_an_engine_that_stops_loading_is_retried_with_pauses_and_jobs_are_told(tmp_path: Path) -> None:
    (tmp_path / "fickle.py").write_text(
        "import pathlib\n"
        "from tests.media.misbehaving_engine import probe, transcode\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / f'load-{len(list(here.glob(\"load-*\")))}').touch()\n"
        "if (here / 'broken').exists(): raise SystemExit(9)\n",
        encoding="utf-8",
    )

    async def story() -> None:
        metrics = CountingMetrics()
        keepers = dataclasses.replace(QUICK.keepers, pause_first_s=0.2, pause_most_s=0.4)
        command = ChildCommand(transcode="fickle:transcode", probe="fickle:probe", niceness=0)
        pool = make_pool(
            children=1, command=command, metrics=metrics, limits=dataclasses.replace(QUICK, keepers=keepers)
        )
        async with running(pool):
            await until(lambda: len(pool.children) == 2)
            (tmp_path / "broken").touch()
            for pid in pool.pids:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: not pool.children)
            failing_since = time.monotonic()
            assert await _text_of(order(pool, "fine 100", folder_for(tmp_path), deadline_s=0.5)) == Text.NO_TRANSCODER
            await until(lambda: metrics.counted["engine_restarts_total no_start"] >= 6)
            # Six failures in two places: one place has failed three times, and paused 0.2 and 0.4 s in between.
            assert time.monotonic() - failing_since > 0.5
            (tmp_path / "broken").unlink()
            assert await count(order(pool, "fine 100", folder_for(tmp_path))) == 1

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        asyncio.run(story())


def test_stopping_the_pool_ends_jobs_in_hand_and_in_line_with_transcoder_stopped(tmp_path: Path) -> None:
    async def story() -> None:
        pool = make_pool(children=1)
        async with asyncio.TaskGroup() as group:
            async with running(pool):
                folder = folder_for(tmp_path)
                jobs = [group.create_task(_text_of(order(pool, "hang", folder))) for _ in range(3)]
                await until(lambda: bool(tries(folder)) and pool.waiting == 2)
                await pool.stop()
                assert child_pids() == set()
                assert [await job for job in jobs] == [Text.TRANSCODER_STOPPED] * 3
            assert await _text_of(order(pool, "fine 100", folder)) == Text.TRANSCODER_STOPPED

    asyncio.run(story())


def test_cancelling_the_service_without_a_stop_leaves_no_process_either(tmp_path: Path) -> None:
    async def story() -> None:
        pool = make_pool()
        await pool.start()
        async with asyncio.TaskGroup() as group:
            service = group.create_task(pool.run())
            await until(lambda: len(pool.children) == 3)
            folder = folder_for(tmp_path)
            job = group.create_task(_text_of(order(pool, "hang", folder)))
            await until(lambda: bool(tries(folder)))
            service.cancel()
            assert await job == Text.TRANSCODER_STOPPED
        assert child_pids() == set()

    asyncio.run(story())


def test_children_do_not_outlive_a_node_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from tests.media.pooling import make_pool, order, running\n"
        "async def main():\n"
        "    async with running(make_pool(children=1)) as pool:\n"
        "        print(*pool.pids, flush=True)\n"
        "        await order(pool, 'hang', pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(main())\n"
    )
    folder = folder_for(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        pids = [int(pid) for pid in node.stdout.readline().split()]
        asyncio.run(until(lambda: bool(tries(folder))))
        assert tries(folder)[0] in pids
        node.kill()
        asyncio.run(until(lambda: not any(_alive(pid) for pid in pids)))


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def _text_of(job: Awaitable[TranscodeOutput]) -> str:
    """What a gateway reads about a job that fails."""
    with pytest.raises(TranscodeError) as failure:
        await job
    return failure.value.text
