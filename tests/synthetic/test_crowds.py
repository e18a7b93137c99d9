"""Crowds: more objects, under the world's rules but for their number."""

from itertools import combinations

import numpy as np
import pytest

from videollm.synthetic.casting import swept_box
from videollm.synthetic.colours import SHADES, is_shade
from videollm.synthetic.crowds import crowd
from videollm.synthetic.nameless import named_only
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import COLOURS, SHAPES, UNNAMED
from videollm.synthetic.truth import events


def crowded(clips, most=7):
    every = range(4)
    return [crowd(clip, np.random.default_rng(seed), most, every) for seed, clip in enumerate(clips)]


@pytest.fixture(scope="module")
def grown(clips):
    return crowded(clips)


def test_a_crowd_is_added_to_what_was_there(clips, grown):
    added = sum(len(shot.objects) for clip in grown for shot in clip.shots)
    assert added > 2 * sum(len(shot.objects) for clip in clips for shot in clip.shots)
    for before, after in zip(clips, grown, strict=True):
        assert events(after) == events(before)
        for one, other in zip(before.shots, after.shots, strict=True):
            assert other.objects[: len(one.objects)] == one.objects
            assert len(other.objects) <= max(7, len(one.objects))
            assert all(thing.action.kind == "stays still" for thing in other.objects[len(one.objects) :])


def test_nobody_stands_in_anothers_way_or_is_their_double(grown):
    for clip in grown:
        things = [thing for shot in clip.shots for thing in shot.objects]
        assert len({(thing.colour, thing.shape) for thing in things}) == len(things)
        for shot in clip.shots:
            assert not (shot.objects and shot.light in ("dark", "bright"))
            boxes = [swept_box(thing, shot, (clip.width, clip.height)) for thing in shot.objects]
            for (left, top, right, bottom), other in combinations(boxes, 2):
                assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top


def test_what_has_no_name_lacks_one_and_comes_with_all_that_have_one(clips):
    every = range(4)
    grown = [
        crowd(clip, np.random.default_rng(seed), 7, every, unnamed_share=0.6)
        for seed, clip in enumerate(clips)
    ]
    things = [thing for clip in grown for shot in clip.shots for thing in shot.objects]
    colourless = [thing for thing in things if thing.colour == UNNAMED]
    shapeless = [thing for thing in things if thing.shape == UNNAMED]
    assert len(colourless) + len(shapeless) > len(things) / 3
    assert {thing.shape for thing in colourless} == set(SHAPES)
    assert {thing.colour for thing in shapeless} == set(COLOURS)
    assert not any(is_shade(thing.rgb, colour) for thing in colourless for colour in SHADES)
    assert all(is_shade(thing.rgb, thing.colour) for thing in shapeless)
    for clip in grown:
        for shot in clip.shots:
            if shot.tone == "in black and white":
                assert all(len(set(thing.rgb)) == 1 for thing in shot.objects)
    for before, after in zip(clips, grown, strict=True):
        told = named_only(after)
        assert events(told) == events(before)
        assert not any(UNNAMED in (thing.colour, thing.shape) for thing in told.objects)


def test_only_the_shots_that_are_named_are_crowded(clips):
    clip = next(clip for clip in clips if len(clip.shots) > 2 and clip.shots[1].light == "normal")
    grown = crowd(clip, np.random.default_rng(1), 9, {1})
    changed = [one != other for one, other in zip(clip.shots, grown.shots, strict=True)]
    assert changed == [number == 1 for number in range(len(clip.shots))]


def test_a_crowd_in_black_and_white_ends_where_its_few_pairs_do():
    clips = [sample_clip(seed, "train", shots=4, tone="in black and white", objects=1) for seed in range(3)]
    for clip in crowded(clips, most=30):
        assert 4 <= sum(len(shot.objects) for shot in clip.shots) <= 22
