"""A data directory: who may open it, what it is opened from, and what it is like for others on the machine."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from videollm.errors import ConfigError, DataError, OutputError
from videollm.values import Span
from videollm_serve.store.database import Database
from videollm_serve.store.schema import STEPS, migrate
from videollm_serve.store.store import NAME, Store
from videollm_serve.store.values import Conversation, ConversationSummary, Medium, Turn, Upload

FIRST_FORMAT = Path(__file__).with_name("store_format_1.sql")


def open_store(directory: Path) -> Store:
    return Store(directory, retention_s=3600)


def write_first_format(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    with sqlite3.connect(directory / NAME) as connection:
        connection.executescript(FIRST_FORMAT.read_text("utf-8"))
    connection.close()
    (directory / "uploads").mkdir()
    (directory / "uploads" / ("A" * 22)).write_bytes(b"hello")


def tables_of(path: Path) -> list[tuple[str, str]]:
    """The names and columns of all tables, however their text is laid out."""
    connection = sqlite3.connect(path)
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1").fetchall()
    found = [(name, str(connection.execute(f"PRAGMA table_info({name})").fetchall())) for (name,) in names]
    connection.close()
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data") as store:
        yield store


def test_what_was_kept_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    turn = Turn("Why?", "Because.", remembered=True, evidence=(Span(0.5, 2.0, 0.25, 1),), usage={"frames": 3})
    with open_store(tmp_path / "data") as store:
        id = store.conversations.create("ann", "pocket")
        store.conversations.append("ann", id, turn)
        before = store.conversations.get("ann", id)
    with open_store(tmp_path / "data") as store:
        after = store.conversations.get("ann", id)
    assert after == before
    assert (after.turns[0].evidence, after.turns[0].usage) == (turn.evidence, turn.usage)


def test_nobody_else_on_the_machine_can_read_it(tmp_path: Path) -> None:
    inherited = os.umask(0)
    try:
        with open_store(tmp_path / "data") as store:
            (store.uploads.incoming / "new").write_bytes(b"x")
            store.uploads.add("ann", "a.gif", "image/gif", "image", 1, "00", store.uploads.incoming / "new")
            paths = [path for path in (tmp_path / "data").rglob("*") if path.name != ".lock"]
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "data", *paths]}
    finally:
        os.umask(inherited)
    assert {NAME, f"{NAME}-wal", "uploads", "incoming"} < modes.keys()
    assert not [name for name, mode in modes.items() if mode & 0o077]


def test_an_empty_directory_is_closed_to_others_and_one_with_other_files_is_refused(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    for directory in (empty, full):
        directory.mkdir()
        directory.chmod(0o755)
    (full / "thesis.txt").write_text("do not touch")
    with open_store(empty):
        assert stat.S_IMODE(empty.stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match="choose a directory of its own"):
        open_store(full)
    assert stat.S_IMODE(full.stat().st_mode) == 0o755
    assert [path.name for path in full.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_directory_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(OutputError, match="choose another --data"):
        open_store(tmp_path / "data")


def test_a_second_server_is_told_who_holds_the_directory(store: Store, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom videollm_serve.store.store import Store\n"
        "from videollm.errors import ConfigError\n"
        "try:\n    Store(Path(sys.argv[1]), retention_s=1)\nexcept ConfigError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    (line,) = result.stdout.splitlines()
    assert f"data is in use by process {os.getpid()} on " in line
    assert line.endswith(": wait for it, or choose another --data")
    store.close()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_a_directory_is_let_go_of_when_it_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / NAME).write_text("This is no database, whatever it is called.\n" * 50)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"is not a database .* choose another --data"):
            open_store(tmp_path / "data")
    assert (tmp_path / "data" / NAME).read_text().startswith("This is no database")
    (tmp_path / "data" / NAME).unlink()
    open_store(tmp_path / "data").close()


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data" / NAME
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        open_store(tmp_path / "data")
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / NAME
    Database(path, [*STEPS, "CREATE TABLE later (x);"]).close()
    before = path.read_bytes()
    newest = len(STEPS)
    with pytest.raises(ConfigError, match=f"has format {newest + 1}, .* up to {newest}: install the newer"):
        Database(path)
    assert path.read_bytes() == before


def test_a_store_of_the_first_format_is_read(tmp_path: Path) -> None:
    write_first_format(tmp_path / "data")
    with open_store(tmp_path / "data") as store:
        (upload,) = store.uploads.list("ann")
        conversations = {owner: store.conversations.list(owner) for owner in ("ann", "ben")}
        conversation = store.conversations.get("ann", "B" * 22)
        content = store.uploads.path("ann", upload.id).read_bytes()
    sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert upload == Upload("A" * 22, "ann", "clip.mp4", "video/mp4", "video", 5, sha256, 1000.0, 5000.0)
    assert content == b"hello"
    assert conversations == {
        "ann": (ConversationSummary("B" * 22, "What happens?", 1004.5, 2),),
        "ben": (ConversationSummary("C" * 22, "Birds", 1003.0, 0),),
    }
    assert conversation == Conversation(
        "B" * 22,
        "What happens?",
        "pocket",
        1001.0,
        1004.5,
        (Medium("A" * 22, "clip.mp4", {"fps": 2.0, "end_s": 9.5}), Medium(None, "old.mov")),
        (
            Turn(None, "old.mov cannot be read.", failed=True, created_s=1003.5),
            Turn(
                "What happens?",
                "A star moves — left.",
                remembered=True,
                stopped=True,
                evidence=(Span(1.0, 2.5, 0.75, 0),),
                usage={"frames": 8},
                created_s=1004.0,
            ),
        ),
    )


def test_a_store_of_the_first_format_takes_what_that_format_did_not_know(tmp_path: Path) -> None:
    write_first_format(tmp_path / "data")
    with open_store(tmp_path / "data") as store:
        assert [medium.turn for medium in store.conversations.get("ann", "B" * 22).media] == [0, 0]
        assert store.descriptions.list("ann", "A" * 22) == ()
        assert store.conversations.add_medium("ann", "B" * 22, "A" * 22, {}).turn == 2
        store.descriptions.put("ann", "A" * 22, {"detail": "short"}, {"summary": "A star."})
    with open_store(tmp_path / "data") as store:
        assert [medium.turn for medium in store.conversations.get("ann", "B" * 22).media] == [0, 0, 2]
        (kept,) = store.descriptions.list("ann", "A" * 22)
        assert (kept.wish, kept.description) == ({"detail": "short"}, {"summary": "A star."})
        store.uploads.delete("ann", "A" * 22)
        assert [medium.gone for medium in store.conversations.get("ann", "B" * 22).media] == [True] * 3


def test_an_old_store_becomes_like_a_new_one(tmp_path: Path) -> None:
    write_first_format(tmp_path / "old")
    for name in ("old", "new"):
        open_store(tmp_path / name).close()
    assert tables_of(tmp_path / "old" / NAME) == tables_of(tmp_path / "new" / NAME)


def test_steps_that_a_file_lacks_are_taken_once_and_one_that_fails_leaves_the_file_as_before() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    grow = "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('kept');"
    migrate(connection, [*STEPS, grow])
    migrate(connection, [*STEPS, grow])
    with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
        migrate(connection, [*STEPS, grow, "DELETE FROM notes; INSERT INTO missing VALUES (1);"])
    assert connection.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (len(STEPS) + 1,)
    migrate(connection, [*STEPS, grow, "DELETE FROM notes;"])
    assert connection.execute("SELECT text FROM notes").fetchall() == []
    connection.close()


def test_damage_is_told_in_one_line(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        id = store.conversations.create("ann", "pocket")
        for _ in range(20):
            store.conversations.append("ann", id, Turn("q", "x" * 3000))
    with (tmp_path / "data" / NAME).open("r+b") as file:
        file.seek(8192)  # the tables' pages, not the header
        file.write(b"\xff" * (os.fstat(file.fileno()).st_size - 8192))
    with open_store(tmp_path / "data") as store, pytest.raises(DataError, match="is damaged") as caught:
        store.conversations.get("ann", id)
    assert "\n" not in str(caught.value)


def test_threads_lose_nothing_of_each_other(store: Store) -> None:
    together, alone = store.conversations.create("ann", "m"), store.conversations.create("ben", "m")

    def work(name: str) -> None:
        for number in range(25):
            store.conversations.append("ann", together, Turn(f"{name} {number}"))
            store.conversations.list("ann")
            store.conversations.append("ben", alone, Turn(name))
            store.conversations.replace_last("ben", alone, Turn("answered", "yes"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, "abcdef"))
    questions = [turn.question for turn in store.conversations.get("ann", together).turns]
    assert sorted(questions) == sorted(f"{name} {number}" for name in "abcdef" for number in range(25))
    for name in "abcdef":  # each thread's own in their order
        assert [q for q in questions if q.startswith(name)] == [f"{name} {number}" for number in range(25)]
    assert len(store.conversations.get("ben", alone).turns) == 150


def test_it_needs_neither_gradio_nor_torch_nor_a_web_server() -> None:
    check = (
        "import sys, videollm_serve.store.store, videollm_serve.store.export\n"
        "print(*{'torch', 'transformers', 'gradio', 'starlette', 'fastapi', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
