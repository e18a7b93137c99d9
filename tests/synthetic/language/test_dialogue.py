"""Conversations that refer back, and text for a language model that sees nothing."""

from __future__ import annotations

import dataclasses
import random

from videollm.synthetic.language.descriptions import dense
from videollm.synthetic.language.dialogue import dialogue, follow_up
from videollm.synthetic.language.facts import SHOT_KINDS
from videollm.synthetic.language.questions import KINDS, ask
from videollm.synthetic.language.world_text import log, world_exchange, world_text


def _followed(clip, previous):
    """Returns every follow-up that many draws bring up, by text."""
    rng = random.Random(3)
    drawn = (follow_up(clip, rng, previous) for _ in range(600))
    return {question.text: question.answer for question in drawn if question}


def _asked(clip, kind, answer):
    """Returns a question of a kind with a certain answer, about one whole clip."""
    rng = random.Random(1)
    drawn = (ask(clip, rng, kind) for _ in range(500))
    return next(
        question
        for question in drawn
        if question and question.answer == answer and "object" not in question.text
    )


def test_it_stands_for_the_object_of_the_turn_before(example):
    followed = _followed(example, _asked(example, "first_last", "a small red star moves left"))
    assert followed["And when does it do that?"] == "from 0:03 to 0:05"
    assert followed["What happens after that?"] == "a large blue ring grows"
    assert followed["And what happens last?"] == "a large blue ring grows"
    assert not any("colour" in text for text in followed), "its colour has just been said"


def test_what_has_not_been_said_yet_is_asked(example):
    followed = _followed(example, _asked(example, "colour", "red"))
    assert followed["And what does it do?"] == "moves left"
    assert followed["And how big is it?"] == "small"


def test_a_question_moves_on_to_another_shot_or_object(example):
    followed = _followed(example, _asked(example, "light", "dark"))
    assert followed["And in the first shot?"] == "normal"
    followed = _followed(example, _asked(example, "action", "moves left"))
    assert followed["And the blue ring?"] == "grows"


def test_nothing_follows_an_answer_that_names_nothing(example):
    assert _followed(example, ask(example, random.Random(0), "out_of_scope")) == {}


def test_dialogues_hold_true_answers_of_the_usual_kinds(training_clips):
    rng = random.Random(2)
    follow_ups = 0
    dialogues = [(clip, dialogue(clip, rng, 5)) for clip in training_clips for _ in range(5)]
    for clip, turns in dialogues:
        assert len({turn.text for turn in turns}) == 5
        assert all(turn.kind in KINDS and turn.answer for turn in turns)
        for turn in turns:
            if turn.kind in SHOT_KINDS and turn.shot_index is not None:
                shot = clip.shots[turn.shot_index]
                assert turn.kind == "backdrop" or turn.answer == getattr(shot, turn.kind)
        follow_ups += sum(turn.text.lower().startswith(("and ", "what about")) for turn in turns)
    assert follow_ups > len(dialogues) / 2


def test_a_dialogue_is_a_function_of_its_seed(test_clips):
    for clip in test_clips[:10]:
        assert dialogue(clip, random.Random(5), 6) == dialogue(clip, random.Random(5), 6)


def test_a_log_holds_the_whole_truth_with_places_and_times(example):
    first, second = example.shots
    star, ring = first.objects
    placed = dataclasses.replace(first, objects=(dataclasses.replace(star, x=0.62, y=0.299), ring))
    assert log(dataclasses.replace(example, shots=(placed, second))) == (
        "shot 1 0:00-0:08: gray background; camera is static; light normal; in colour; "
        "small red star at 6 2 moves left 0:03-0:05; large blue ring at 5 5 grows 0:06-0:07\n"
        "shot 2 0:08-0:12: textured scene; camera pans right; light dark; in colour"
    )


def test_world_text_is_a_log_with_questions_and_answers(training_clips):
    rng = random.Random(0)
    described = 0
    for clip in training_clips[:60]:
        text = world_text(clip, rng, 4)
        assert text.startswith(log(clip))
        assert text.count("\nQ: ") == text.count("\nA: ") == 4
        described += world_exchange(clip, rng, 4)[1][0].answer == dense(clip)
    assert described > 3
