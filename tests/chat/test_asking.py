"""One answer to a conversation, whoever calls the model; and conversations that go on from earlier turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from videollm import VideoChat, VideoLLM, load_model
from videollm.asking import AnswerStream, DirectDriver
from videollm.errors import DataError
from videollm.media import load_medium
from videollm.model.generation import PromptCache
from videollm.values import GenerationSettings, Message

Result = TypeVar("Result")
QUESTIONS = ("How many shots are there?", "And then?")


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> VideoLLM:
    return load_model(tiny_checkpoint, device="cpu")


class CountingDriver(DirectDriver):
    """Calls the model itself, and says how often it was asked to."""

    calls: tuple[str, ...] = ()

    def stream(self, *inputs: Any, **options: Any) -> Any:
        type(self).calls += ("stream",)
        return super().stream(*inputs, **options)

    def run(self, work: Callable[[], Result]) -> Result:
        type(self).calls += ("run",)
        return super().run(work)


def test_a_conversation_goes_on_from_its_history_as_if_it_had_never_ended(
    model: VideoLLM, clip_files: tuple[Path, Path]
) -> None:
    whole = VideoChat(model, clip_files[0])
    whole.ask(QUESTIONS[0], max_new_tokens=8)
    history = whole.history
    whole.add(clip_files[1])
    expected = whole.ask(QUESTIONS[1], max_new_tokens=8)
    resumed = VideoChat(model, clip_files, history=history)
    assert resumed.ask(QUESTIONS[1], max_new_tokens=8).text == expected.text
    assert resumed.history == whole.history


def test_a_history_needs_all_of_its_media(model: VideoLLM, clip_files: tuple[Path, Path]) -> None:
    chat = VideoChat(model, clip_files)
    chat.ask(QUESTIONS[0], max_new_tokens=2)
    with pytest.raises(DataError, match="speaks of 2 media, got 1"):
        VideoChat(model, clip_files[0], history=chat.history)


def test_all_that_uses_the_model_goes_through_the_driver(
    model: VideoLLM, clip_files: tuple[Path, Path]
) -> None:
    chat = VideoChat(model, clip_files[0], driver=CountingDriver(model))
    answer = chat.ask(QUESTIONS[0], max_new_tokens=8)
    assert CountingDriver.calls == ("stream", "run")
    direct = VideoChat(model, clip_files[0]).ask(QUESTIONS[0], max_new_tokens=8)
    assert (answer.text, answer.evidence) == (direct.text, direct.evidence)


def test_a_stream_that_is_closed_keeps_what_has_come(model: VideoLLM, clip_files: tuple[Path, Path]) -> None:
    media = [load_medium(model, clip_files[0])]
    messages = [Message("user", f"<video>\n{QUESTIONS[0]}")]
    stream = AnswerStream(model, messages, media, GenerationSettings(max_new_tokens=50), cache=PromptCache())
    pieces = [next(stream), next(stream)]
    assert stream.answer is None
    stream.close()
    assert stream.answer is not None
    assert stream.answer.text == "".join(pieces)
    assert (stream.answer.finish_reason, stream.answer.evidence) == ("cancelled", ())


def test_a_stream_that_was_never_begun_has_no_answer(model: VideoLLM) -> None:
    stream = AnswerStream(model, [Message("user", "Hello?")], [], GenerationSettings(), cache=PromptCache())
    stream.close()
    assert stream.answer is None
    assert list(stream) == []
