"""The store after a real process was killed in the middle of its work, and on a disk that takes no more."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from videollm.errors import OutputError
from videollm_serve.store.store import NAME, Store
from videollm_serve.store.values import Swept, Turn

OPEN = """
import os, resource, signal, sqlite3, sys
from contextlib import suppress
from pathlib import Path
from videollm.errors import OutputError
from videollm_serve.store.store import Store
from videollm_serve.store.values import Turn

def bring(store, content=b"moving"):
    file = store.uploads.incoming / "new"
    file.write_bytes(content)
    return store.uploads.add("ann", "a.mp4", "video/mp4", "video", len(content), "00", file)
"""

# Says of each turn that it is kept, once it is.
WRITE_ON_AND_ON = """
with Store(Path(sys.argv[1]), retention_s=60) as store:
    (line,) = store.conversations.list("ann")
    while True:
        turn = Turn(f"question {len(store.conversations.get('ann', line.id).turns)}")
        position = store.conversations.append("ann", line.id, turn)
        store.conversations.replace_last("ann", line.id, Turn(turn.question, f"answer {position} " * 300))
        print(position, flush=True)
"""

# SQLite tells of a statement before it runs it: what was done to the files is done then, and no row is changed yet.
DIE_BEFORE_THE_ROW = """
connect = sqlite3.connect

def connect_watched(*arguments, **options):
    connection = connect(*arguments, **options)
    connection.set_trace_callback(
        lambda statement: statement.startswith(sys.argv[2]) and os.kill(os.getpid(), signal.SIGKILL)
    )
    return connection

sqlite3.connect = connect_watched
with Store(Path(sys.argv[1]), retention_s=60, clock=lambda: 1000.0) as store:
    if sys.argv[3] == "add":
        bring(store)
    elif sys.argv[3] == "delete":
        store.uploads.delete("ann", store.uploads.list("ann")[0].id)
    else:
        store.uploads.sweep(1000.0)
"""

# No file of the process may grow beyond a size: what a full disk is for one that can still read.
FILL = """
with Store(Path(sys.argv[1]), retention_s=60, clock=lambda: 1000.0) as store:
    upload = bring(store, b"x" * 5000)
    id = store.conversations.create("ann", "m")
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    kept = 0
    try:
        while kept < 1000:
            store.conversations.append("ann", id, Turn(f"question {kept}", "x" * 3000))
            kept += 1
    except OutputError as error:
        print(error)
    read = [turn.question for turn in store.conversations.get("ann", id).turns]
    print(read == [f"question {number}" for number in range(kept)], kept)
    with suppress(OutputError):  # a turn takes more room than a row: that is used up too
        for number in range(1000):
            store.conversations.rename("ann", id, f"title {number}")
    try:
        bring(store, b"y")
    except OutputError:
        print(*(path.name == upload.id for path in Path(sys.argv[1], "uploads").iterdir()))
    try:
        store.uploads.sweep(2000.0)
    except OutputError:
        print(len(os.listdir(Path(sys.argv[1], "uploads"))))
"""


def open_store(directory: Path) -> Store:
    return Store(directory, retention_s=60, clock=lambda: 1000.0)


def bring(store: Store, content: bytes) -> str:
    file = store.uploads.incoming / "new"
    file.write_bytes(content)
    return store.uploads.add("ann", "a.mp4", "video/mp4", "video", len(content), "00", file).id


def assert_sound(directory: Path) -> None:
    connection = sqlite3.connect(directory / NAME)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_server_that_is_killed_loses_nothing_that_it_said_was_kept(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        id = store.conversations.create("ann", "m")
    told: list[int] = []
    for lines in (1, 20, 120):
        process = subprocess.Popen(
            [sys.executable, "-c", OPEN + WRITE_ON_AND_ON, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        told += [int(process.stdout.readline()) for _ in range(lines)]
        process.kill()
        told += [int(line) for line in process.stdout]
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        with open_store(tmp_path) as store:
            turns = store.conversations.get("ann", id).turns
        kept = [(turns[position].question, turns[position].text) for position in told]
        assert kept == [(f"question {position}", f"answer {position} " * 300) for position in told]
        assert len(turns) <= told[-1] + 2  # one may have been kept that was not told of
        assert_sound(tmp_path)
    assert len(told) >= 141


@pytest.mark.parametrize(
    ("work", "statement", "rows", "files", "swept"),
    [
        ("add", "INSERT INTO uploads", 2, 3, Swept(strays=1)),
        ("delete", "DELETE FROM uploads", 2, 1, Swept(lost=1)),
        ("sweep", "DELETE FROM uploads", 2, 1, Swept(lost=1)),
    ],
)
def test_killed_between_file_and_row_it_is_put_in_order_by_the_next_sweep(
    tmp_path: Path, work: str, statement: str, rows: int, files: int, swept: Swept
) -> None:
    with Store(tmp_path, retention_s=0, clock=lambda: 1000.0) as store:
        bring(store, b"a")
    with open_store(tmp_path) as store:
        staying = bring(store, b"bb")
    command = [sys.executable, "-c", OPEN + DIE_BEFORE_THE_ROW, str(tmp_path), statement, work]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with open_store(tmp_path) as store:
        assert len(store.uploads.list("ann")) == rows
        assert len(os.listdir(tmp_path / "uploads")) == files
        assert store.uploads.sweep(999.0) == swept
        assert sorted(os.listdir(tmp_path / "uploads")) == sorted(up.id for up in store.uploads.list("ann"))
        assert store.uploads.path("ann", staying).read_bytes() == b"bb"
        assert store.uploads.sweep(999.0) == Swept()
    assert_sound(tmp_path)


def test_where_files_may_not_grow_it_says_so_reads_on_and_gives_room_back(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN + FILL, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    error, readable, files_after_refusal, files_after_sweep = result.stdout.splitlines()
    assert error.startswith("the server's memory cannot be written (")
    assert error.endswith("; what was saved is kept: make room or give access, then try again")
    right, kept = readable.split()
    assert (right, int(kept) >= 5) == ("True", True)
    assert files_after_refusal == "True"  # the first upload's alone
    assert files_after_sweep == "0"
    with open_store(tmp_path) as store:
        (line,) = store.conversations.list("ann")
        assert line.turns == int(kept)
        assert store.uploads.sweep(1000.0) == Swept(lost=1)
        store.conversations.append("ann", line.id, Turn("and on"))
    assert_sound(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_on_a_full_disk_it_says_so_and_with_room_it_goes_on(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a disk")
    try:
        with open_store(tmp_path / "data") as store:
            id = store.conversations.create("ann", "m")
            bring(store, bytes(1_200_000))
            kept = 0
            with pytest.raises(OutputError, match=r"disk is full.*make room"):  # noqa: PT012 - where is not known
                while kept < 1000:
                    store.conversations.append("ann", id, Turn(f"question {kept}", "x" * 3000))
                    kept += 1
            read = [turn.question for turn in store.conversations.get("ann", id).turns]
            assert read == [f"question {number}" for number in range(kept)]
            store.uploads.sweep(2000.0)
            assert store.conversations.append("ann", id, Turn("and on")) == kept
        assert_sound(tmp_path / "data")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
