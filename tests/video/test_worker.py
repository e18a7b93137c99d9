"""Reading happens in processes that may hang, crash and be killed without harm to the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from videollm.errors import CancelledError, ConfigError, UnreadableVideoError
from videollm.video import DecodeLimits, decode_frames, given_up_when, plan_frames, probe, warm_up
from videollm.video.worker import WorkerPool, run_in_worker

LIMITS = DecodeLimits()


def call(task: Callable[..., object], *arguments: object, limits: DecodeLimits = LIMITS) -> object:
    return run_in_worker(task, *arguments, limits=limits, subject="clip.mp4")[0]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # A zombie with threads left is still on its way out.
    return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to pass in 30 seconds")


def test_a_task_runs_in_another_process_which_is_kept() -> None:
    first = call(os.getpid)
    assert first != os.getpid()
    assert call(os.getpid) == first


def test_a_worker_loads_no_torch(make_clip: Callable[..., Path]) -> None:
    probe(make_clip("mp4"))
    loaded = call(eval, "set(__import__('sys').modules)")
    assert "av" in loaded
    assert not {"torch", "transformers"} & loaded


def test_a_hang_ends_at_the_time_limit() -> None:
    with pytest.raises(UnreadableVideoError, match=r"clip\.mp4.*longer than 0\.5 s"):
        call(time.sleep, 1000, limits=DecodeLimits(seconds=0.5))
    assert call(len, "next") == 4


def test_what_nobody_waits_for_any_more_is_given_up_and_its_process_ends() -> None:
    pid = call(os.getpid)
    stopped = threading.Event()
    threading.Timer(0.3, stopped.set).start()
    with given_up_when(stopped.is_set), pytest.raises(CancelledError, match=r"clip\.mp4"):
        call(time.sleep, 1000)
    assert isinstance(pid, int)
    assert not is_running(pid)
    assert call(len, "next") == 4


def test_what_is_given_up_in_one_thread_goes_on_in_others() -> None:
    with given_up_when(lambda: True), ThreadPoolExecutor(1) as other:
        assert other.submit(call, eval, "__import__('time').sleep(0.5) or 7").result() == 7


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_crash_becomes_an_error_and_the_next_call_works(name: str) -> None:
    before = call(os.getpid)
    with pytest.raises(UnreadableVideoError, match=rf"clip\.mp4.*{name}"):
        call(signal.raise_signal, signal.Signals[name])
    assert call(os.getpid) != before


def test_a_process_that_just_leaves_is_told_by_its_exit_code() -> None:
    with pytest.raises(UnreadableVideoError, match="exit 3"):
        call(os._exit, 3)


def test_a_memory_bomb_is_stopped() -> None:
    with pytest.raises(UnreadableVideoError, match="more memory than allowed"):
        call(bytearray, 2_000_000_000, limits=DecodeLimits(memory_bytes=1_000_000_000))
    assert call(len, "next") == 4


def test_a_larger_allowance_is_given_to_the_same_worker_later() -> None:
    with pytest.raises(UnreadableVideoError, match="memory"):
        call(bytearray, 500_000_000, limits=DecodeLimits(memory_bytes=300_000_000))
    assert call(len, b"x") == 1
    assert len(call(bytearray, 1000)) == 1000


def test_our_own_errors_pass_through_and_mistakes_stay_visible() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        call(DecodeLimits, 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        call(divmod, 1, 0)


def test_threads_are_served_side_by_side(
    make_clip: Callable[..., Path], numbers: Callable[..., list[int]]
) -> None:
    clip = make_clip("mp4")
    plan = plan_frames(probe(clip), fps=2, max_frames=4)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: decode_frames(clip, plan), range(16)))
    assert all(numbers(result.frames_THW3) == [5, 15, 25, 35] for result in results)


def test_a_pool_keeps_to_its_size_and_ends_its_workers() -> None:
    pool = WorkerPool(2)
    with ThreadPoolExecutor(6) as threads:
        pids = {
            pid for pid, _ in threads.map(lambda _: pool.call(os.getpid, (), LIMITS, "clip.mp4"), range(24))
        }
    assert 1 <= len(pids) <= 2
    pool.close()
    wait_until(lambda: not any(is_running(pid) for pid in pids))


def test_a_worker_killed_while_idle_is_replaced() -> None:
    pid = call(os.getpid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_running(pid))
    assert call(os.getpid) != pid


def test_a_forked_child_starts_workers_of_its_own() -> None:
    """Data loaders fork: parent and child must not read each other's answers from one pipe."""
    program = (
        "import os\n"
        "from videollm.video.worker import run_in_worker\n"
        "from videollm.video import DecodeLimits\n"
        "ask = lambda: run_in_worker(os.getpid, limits=DecodeLimits(), subject='x')[0]\n"
        "first = ask()\n"
        "child = os.fork()\n"
        "if child == 0:\n    os._exit(0 if ask() not in (first, os.getppid()) else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(os.waitstatus_to_exitcode(status), ask() == first)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("task", ["len, 'idle'", "time.sleep, 1000"])
def test_workers_die_with_a_killed_parent(task: str) -> None:
    program = (
        "import os, sys, threading, time\n"
        "from videollm.video.worker import WorkerPool\n"
        "from videollm.video import DecodeLimits\n"
        "pool = WorkerPool(1)\n"
        "print(pool.call(os.getpid, (), DecodeLimits(), 'x')[0], flush=True)\n"
        f"task, argument = {task}\n"
        "threading.Thread(target=pool.call, args=(task, (argument,), DecodeLimits(), 'x'), daemon=True).start()\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.kill()
    wait_until(lambda: not is_running(worker))


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    with ThreadPoolExecutor(1) as thread:
        pid = thread.submit(call, os.getpid).result()
    time.sleep(0.2)
    assert is_running(pid)
    assert isinstance(call(os.getpid), int)


def test_warming_up_starts_the_worker_that_then_reads() -> None:
    warm_up()
    assert isinstance(call(os.getpid), int)
