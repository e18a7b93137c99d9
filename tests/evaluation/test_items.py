"""The questions of a test: balanced over kinds, about different clips, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from videollm.evaluation.items import BLIND, EMPTY, Item, draw_items
from videollm.synthetic.language.questions import DESCRIPTIONS, KINDS


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return draw_items(3 * len(KINDS), 4, pairs=6, empty=9)


def test_every_kind_and_each_description_is_asked_equally_often(items: list[Item]) -> None:
    counts = Counter(item.question.kind for item in items if item.other == BLIND)
    assert counts == dict.fromkeys((*KINDS, *DESCRIPTIONS), 3)


def test_no_answer_is_right_for_more_than_half_of_a_kind(items: list[Item]) -> None:
    blind = [item.question for item in items if item.other == BLIND and item.question.kind != "out_of_scope"]
    counts = Counter((question.kind, question.answer) for question in blind)
    assert max(counts.values()) <= 2


def test_the_questions_of_a_kind_are_about_different_clips(items: list[Item]) -> None:
    asked = [(item.question.kind, item.clip) for item in items if item.other == BLIND]
    assert len(asked) == len(set(asked))


def test_blind_clips_are_other_clips_of_the_test_split(items: list[Item]) -> None:
    blind = [item for item in items if item.other == BLIND]
    assert all(item.other_clip != item.clip for item in blind)
    assert {item.other_clip.split for item in items} == {"test"}
    assert all(item.question == item.other_question for item in blind)
    assert len({item.other_clip for item in blind}) > len({item.clip for item in blind}) / 3


def test_in_a_pair_one_text_has_two_answers(items: list[Item]) -> None:
    pairs = [item for item in items if item.other not in (BLIND, EMPTY)]
    assert len(pairs) == 6
    for pair in pairs:
        assert pair.question.text == pair.other_question.text
        assert pair.question.answer != pair.other_question.answer
        assert pair.clip.seed == pair.other_clip.seed


def test_questions_about_objects_are_asked_of_textures_and_photographs_without_any(items: list[Item]) -> None:
    empty = [item for item in items if item.other == EMPTY]
    assert len(empty) == 9
    for item in empty:
        for clip, backdrop in ((item.clip, "texture"), (item.other_clip, "photo")):
            assert clip.split == "test"
            assert {shot.backdrop.kind for shot in clip.shots} == {backdrop}
            assert not clip.objects
        assert item.question == item.other_question
        assert item.question.text
        assert item.question.answer == ""
    assert len({item.clip for item in empty}) == 9


def test_the_same_seed_draws_the_same_test_and_another_seed_shares_no_clip(items: list[Item]) -> None:
    assert draw_items(3 * len(KINDS), 4, pairs=6, empty=9) == items
    other = draw_items(len(KINDS), 5)
    assert not {item.clip for item in other} & {item.clip for item in items}


def test_asking_more_keeps_the_number_of_questions_promised() -> None:
    assert len(draw_items(22, 0, kinds=KINDS)) == 2 * len(KINDS)
    assert [item.index for item in draw_items(21, 0, kinds=KINDS)] == list(range(len(KINDS)))
