"""Answers say which seconds they rest on, at no harm to the answers themselves."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from videollm import VideoChat, VideoLLM, load_model
from videollm.evaluation.clips import encode_clip
from videollm.synthetic import truth
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import Clip

Clips = tuple[Path, Path]
EIGHT = {"max_new_tokens": 8}
QUESTIONS = ("What happens?", "And then?", "How many shapes are there?")


@pytest.fixture(scope="module")
def pocket() -> VideoLLM:
    """The built-in model."""
    return load_model("pocket")


@pytest.fixture(scope="module")
def clip() -> Clip:
    """A training clip of three shots with several events."""
    return next(
        clip
        for clip in (sample_clip(seed, shots=3, max_short_side=120) for seed in range(100))
        if len(truth.events(clip)) >= 2
    )


def test_the_evidence_of_a_question_lies_where_what_it_asks_about_happens(
    pocket: VideoLLM, clip: Clip
) -> None:
    chat = VideoChat(pocket, encode_clip(pocket, clip))
    found = truth.events(clip)
    asked = {"first": found[0], "last": found[-1]}
    middles = {}
    for form in asked:
        best = chat.ask(f"What happens {form}?").evidence[0]
        middles[form] = (best.start_s + best.end_s) / 2
    nearest = {
        form: min(asked, key=lambda name: abs(middle - (asked[name].start_s + asked[name].end_s) / 2))
        for form, middle in middles.items()
    }
    assert nearest == {"first": "first", "last": "last"}


def test_answers_are_the_same_with_evidence_and_without(model: VideoLLM, clip_files: Clips) -> None:
    telling = VideoChat(model, clip_files, fps=8)
    silent = VideoChat(model, clip_files, fps=8, evidence=False)
    for question in QUESTIONS:
        with_evidence, without = telling.ask(question, **EIGHT), silent.ask(question, **EIGHT)
        assert with_evidence.text == without.text
        assert with_evidence.usage.cached_tokens == without.usage.cached_tokens
        assert without.evidence == ()
        assert with_evidence.evidence
        assert {span.video for span in with_evidence.evidence} <= {0, 1}


def test_evidence_is_found_once_the_answer_has_ended(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0], fps=8)
    stream = chat.stream("What happens?", **EIGHT)
    pieces = [next(iter(stream))]
    assert chat.last_answer is None
    pieces += stream
    assert chat.last_answer is not None
    assert chat.last_answer.text == "".join(pieces)
    assert json.loads(json.dumps(chat.last_answer.to_dict()))["evidence"]


def test_an_answer_that_was_stopped_has_none(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0], fps=8)
    stream = iter(chat.stream("What happens?", max_new_tokens=60))
    next(stream)
    chat.stop()
    list(stream)
    assert chat.last_answer is not None
    assert (chat.last_answer.finish_reason, chat.last_answer.evidence) == ("cancelled", ())
    assert chat.ask("And then?", **EIGHT).evidence


def test_where_nothing_moves_there_is_none(model: VideoLLM) -> None:
    assert VideoChat(model).ask("What happens?", **EIGHT).evidence == ()
    assert VideoChat(model, Image.new("RGB", (64, 48), "red")).ask("What is it?", **EIGHT).evidence == ()


@pytest.mark.parametrize("verb", ["ask", "chat"])
def test_a_terminal_shows_the_seconds_and_a_pipe_only_the_answer(
    clip: Clip, tmp_path: Path, verb: str
) -> None:
    write_clip(clip, tmp_path / "clip.mp4")
    question = "What happens first?"
    command = [sys.executable, "-m", "videollm", verb, str(tmp_path / "clip.mp4")]
    asked = {"args": [*command, question]} if verb == "ask" else {"args": command, "input": question}
    terminal, end = pty.openpty()
    shown = subprocess.run(**asked, stdout=subprocess.PIPE, stderr=end, text=True, check=True)
    os.close(end)
    told = os.read(terminal, 4096).decode()
    os.close(terminal)
    assert "seen at 0:" in told
    assert "seen at" not in shown.stdout
