"""Twins of clips, and questions whose answers tell them apart."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import numpy as np
import pytest

from videollm.synthetic import twins
from videollm.synthetic.language.counterfactual import counterfactual
from videollm.synthetic.language.scoring import is_right
from videollm.synthetic.rendering import render_frame
from videollm.synthetic.truth import any_held_out


@pytest.fixture(scope="module")
def pairs(test_clips):
    """All counterfactual pairs of some clips, with their clips."""
    rng = random.Random(0)
    return [(clip, pair) for clip in test_clips[:24] for pair in counterfactual(clip, rng)]


def test_a_pair_has_one_text_and_two_answers_neither_right_for_the_other(pairs):
    for _, pair in pairs:
        assert pair.question.text == pair.twin_question.text
        assert not is_right(pair.question, pair.twin_question.answer)
        assert not is_right(pair.twin_question, pair.question.answer)


def test_pairs_are_of_all_changes_and_many_kinds(pairs):
    found = {
        change: Counter(pair.question.kind for _, pair in pairs if pair.change == change)
        for change in _CHANGES
    }
    assert set(found["backwards"]) >= {"first_last", "action", "camera", "light", "cut"}
    assert set(found["recut"]) >= {"first_last", "when", "order", "contents", "backdrop", "cut"}
    assert set(found["recoloured"]) >= {"colour", "exists", "contents"}


_CHANGES = ("backwards", "recut", "recoloured")


def test_a_clip_run_backwards_shows_the_same_pictures_from_its_end(test_clips):
    compared = 0
    for clip in test_clips:
        still = dataclasses.replace(clip, noise=0.0)
        twin = twins.backwards(still)
        if twin is None:
            continue
        for share in (0.13, 0.61):
            time = share * clip.duration_s
            there = render_frame(still, time, height=64, width=64).astype(int)
            back = render_frame(twin, clip.duration_s - time, height=64, width=64)
            assert np.abs(there - back).mean() < 1.5
        compared += 1
        if compared == 12:
            return
    pytest.fail("hardly any clip can be run backwards")


def test_twice_backwards_is_the_clip_itself(test_clips):
    for clip in test_clips:
        twin = twins.backwards(clip)
        again = twins.backwards(twin) if twin else None
        if again:
            assert [shot.camera for shot in again.shots] == [shot.camera for shot in clip.shots]
            assert [shot.start_s for shot in again.shots] == pytest.approx(
                [shot.start_s for shot in clip.shots]
            )
            assert [thing.x for thing in again.objects] == pytest.approx([thing.x for thing in clip.objects])
            assert [thing.action.kind for thing in again.objects] == [
                thing.action.kind for thing in clip.objects
            ]


def test_a_recut_clip_has_the_same_shots_back_to_back_in_another_order(test_clips):
    rng = random.Random(1)
    for clip in test_clips[:15]:
        twin = twins.recut(clip, rng)
        if twin is None:
            continue
        assert [shot.backdrop for shot in twin.shots] != [shot.backdrop for shot in clip.shots]
        assert {shot.backdrop for shot in twin.shots} == {shot.backdrop for shot in clip.shots}
        assert [shot.end_s for shot in twin.shots[:-1]] == [shot.start_s for shot in twin.shots[1:]]
        assert twin.duration_s == pytest.approx(clip.duration_s)
        for shot in twin.shots:
            assert all(shot.start_s - 1e-6 <= thing.action.start_s for thing in shot.objects)
            assert all(thing.action.end_s <= shot.end_s + 1e-6 for thing in shot.objects)


def test_a_recoloured_clip_differs_in_the_colour_of_one_object(test_clips):
    rng = random.Random(2)
    for clip in test_clips:
        twin = twins.recoloured(clip, rng)
        if twin:
            changed = [(a, b) for a, b in zip(clip.objects, twin.objects, strict=True) if a != b]
            assert len(changed) == 1
            old, new = changed[0]
            assert dataclasses.replace(new, colour=old.colour, rgb=old.rgb) == old
            assert len({(thing.colour, thing.shape) for thing in twin.objects}) == len(twin.objects)


def test_twins_of_training_clips_show_no_held_out_combination(training_clips):
    rng = random.Random(3)
    for clip in training_clips[:15]:
        for twin in (twins.backwards(clip), twins.recut(clip, rng), twins.recoloured(clip, rng)):
            assert twin is None or not any_held_out(twin.objects)
