"""Answers in batches are those of one question at a time."""

from __future__ import annotations

import pytest

from videollm import VideoChat, VideoLLM
from videollm.answering import Asked, answer_all
from videollm.evaluation.clips import encode_clip
from videollm.evaluation.items import draw_items
from videollm.synthetic.language.questions import KINDS
from videollm.synthetic.sampling import sample_clip


@pytest.fixture(scope="module")
def asked(model: VideoLLM) -> list[Asked]:
    items = draw_items(len(KINDS), 1, kinds=KINDS)[:12]
    videos = {item.clip: encode_clip(model, item.clip) for item in items}
    return [Asked(videos[item.clip], item.question.text, 8) for item in items]


def test_batches_answer_as_single_questions_do(model: VideoLLM, asked: list[Asked]) -> None:
    together = dict(answer_all(model, asked, batch_size=5))
    alone = dict(answer_all(model, asked, batch_size=1))
    assert together == alone
    assert len({reply.text for reply in alone.values()}) > 3


def test_batches_answer_as_a_conversation_does(model: VideoLLM, asked: list[Asked]) -> None:
    together = dict(answer_all(model, asked))
    for index, one in enumerate(asked[:4]):
        answer = VideoChat(model, one.video).ask(one.question, max_new_tokens=8)
        assert answer.text.strip() == together[index].text


def test_a_clip_rendered_directly_and_through_a_file_gives_the_same_plan(model: VideoLLM) -> None:
    clip = sample_clip(2, "test", shots=2, duration_s=(4.0, 6.0), max_short_side=96)
    direct, filed = encode_clip(model, clip), encode_clip(model, clip, through_file=True)
    assert direct.counts == filed.counts
    assert direct.plan.segments == filed.plan.segments
    assert direct.plan.times_s == pytest.approx(filed.plan.times_s, abs=0.5 / clip.fps)
