"""Calls that may never return: one at a time, each with a deadline, and none waits behind one that hangs."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from baton.devices.driver_thread import DriverBusyError, DriverThread
from baton.kernel.clock import ManualClock, SystemClock
from tests.support import eventually, run


def thread() -> DriverThread:
    return DriverThread(name="test", clock=SystemClock())


def test_calls_run_in_one_other_thread_and_give_what_they_return() -> None:
    async def body() -> None:
        driver = thread()
        idents = await asyncio.gather(*(driver.call(threading.get_ident, timeout_s=5) for _ in range(5)))
        assert len(set(idents)) == 1
        assert idents[0] != threading.get_ident()
        driver.close()

    run(body())


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("the driver's own"), KeyboardInterrupt()], ids=repr)
def test_what_a_call_raises_reaches_the_caller(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def body() -> None:
        driver = thread()
        with pytest.raises(type(error)) as raised:
            await driver.call(fail, timeout_s=5)
        assert raised.value is error
        assert await driver.call(lambda: 1, timeout_s=5) == 1
        driver.close()

    run(body())


def test_call_that_hangs_is_left_alone_and_refuses_the_next_at_once() -> None:
    async def body() -> None:
        clock, release = ManualClock(), threading.Event()
        driver = DriverThread(name="test", clock=clock)
        with pytest.raises(DriverBusyError) as first:
            await driver.call(release.wait, timeout_s=0.05)
        assert first.value.fresh
        clock.advance(40)
        assert driver.silent_for_s == 40
        with pytest.raises(DriverBusyError, match="40 s") as second:
            await driver.call(lambda: 1, timeout_s=60)
        assert not second.value.fresh
        release.set()
        await eventually(lambda: driver.silent_for_s == 0, what="the call has come back")
        assert await driver.call(lambda: 2, timeout_s=5) == 2
        driver.close()

    run(body())


def test_call_behind_one_that_nobody_waits_for_names_the_driver_and_not_itself() -> None:
    async def body() -> None:
        driver, release, inside = thread(), threading.Event(), threading.Event()

        def hang() -> None:
            inside.set()
            release.wait()

        given_up = asyncio.ensure_future(driver.call(hang, timeout_s=60))
        await eventually(inside.is_set, what="the call runs")
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(DriverBusyError) as raised:
            await driver.call(lambda: 1, timeout_s=0.05)
        assert not raised.value.fresh
        release.set()
        await eventually(lambda: driver.silent_for_s == 0, what="the call has come back")
        driver.close()

    run(body())


def test_calls_given_up_before_their_turn_never_run() -> None:
    async def body() -> None:
        driver, release, ran = thread(), threading.Event(), []
        first = asyncio.ensure_future(driver.call(release.wait, timeout_s=60))
        second = asyncio.ensure_future(driver.call(lambda: ran.append(2), timeout_s=60))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        await first
        assert await driver.call(lambda: 3, timeout_s=5) == 3
        assert ran == []
        driver.close()

    run(body())


def test_calls_that_wait_are_bounded() -> None:
    async def body() -> None:
        driver, release = thread(), threading.Event()
        calls = [asyncio.ensure_future(driver.call(release.wait, timeout_s=60)) for _ in range(40)]
        refused = await eventually(lambda: [call for call in calls if call.done()], what="some are refused")
        assert all(isinstance(call.exception(), DriverBusyError) for call in refused)
        assert len(refused) >= 40 - 17
        release.set()
        await asyncio.gather(*calls, return_exceptions=True)
        driver.close()

    run(body())


def test_answer_after_the_loop_has_ended_goes_nowhere() -> None:
    release = threading.Event()
    driver = thread()

    async def ask() -> None:
        with pytest.raises(DriverBusyError):
            await driver.call(release.wait, timeout_s=0.05)

    run(ask())
    release.set()

    async def ask_again() -> int:
        await eventually(lambda: driver.silent_for_s == 0, what="the call has come back")
        return await driver.call(lambda: 4, timeout_s=5)

    assert run(ask_again()) == 4
    driver.close()


def test_closed_thread_ends_and_takes_no_more() -> None:
    async def body() -> None:
        driver = thread()
        worker: Callable[[], threading.Thread] = threading.current_thread
        ended = await driver.call(worker, timeout_s=5)
        driver.close()
        await eventually(lambda: not ended.is_alive(), what="the thread has ended")
        with pytest.raises(DriverBusyError):
            await driver.call(lambda: 1, timeout_s=5)

    run(body())
