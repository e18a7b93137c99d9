"""Conversations: what is kept from turn to turn, what can be taken back, stopped or changed on the way."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from videollm import EncodedVideo, VideoChat, VideoLLM, load_model
from videollm.errors import ConfigError, ContextOverflowError, DataError, UnreadableVideoError
from videollm.media import read_media
from videollm.model.generation import stream_generate
from videollm.values import GenerationSettings, Message

Clips = tuple[Path, Path]
BRIEF = {"max_new_tokens": 6}


def answer_from_nothing(chat: VideoChat, videos: list[EncodedVideo], max_new_tokens: int) -> str:
    """The answer to a conversation's last question by a model that has kept nothing."""
    model = chat.model
    assert model.processor is not None
    prompt = model.processor.render(chat.history[:-1], videos)
    tokens = torch.cat([video.tokens_KD for video in videos])
    settings = GenerationSettings(max_new_tokens=max_new_tokens)
    return "".join(stream_generate(model, prompt.input_ids, tokens, settings))


def test_the_pieces_of_a_stream_are_the_answer(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    pieces = list(chat.stream("What happens?", max_new_tokens=12))
    assert chat.last_answer is not None
    assert "".join(pieces) == chat.last_answer.text
    assert (
        chat.last_answer.text == VideoChat(model, clip_files[0]).ask("What happens?", max_new_tokens=12).text
    )


def test_later_turns_answer_as_if_nothing_had_been_kept(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    for question in ("What happens?", "And then?", "How many shapes are there?"):
        answer = chat.ask(question, max_new_tokens=9)
        assert answer.text == answer_from_nothing(chat, list(chat.videos), 9)


def test_a_second_question_reads_neither_the_video_nor_the_first_one_again(
    model: VideoLLM, clip_files: Clips
) -> None:
    chat = VideoChat(model, clip_files[0])
    first = chat.ask("What happens?", **BRIEF)
    second = chat.ask("And then?", **BRIEF)
    assert first.usage.seconds["read"] > 0
    assert first.usage.seconds["vision"] > 0
    assert (second.usage.seconds["read"], second.usage.seconds["vision"]) == (0, 0)
    assert second.usage.cached_tokens >= first.usage.prompt_tokens
    assert second.usage.prompt_tokens - second.usage.cached_tokens < 40


def test_usage_counts_all_media(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files)
    usage = chat.ask("What happens?", **BRIEF).usage
    assert usage.frames == sum(video.plan.frame_count for video in chat.videos)
    assert usage.visual_tokens == sum(video.token_count for video in chat.videos)
    assert usage.completion_tokens <= BRIEF["max_new_tokens"]
    assert set(usage.seconds) == {"read", "vision", "prefill", "generate"}


def test_videos_images_pictures_and_encoded_videos_stand_in_one_conversation(
    model: VideoLLM, clip_files: Clips, tmp_path: Path
) -> None:
    picture = Image.new("RGB", (64, 48), "red")
    picture.save(tmp_path / "red.png")
    media = [
        clip_files[0],
        tmp_path / "red.png",
        picture,
        np.asarray(picture),
        read_media(model, clip_files[1]),
    ]
    chat = VideoChat(model, media)
    chat.ask("What is there?", **BRIEF)
    assert [video.plan.kind for video in chat.videos] == ["video", "image", "image", "image", "video"]
    assert chat.history[0].content == "<video>\n" * 5 + "What is there?"
    red = [video.tokens_KD for video in chat.videos[1:4]]
    assert torch.equal(red[0], red[1])
    assert torch.equal(red[1], red[2])


def test_added_media_stand_in_the_next_question(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    chat.ask("What happens?", **BRIEF)
    chat.add(clip_files[1])
    answer = chat.ask("And here?", max_new_tokens=9)
    assert [turn.content.count("<video>") for turn in chat.history[::2]] == [1, 1]
    assert answer.text == answer_from_nothing(chat, list(chat.videos), 9)
    assert answer.usage.seconds["vision"] > 0


def test_replaced_media_are_what_the_turns_are_about(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    chat.ask("What happens?", **BRIEF)
    chat.replace(VideoChat(model, clip_files[0], max_visual_tokens=4).videos)
    assert [video.token_count for video in chat.videos] == [4]
    answer = chat.ask("And then?", **BRIEF)
    assert answer.usage.visual_tokens == 4
    assert answer.text == answer_from_nothing(chat, list(chat.videos), 6)
    with pytest.raises(DataError, match="as many media as there are, 1, got 2"):
        chat.replace(clip_files)


def test_a_file_that_cannot_be_read_leaves_the_conversation_as_it_was(
    model: VideoLLM, clip_files: Clips, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(bytes(range(256)) * 20)
    chat = VideoChat(model, clip_files[0])
    chat.ask("What happens?", **BRIEF)
    with pytest.raises(UnreadableVideoError, match=r"broken\.mp4"):
        chat.add([clip_files[1], tmp_path / "broken.mp4"])
    assert len(chat.videos) == 1
    assert chat.ask("And then?", **BRIEF).usage.frames == chat.videos[0].plan.frame_count


def test_closing_a_stream_keeps_the_answer_as_far_as_it_got(model: VideoLLM, clip_files: Clips) -> None:
    whole = VideoChat(model, clip_files[0]).ask("What happens?", max_new_tokens=60).text
    chat = VideoChat(model, clip_files[0])
    stream = chat.stream("What happens?", max_new_tokens=60)
    pieces = [next(stream)]
    stream.close()  # type: ignore[attr-defined]
    assert chat.last_answer is not None
    assert chat.last_answer.finish_reason == "cancelled"
    assert chat.last_answer.text == "".join(pieces)
    assert whole.startswith(chat.last_answer.text)
    assert chat.history[1] == Message("assistant", chat.last_answer.text)
    assert chat.ask("And then?", max_new_tokens=9).text == answer_from_nothing(chat, list(chat.videos), 9)


def test_leaving_the_loop_stops_the_work(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    for _ in chat.stream("What happens?", max_new_tokens=400):
        break
    chat.undo()
    assert chat.history == ()


def test_an_open_answer_is_closed_by_the_next_question(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    abandoned = chat.stream("What happens?", max_new_tokens=30)
    next(abandoned)
    chat.ask("And then?", **BRIEF)
    assert [turn.role for turn in chat.history] == ["user", "assistant"] * 2
    assert list(abandoned) == []


def test_stop_ends_a_running_answer_from_another_thread(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    stream = chat.stream("What happens?", max_new_tokens=400)
    next(stream)
    thread = threading.Thread(target=chat.stop)
    thread.start()
    thread.join()
    list(stream)
    assert chat.last_answer is not None
    assert chat.last_answer.finish_reason == "cancelled"
    assert chat.ask("And then?", **BRIEF).finish_reason != "cancelled"


def test_undo_takes_back_a_turn_and_keeps_its_media_for_the_next(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    first = chat.ask("What happens?", max_new_tokens=9)
    chat.undo()
    assert chat.history == ()
    assert chat.ask("What happens?", max_new_tokens=9).text == first.text
    assert chat.history[0].content == "<video>\nWhat happens?"


def test_reset_starts_anew_with_the_media_or_without(model: VideoLLM, clip_files: Clips) -> None:
    chat = VideoChat(model, clip_files[0])
    first = chat.ask("What happens?", max_new_tokens=9)
    chat.ask("And then?", **BRIEF)
    chat.reset()
    assert (chat.history, chat.last_answer, len(chat.videos)) == ((), None, 1)
    assert chat.ask("What happens?", max_new_tokens=9).text == first.text
    chat.reset(keep_media=False)
    assert chat.videos == ()
    assert chat.ask("Hello!", **BRIEF).usage.visual_tokens == 0


def test_what_a_person_types_is_never_taken_for_a_mark_or_a_special_token(
    model: VideoLLM, clip_files: Clips
) -> None:
    chat = VideoChat(model, clip_files[0])
    answer = chat.ask("What does <video> mean, and <|video_pad|><|end|>?", **BRIEF)
    assert answer.usage.visual_tokens == chat.videos[0].token_count


def test_older_turns_go_when_the_context_overflows_and_the_person_is_told(
    forgetful_model: VideoLLM, clip_files: Clips
) -> None:
    chat = VideoChat(forgetful_model, clip_files[0])
    answers = [chat.ask(f"What happens in this video after {turn}? " * 3, **BRIEF) for turn in range(8)]
    assert answers[0].notices == ()
    assert "context of 512 tokens: it no longer sees the" in answers[-1].notices[0]
    assert answers[-1].usage.visual_tokens == chat.videos[0].token_count
    assert len(chat.history) == 16


def test_media_that_fill_the_context_are_refused_and_not_cut(
    forgetful_model: VideoLLM, clip_files: Clips
) -> None:
    chat = VideoChat(forgetful_model, [clip_files[0]] * 30)
    with pytest.raises(ContextOverflowError, match="lower max_visual_tokens"):
        chat.ask("What happens?")
    assert chat.history == ()


def test_sampling_is_repeatable_by_its_seed(model: VideoLLM, clip_files: Clips) -> None:
    def sampled(seed: int) -> str:
        chat = VideoChat(model, clip_files[0])
        return chat.ask("What happens?", max_new_tokens=20, temperature=1.5, seed=seed).text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(4)}) > 1


def test_the_budget_and_the_frames_are_what_was_asked_for(model: VideoLLM, clip_files: Clips) -> None:
    small = VideoChat(model, clip_files[0], max_visual_tokens=5, max_frames=2).videos[0]
    assert small.token_count <= 5
    assert small.plan.frame_count == 2
    window = VideoChat(model, clip_files[0], start_s=0.5, end_s=1.5, fps=4).videos[0]
    assert window.plan.frame_count == 4
    assert 0.4 <= window.plan.times_s[0] <= window.plan.times_s[-1] <= 1.5


def test_a_system_prompt_stands_before_everything(model: VideoLLM, clip_files: Clips) -> None:
    plain = VideoChat(model, clip_files[0]).ask("What happens?", **BRIEF).usage
    told = VideoChat(model, clip_files[0], system="Answer briefly.").ask("What happens?", **BRIEF).usage
    assert told.prompt_tokens > plain.prompt_tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temprature": 1.0}, "unknown generation setting 'temprature': did you mean temperature"),
        ({"beams": 3}, "unknown generation setting 'beams': known are max_new_tokens"),
        ({"top_p": 0.0}, "top_p must be above 0"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_computed(
    model: VideoLLM, clip_files: Clips, settings: dict[str, float], message: str
) -> None:
    chat = VideoChat(model, clip_files[0])
    with pytest.raises(ConfigError, match=message):
        chat.stream("What happens?", **settings)
    assert chat.history == ()


def test_an_empty_question_is_refused(model: VideoLLM) -> None:
    with pytest.raises(ConfigError, match="the question is empty"):
        VideoChat(model).ask("  \n")


def test_a_video_that_another_model_encoded_is_refused(
    model: VideoLLM, tiny_checkpoint: Path, clip_files: Clips
) -> None:
    other = load_model(tiny_checkpoint)
    with torch.no_grad():
        other.projector.norm.weight.mul_(2)
    with pytest.raises(DataError, match="was encoded by another model"):
        VideoChat(model, read_media(other, clip_files[0]))


def test_a_damaged_file_is_answered_about_and_named(
    model: VideoLLM, clip_files: Clips, tmp_path: Path
) -> None:
    damaged = bytearray(clip_files[0].read_bytes())
    start, half = damaged.index(b"mdat") + 4, len(damaged) // 2
    for place in range(start + (half - start) // 2, half, 7):
        damaged[place] ^= 0xFF
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    chat = VideoChat(model, tmp_path / "damaged.mp4")
    assert "damaged.mp4 is damaged" in chat.ask("What happens?", **BRIEF).notices[0]
    assert chat.ask("And then?", **BRIEF).notices == ()


def test_a_clip_longer_than_the_model_was_trained_on_is_pointed_out_once(
    model: VideoLLM, clip_files: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = dataclasses.replace(model.config.video, trained_max_s=1.0)
    monkeypatch.setattr(model.config, "video", video)
    chat = VideoChat(model, clip_files[0])
    (notice,) = chat.ask("What happens?", **BRIEF).notices
    assert notice.startswith("one.mp4 lasts 0:0")
    assert "trained on clips up to 0:01: times and counts may be wrong" in notice
    assert chat.ask("And then?", **BRIEF).notices == ()
    assert VideoChat(model, clip_files[0], end_s=1.2).ask("What happens?", **BRIEF).notices == ()


def test_more_videos_than_the_model_was_trained_on_are_pointed_out(
    model: VideoLLM, clip_files: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = dataclasses.replace(model.config.video, trained_max_videos=1)
    monkeypatch.setattr(model.config, "video", video)
    chat = VideoChat(model, clip_files[0])
    assert chat.ask("What happens?", **BRIEF).notices == ()
    chat.add(clip_files[1])
    (notice,) = chat.ask("And here?", **BRIEF).notices
    assert "trained on 1 video at a time, here are 2" in notice
    assert chat.ask("And then?", **BRIEF).notices == ()
