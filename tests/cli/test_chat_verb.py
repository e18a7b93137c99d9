"""``videollm chat`` with questions piped in, and Ctrl-C while it answers."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from videollm import VideoChat, load_model

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
Clips = tuple[Path, Path]
MODEL = ("--model", "{model}", "--max-new-tokens", "9")


def answers(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_piped_questions_are_turns_of_one_conversation(
    run: Run, clip_files: Clips, tiny_checkpoint: Path
) -> None:
    result = run("chat", clip_files[0], *MODEL, "--json", stdin="What happens?\n\nAnd then?\n")
    chat = VideoChat(load_model(tiny_checkpoint), clip_files[0])
    expected = [chat.ask(question, max_new_tokens=9).text for question in ("What happens?", "And then?")]
    assert result.exit_code == 0
    assert [answer["text"] for answer in answers(result)] == expected


def test_media_can_be_added_and_turns_taken_back(run: Run, clip_files: Clips) -> None:
    lines = ["What happens?", "/undo", f"/add '{clip_files[1]}'", "What happens?", "/reset", "What happens?"]
    result = run("chat", clip_files[0], *MODEL, "--json", stdin="\n".join(lines))
    first, second, third = (answer["usage"]["visual_tokens"] for answer in answers(result))
    assert first < second == third


def test_lines_after_quit_are_not_answered(run: Run, clip_files: Clips) -> None:
    result = run("chat", clip_files[0], *MODEL, "--json", stdin="What happens?\n/quit\nAnd then?\n")
    assert len(answers(result)) == 1


def test_usage_and_help_go_to_stderr(run: Run, clip_files: Clips) -> None:
    result = run("chat", clip_files[0], *MODEL, stdin="/usage\nWhat happens?\n/usage\n/help\n")
    assert "no answer yet" in result.stderr
    assert "visual tokens; prompt" in result.stderr
    assert "/add FILE..." in result.stderr
    assert len(result.stdout.splitlines()) >= 1


def test_a_mistake_does_not_end_the_conversation_but_is_told_in_the_end(
    run: Run, clip_files: Clips, tmp_path: Path
) -> None:
    lines = f"/add {tmp_path}/missing.mp4\nWhat happens?\n"
    result = run("chat", clip_files[0], *MODEL, "--json", stdin=lines)
    assert "error: " in result.stderr
    assert len(answers(result)) == 1
    assert result.exit_code == 1


def test_unknown_and_incomplete_commands_say_what_is_wrong(run: Run, clip_files: Clips) -> None:
    result = run("chat", clip_files[0], *MODEL, stdin="/whatever\n/add\n")
    assert result.stderr.splitlines() == [
        "error: there is no command /whatever; /help lists those there are",
        "error: /add needs the name of a video or image: /add FILE...",
    ]
    assert result.exit_code == 1


def test_one_may_talk_without_a_video_and_is_told_that_there_is_none(run: Run) -> None:
    first, second = answers(run("chat", *MODEL, "--json", stdin="Hello!\nHow are you?\n"))
    assert first["usage"]["frames"] == 0  # type: ignore[index]
    assert "no video" in first["notices"][0]  # type: ignore[index]
    assert second["notices"] == []


def test_an_interrupt_stops_the_answer_and_not_the_program(
    start: Start, clip_files: Clips, tiny_checkpoint: Path
) -> None:
    options = ("--model", tiny_checkpoint, "--max-new-tokens", "600")
    with start("chat", clip_files[0], *options) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("What happens?\n")
        process.stdin.flush()
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate("/usage\nAnd then?\n/quit\n")
    assert process.returncode == 0
    assert "answer 600" not in errors
    assert "visual tokens; prompt" in errors
