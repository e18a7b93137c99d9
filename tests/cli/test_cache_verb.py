"""``videollm cache``, and how ``ask`` and ``chat`` use what is kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
Clips = tuple[Path, Path]
MODEL = ("--model", "{model}", "--max-new-tokens", "9", "--json")

IMPORTED = """
import sys
from videollm.cli import main
sys.argv = ["videollm", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def answers(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def looked(answer: dict[str, Any]) -> tuple[bool, bool]:
    seconds = answer["usage"]["seconds"]
    return seconds["read"] > 0, seconds["vision"] > 0


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory that programs keep things in."""
    monkeypatch.setenv("VIDEOLLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_second_ask_neither_reads_nor_encodes_the_file_again(
    run: Run, clip_files: Clips, tmp_path: Path
) -> None:
    (first,) = answers(run("ask", clip_files[0], "What happens?", *MODEL))
    (second,) = answers(run("ask", clip_files[0], "What happens?", *MODEL))
    copied = shutil.copy(clip_files[0], tmp_path / "copied.mp4")
    (third,) = answers(run("ask", copied, "What happens?", *MODEL))
    (other,) = answers(run("ask", clip_files[0], "What happens?", *MODEL, "--fps", "3"))
    assert [looked(answer) for answer in (first, second, third, other)] == [
        (True, True),
        (False, False),
        (False, False),
        (True, True),
    ]
    assert {answer["text"] for answer in (first, second, third)} == {first["text"]}


def test_without_the_cache_nothing_is_used_and_nothing_kept(
    run: Run, clip_files: Clips, own_cache: Path
) -> None:
    asked = ("ask", clip_files[0], "What happens?", *MODEL)
    (plain,) = answers(run(*asked, "--no-cache"))
    assert not own_cache.exists()
    (kept,) = answers(run(*asked))
    (again,) = answers(run(*asked, "--no-cache"))
    assert looked(again) == (True, True)
    assert plain["text"] == kept["text"] == again["text"]


def test_what_is_added_to_a_conversation_is_kept_for_the_next(run: Run, clip_files: Clips) -> None:
    lines = f"What happens?\n/add '{clip_files[1]}'\nAnd then?\n"
    first, second = (answers(run("chat", clip_files[0], *MODEL, *extra, stdin=lines)) for extra in ((), ()))
    assert [looked(answer) for answer in first] == [(True, True)] * 2
    assert [looked(answer) for answer in second] == [(False, False)] * 2
    assert [answer["text"] for answer in first] == [answer["text"] for answer in second]
    third = answers(run("chat", clip_files[0], *MODEL, "--no-cache", stdin="What happens?\n"))
    assert looked(third[0]) == (True, True)


def test_info_counts_what_clear_removes(run: Run, clip_files: Clips, own_cache: Path) -> None:
    for clip in clip_files:
        run("ask", clip, "What happens?", *MODEL)
    files = list((own_cache / "encodings" / "v1").iterdir())
    size = sum(path.stat().st_size for path in files)
    facts = json.loads(run("cache", "info", "--json").stdout)
    assert facts == {
        "directory": str(own_cache / "encodings"),
        "version": "v1",
        "entries": 2,
        "bytes": size,
        "max_bytes": 1 << 30,
        "versions": {"v1": {"entries": 2, "bytes": size}},
    }
    assert "2 encoded videos" in run("cache", "info").stdout
    assert json.loads(run("cache", "clear", "--json").stdout)["bytes"] == size
    assert json.loads(run("cache", "info", "--json").stdout)["entries"] == 0
    assert "removed" in run("cache", "clear").stdout
    assert not any(path.exists() for path in files)


def test_files_of_another_version_are_told_and_cleared(run: Run, own_cache: Path) -> None:
    old = own_cache / "encodings" / "v0"
    old.mkdir(parents=True)
    (old / "some.file").write_bytes(bytes(2 << 20))
    assert "of another version, v0: 1 encoded video, 2.0 MiB" in run("cache", "info").stdout
    assert "1 encoded video, 2.0 MiB" in run("cache", "clear").stdout
    assert not old.exists()


def test_a_place_that_cannot_be_written_is_told_and_the_question_answered(
    run: Run,
    clip_files: Clips,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOLLM_CACHE", str(tmp_path / "file" / "below"))
    (answer,) = answers(run("ask", *clip_files, "What happens?", *MODEL))
    assert answer["text"]
    (line,) = caplog.messages
    assert "encoded videos cannot be kept there (Not a directory)" in line


@pytest.mark.parametrize("verb", [["ask", "{clip}", "Why?"], ["cache", "info"], ["cache", "clear"]])
def test_a_wrong_size_is_one_line(
    run: Run, clip_files: Clips, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    monkeypatch.setenv("VIDEOLLM_CACHE_MB", "plenty")
    result = run(*(argument.replace("{clip}", str(clip_files[0])) for argument in verb))
    line = "error: $VIDEOLLM_CACHE_MB must be a whole number of at least 0, got 'plenty'\n"
    assert (result.exit_code, result.stderr) == (2, line)


@pytest.mark.parametrize("verb", ["info", "clear"])
def test_the_verbs_bring_no_framework(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "cache", verb], capture_output=True, text=True, check=True
    )
    assert "0 encoded videos" in done.stdout
    heavy = {"torch", "transformers", "gradio", "av", "decord", "numpy", "safetensors"}
    assert not heavy & set(done.stderr.split())
