"""Several programs at one cache on disk, and programs that are killed while they write."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import cycle
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
import torch

from videollm.encodings.disk import FORMAT, DiskCache
from videollm.encodings.keys import EncodingKey
from videollm.encodings.medium import Medium
from videollm.encodings.parts import SUFFIX, written_aside
from videollm.encodings.stored import pack

Make = Callable[..., Medium]
Told = Callable[[Medium], dict[str, Any]]
Keys = list[EncodingKey]

# A copy of this process: what it needs is imported there already.
FORK = get_context("fork")


def parts(disk: DiskCache) -> list[Path]:
    return list((disk.directory / FORMAT).glob(f"*{SUFFIX}"))


def keep(directory: Path, max_bytes: int, keys: Keys, medium: Medium, *, for_ever: bool = False) -> None:
    torch.set_num_threads(1)  # the threads of the parent are not there
    disk = DiskCache(directory, max_bytes)
    for key in cycle(keys) if for_ever else keys:
        disk.put(key, medium)


def die_while_writing(directory: Path) -> None:
    with written_aside(directory / FORMAT, b"all of it, but under no name yet"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_program_killed_before_its_file_has_a_name_leaves_nothing_for_long(
    disk: DiskCache, keys: Keys, make: Make
) -> None:
    disk.put(keys[0], make(0))
    killed = FORK.Process(target=die_while_writing, args=(disk.directory,))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(parts(disk)) == 1
    assert disk.contents()[FORMAT].entries == 1
    disk.put(keys[1], make(1))
    assert parts(disk) == []
    assert all(disk.get(key) is not None for key in keys[:2])


@pytest.mark.parametrize("after_parts", [1, 4, 9])
def test_a_program_killed_at_any_moment_leaves_only_whole_files(
    disk: DiskCache, keys: Keys, make: Make, after_parts: int, caplog: pytest.LogCaptureFixture
) -> None:
    medium = make(0, rows=4000, width=64)
    disk.put(keys[0], medium)
    arguments = (disk.directory, disk.max_bytes, keys[:4], medium)
    writer = FORK.Process(target=keep, args=arguments, kwargs={"for_ever": True})
    writer.start()
    seen: set[Path] = set()
    while len(seen) < after_parts:
        assert writer.is_alive()
        seen.update(parts(disk))
    os.kill(writer.pid, signal.SIGKILL)  # type: ignore[arg-type]
    writer.join()
    found = [disk.get(key) for key in keys[:4]]
    assert found[0] is not None
    whole = [one.encoded.tokens_KD for one in found if one is not None]
    assert all(torch.equal(tokens, medium.encoded.tokens_KD) for tokens in whole)
    assert caplog.messages == []
    disk.put(keys[5], make(5))
    assert parts(disk) == []
    assert disk.get(keys[5]) is not None


def test_the_cap_holds_when_several_programs_write_at_once(
    disk: DiskCache, keys: Keys, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    medium = make(0, rows=100)
    max_bytes = 5 * len(pack(keys[0].text, medium)) + 100
    writers = [
        FORK.Process(target=keep, args=(disk.directory, max_bytes, keys[first::2], medium))
        for first in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    kept = disk.contents()[FORMAT]
    assert 1 <= kept.entries <= 5
    assert kept.bytes <= max_bytes
    found = [one for key in keys if (one := disk.get(key)) is not None]
    assert len(found) == kept.entries
    assert all(told(one) == told(medium) for one in found)
    assert parts(disk) == []
    assert caplog.messages == []


def keep_in_step(directory: Path, max_bytes: int, keys: Keys, medium: Medium, step: Barrier) -> None:
    torch.set_num_threads(1)
    disk = DiskCache(directory, max_bytes)
    for key in keys:
        step.wait()
        disk.put(key, medium)
        step.wait()


def test_the_cap_holds_when_two_programs_write_at_the_same_moment(
    disk: DiskCache, keys: Keys, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    medium = make(0, rows=100)
    max_bytes = len(pack(keys[-1].text, medium)) + 10  # one, and no two
    step = FORK.Barrier(3, timeout=60)
    writers = [
        FORK.Process(target=keep_in_step, args=(disk.directory, max_bytes, keys[first::2], medium, step))
        for first in range(2)
    ]
    for writer in writers:
        writer.start()
    kept = []
    for _ in keys[::2]:
        step.wait()  # both begin
        step.wait()  # both are done
        kept.append(disk.contents()[FORMAT])
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert {contents.entries for contents in kept} == {1}
    assert max(contents.bytes for contents in kept) <= max_bytes
    assert disk.get(keys[-1]) is not None or disk.get(keys[-2]) is not None
    assert parts(disk) == []
    assert caplog.messages == []
