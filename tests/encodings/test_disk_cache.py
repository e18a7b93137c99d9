"""Encoded media on disk: found again, never half there, never more than may be kept, never a reason to fail."""

from __future__ import annotations

import logging
import os
import resource
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from videollm.encodings.disk import FORMAT, Contents, DiskCache
from videollm.encodings.keys import EncodingKey
from videollm.encodings.medium import Medium
from videollm.encodings.parts import written_aside
from videollm.encodings.stored import pack
from videollm.errors import OutputError

Make = Callable[..., Medium]
Told = Callable[[Medium], dict[str, Any]]
Keys = list[EncodingKey]
Unprivileged = Callable[[], AbstractContextManager[None]]


def files(disk: DiskCache) -> list[Path]:
    return sorted((disk.directory / FORMAT).iterdir())


def size_of(disk: DiskCache) -> int:
    return sum(path.stat().st_size for path in files(disk))


@pytest.fixture
def public_directory() -> Iterator[Path]:
    """A directory that everybody may look into and only its owner change; those of pytest nobody else may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        Path(name).chmod(0o755)


@contextmanager
def no_file_above(size_bytes: int) -> Iterator[None]:
    """Has the system refuse what is written beyond a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_put_is_found_by_whoever_comes_later(
    disk: DiskCache, keys: Keys, make: Make, told: Told
) -> None:
    disk.put(keys[0], make(0))
    disk.put(keys[1], make(1))
    later = DiskCache(disk.directory)
    assert [told(later.get(key)) for key in keys[:2]] == [told(make(0)), told(make(1))]  # type: ignore[arg-type]
    assert later.get(keys[2]) is None


def test_a_new_medium_takes_the_place_of_the_one_before(
    disk: DiskCache, keys: Keys, make: Make, told: Told
) -> None:
    disk.put(keys[0], make(0))
    disk.put(keys[0], make(1))
    found = disk.get(keys[0])
    assert found is not None
    assert told(found) == told(make(1))
    assert len(files(disk)) == 1


def test_one_can_tell_without_a_model_that_something_was_kept(
    disk: DiskCache, keys: Keys, make: Make
) -> None:
    assert not disk.expects(keys[0].looked_at)
    disk.put(keys[0], make(0))
    assert disk.expects(keys[0].looked_at)
    assert not disk.expects(keys[1].looked_at)
    assert disk.get(EncodingKey(keys[0].looked_at, "other weights")) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"This is no such file.",
    ],
    ids=["empty", "half", "longer", "flipped", "foreign"],
)
def test_a_damaged_file_is_a_miss_is_removed_and_told_of_once(
    disk: DiskCache,
    keys: Keys,
    make: Make,
    spoil: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for key in keys[:2]:
        disk.put(key, make(0))
    for path in files(disk):
        path.write_bytes(spoil(path.read_bytes()))
    assert [disk.get(key) for key in keys[:2]] == [None, None]
    assert files(disk) == []
    (line,) = caplog.messages
    assert "it is removed, and its video encoded again" in line
    disk.put(keys[0], make(0))
    assert disk.get(keys[0]) is not None


def test_a_file_under_the_name_of_another_is_a_miss(disk: DiskCache, keys: Keys, make: Make) -> None:
    disk.put(keys[0], make(0))
    (path,) = files(disk)
    path.rename(path.with_name(f"{keys[1].stem}.safetensors"))
    assert disk.get(keys[1]) is None
    assert files(disk) == []


def test_what_was_used_least_recently_goes_first(tmp_path: Path, keys: Keys, make: Make) -> None:
    a, b, c = keys[:3]
    disk = DiskCache(tmp_path, max_bytes=2 * len(pack(a.text, make(0))) + 100)
    disk.put(a, make(0))
    disk.put(b, make(0))
    assert disk.get(a) is not None
    disk.put(c, make(0))
    assert [disk.get(key) is not None for key in (a, b, c)] == [True, False, True]


def test_what_is_larger_than_the_cap_is_not_kept_and_moves_nobody(
    tmp_path: Path, keys: Keys, make: Make
) -> None:
    disk = DiskCache(tmp_path, max_bytes=len(pack(keys[0].text, make(0))))
    disk.put(keys[0], make(0))
    disk.put(keys[1], make(0, rows=500))
    assert disk.get(keys[0]) is not None
    assert disk.get(keys[1]) is None
    assert size_of(disk) <= disk.max_bytes


def test_a_lower_cap_holds_from_the_next_file_on(disk: DiskCache, keys: Keys, make: Make) -> None:
    for key in keys[:6]:
        disk.put(key, make(0))
    smaller = DiskCache(disk.directory, max_bytes=size_of(disk) // 3)
    smaller.put(keys[6], make(0))
    assert 0 < size_of(smaller) <= smaller.max_bytes
    assert smaller.get(keys[6]) is not None


def test_nobody_else_may_look(tmp_path: Path, keys: Keys, make: Make) -> None:
    disk = DiskCache(tmp_path / "cache" / "encodings")
    before = os.umask(0)
    try:
        disk.put(keys[0], make(0))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (disk.directory, disk.directory / FORMAT)]
    assert modes == [0o700, 0o700]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(disk)] == [0o600]


def test_what_a_killed_program_left_goes_and_what_another_is_writing_stays(
    disk: DiskCache, keys: Keys, make: Make
) -> None:
    disk.put(keys[0], make(0))
    left = disk.directory / FORMAT / "0123456789abcdef.part"
    left.write_bytes(b"half")
    with written_aside(disk.directory / FORMAT, b"half") as living:
        disk.put(keys[1], make(0))
        disk.clear()
        assert living.exists()
    assert not left.exists()
    assert files(disk) == []


def test_readers_see_one_file_or_the_other_while_it_is_replaced(
    disk: DiskCache, keys: Keys, make: Make, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    media = [make(seed, rows=200) for seed in range(2)]
    disk.put(keys[0], media[0])
    writer = Thread(target=lambda: [disk.put(keys[0], media[turn % 2]) for turn in range(30)])
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(disk.get(keys[0]))
    writer.join()
    known = [told(medium)["tokens"] for medium in media]
    assert seen
    assert all(medium is not None and told(medium)["tokens"] in known for medium in seen)
    assert caplog.messages == []


def test_other_versions_are_counted_and_cleared_and_other_files_are_left_alone(
    disk: DiskCache, keys: Keys, make: Make, tmp_path: Path
) -> None:
    disk.put(keys[0], make(0))
    own = size_of(disk)
    (disk.directory / "v0").mkdir()
    (disk.directory / "v0" / "old.bin").write_bytes(b"12345")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (disk.directory / "v00").symlink_to(elsewhere)
    (disk.directory / FORMAT / "notes.txt").write_text("mine", encoding="utf-8")
    assert disk.contents() == {FORMAT: Contents(1, own), "v0": Contents(1, 5)}
    assert disk.clear() == Contents(2, own + 5)
    assert disk.contents() == {FORMAT: Contents()}
    assert [path.name for path in files(disk)] == ["notes.txt"]
    assert (elsewhere / "precious").exists()


def test_nothing_is_made_before_something_is_kept(disk: DiskCache, keys: Keys) -> None:
    assert disk.get(keys[0]) is None
    assert disk.contents() == {FORMAT: Contents()}
    assert disk.clear() == Contents()
    assert not disk.directory.exists()


def test_a_directory_that_cannot_be_written_is_told_of_once(
    public_directory: Path,
    keys: Keys,
    make: Make,
    unprivileged: Unprivileged,
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = DiskCache(public_directory / "encodings")
    public_directory.chmod(0o555)
    with unprivileged():
        for key in keys[:3]:
            disk.put(key, make(0))
            assert disk.get(key) is None
    (line,) = caplog.messages
    assert "cannot be kept there (Permission denied)" in line
    assert list(public_directory.iterdir()) == []


def test_a_disk_that_can_only_be_read_is_read(
    public_directory: Path,
    keys: Keys,
    make: Make,
    unprivileged: Unprivileged,
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = DiskCache(public_directory / "encodings")
    disk.put(keys[0], make(0))
    (path,) = files(disk)
    path.chmod(0o444)
    for directory in (path.parent, disk.directory):
        directory.chmod(0o555)
    with unprivileged():
        assert disk.get(keys[0]) is not None
        assert caplog.messages == []
        disk.put(keys[1], make(1))
        with pytest.raises(OutputError, match="cannot be removed"):
            disk.clear()
    assert len(caplog.messages) == 1
    assert files(disk) == [path]
    for directory in (disk.directory, path.parent):
        directory.chmod(0o755)


def test_a_full_disk_keeps_nothing_and_leaves_no_rest(
    disk: DiskCache, keys: Keys, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    disk.put(keys[0], make(0))
    with no_file_above(1000):
        disk.put(keys[1], make(0, rows=500))
        disk.put(keys[2], make(0, rows=500))
    (line,) = caplog.messages
    assert "cannot be kept there (File too large)" in line
    assert len(files(disk)) == 1
    disk.put(keys[1], make(1))
    assert disk.get(keys[1]) is not None


def test_a_file_where_the_directory_should_be_is_no_error(
    tmp_path: Path, keys: Keys, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    disk = DiskCache(tmp_path / "file" / "encodings")
    disk.put(keys[0], make(0))
    assert disk.get(keys[0]) is None
    assert not disk.expects(keys[0].looked_at)
    assert len(caplog.messages) == 1
    assert disk.contents() == {FORMAT: Contents()}
