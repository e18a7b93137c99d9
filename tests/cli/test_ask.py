"""``videollm ask``: the answer and nothing else on stdout, one line for every mistake."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from videollm import VideoChat, load_model

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
Clips = tuple[Path, Path]
MODEL = ("--model", "{model}", "--max-new-tokens", "9")


def test_the_answer_goes_to_stdout_and_nothing_else_does(
    run: Run, clip_files: Clips, tiny_checkpoint: Path
) -> None:
    result = run("ask", clip_files[0], "What happens?", *MODEL)
    expected = VideoChat(load_model(tiny_checkpoint), clip_files[0]).ask("What happens?", max_new_tokens=9)
    note = "note: the answer was cut short at 9 tokens: raise --max-new-tokens\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected.text + "\n", note)


def test_json_carries_the_answer_with_its_costs(run: Run, clip_files: Clips) -> None:
    result = run("ask", *clip_files, "What happens?", *MODEL, "--json", "--seed", "3", "--temperature", "0.7")
    answer = json.loads(result.stdout)
    assert answer["question"] == "What happens?"
    assert answer["media"] == [str(path) for path in clip_files]
    assert answer["usage"]["visual_tokens"] > 0
    assert answer["finish_reason"] == "length"


def test_a_dash_reads_the_question_from_stdin(run: Run, clip_files: Clips) -> None:
    typed = run("ask", clip_files[0], "What happens?", *MODEL)
    piped = run("ask", clip_files[0], "-", *MODEL, stdin="What happens?\n")
    assert piped.stdout == typed.stdout


def test_a_question_may_be_longer_than_a_name_of_a_file(run: Run, clip_files: Clips) -> None:
    assert run("ask", clip_files[0], "What happens? " * 24, *MODEL).exit_code == 0


def test_window_rate_and_budget_are_kept_to(run: Run, clip_files: Clips) -> None:
    options = ("--start", "0:01", "--end", "1.5", "--fps", "6", "--max-visual-tokens", "7", "--json")
    usage = json.loads(run("ask", clip_files[0], "What happens?", *MODEL, *options).stdout)["usage"]
    assert usage["frames"] == 3
    assert usage["visual_tokens"] <= 7


def broken_files(directory: Path) -> dict[str, Path]:
    made = {
        "empty": directory / "empty.mp4",
        "text": directory / "text.mp4",
        "random": directory / "random.mp4",
        "missing": directory / "missing.mp4",
        "directory": directory / "folder.mp4",
    }
    made["empty"].write_bytes(b"")
    made["text"].write_text("This is no video.", encoding="utf-8")
    made["random"].write_bytes(bytes(place * 37 % 251 for place in range(20_000)))
    made["directory"].mkdir()
    return made


@pytest.mark.parametrize("kind", ["empty", "text", "random", "missing", "directory"])
def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_2(run: Run, tmp_path: Path, kind: str) -> None:
    path = broken_files(tmp_path)[kind]
    result = run("ask", path, "What happens?", *MODEL)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {path}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip", "{clip}"], "the last argument is the question"),
        (["{clip}"], "the last argument is the question"),
        (["{clip}", "Why?", "--model", "nowhere"], "nowhere: there is no such directory"),
        (["{clip}", "Why?", "--fps", "0"], "fps must be a number above 0"),
        (["{clip}", "Why?", "--top-p", "2"], "top_p must be above 0"),
        (["{clip}", "Why?", "--device", "tpu"], "device 'tpu' cannot be used here"),
        (["{clip}", "Why?", "--start", "soon"], "expected seconds or m:ss"),
        (["{clip}", " "], "the question is empty"),
        (["{clip}", "Why?", "--max-visual-tokens", "0"], "max_visual_tokens must be at least 1"),
        (["{clip}", "Why?", "--start", "2", "--end", "1"], "the window must end after it starts"),
    ],
)
def test_mistakes_of_the_command_line_are_explained(
    run: Run, clip_files: Clips, arguments: list[str], message: str
) -> None:
    model = () if "--model" in arguments else MODEL
    result = run("ask", *(argument.replace("{clip}", str(clip_files[0])) for argument in arguments), *model)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [["--temperature", "-1"], ["--fps", "0"], ["--start", "2", "--end", "1"], ["--max-visual-tokens", "0"]],
)
def test_mistakes_are_told_before_torch_is_imported(
    start: Start, clip_files: Clips, tiny_checkpoint: Path, wrong: list[str], tmp_path: Path
) -> None:
    # A module of this name in front of the real one ends the program with another message.
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')", encoding="utf-8")
    with start("ask", clip_files[0], "Why?", "--model", tiny_checkpoint, *wrong, path=tmp_path) as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: ")


def test_a_window_beyond_the_end_is_told(run: Run, clip_files: Clips) -> None:
    result = run("ask", clip_files[0], "What happens?", *MODEL, "--end", "1:00")
    assert result.exit_code == 0
    assert "before the end of the window at 60 s" in result.stderr


def test_debug_shows_where_an_error_came_from(start: Start, tmp_path: Path, tiny_checkpoint: Path) -> None:
    arguments = ("ask", tmp_path / "missing.mp4", "Why?", "--model", tiny_checkpoint)
    with start(*arguments, "--debug") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "Traceback (most recent call last)" in errors
    assert "UnreadableVideoError" in errors


def test_an_interrupt_ends_the_program_with_130_and_no_traceback(
    start: Start, clip_files: Clips, tiny_checkpoint: Path
) -> None:
    with start(
        "ask", clip_files[0], "Why?", "--model", tiny_checkpoint, "--max-new-tokens", "4000"
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_a_reader_that_goes_away_is_no_error_to_speak_of(
    start: Start, clip_files: Clips, tiny_checkpoint: Path
) -> None:
    with start(
        "ask", clip_files[0], "Why?", "--model", tiny_checkpoint, "--max-new-tokens", "4000"
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert errors == ""
