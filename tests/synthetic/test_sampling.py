"""Sampled clips keep every rule of the pocket world."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videollm.errors import ConfigError
from videollm.synthetic import motion, shapes
from videollm.synthetic.backdrops import TEXTURES
from videollm.synthetic.colours import ACHROMATIC, is_shade
from videollm.synthetic.photos import photo_names
from videollm.synthetic.rendering import pixel_outline, screen_centre
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import (
    ACTIONS,
    BACKDROPS,
    CAMERAS,
    COLOURS,
    HELD_OUT_ACTING,
    HELD_OUT_COLOURED,
    LIGHTS,
    SHAPES,
    SIZES,
    TONES,
)


def shots_of(clips):
    return [shot for clip in clips for shot in clip.shots]


def staged_objects(clips):
    return [(clip, shot, thing) for clip in clips for shot in clip.shots for thing in shot.objects]


def is_held_out(thing):
    return (thing.colour, thing.shape) in HELD_OUT_COLOURED or (
        thing.shape,
        thing.action.kind,
    ) in HELD_OUT_ACTING


def test_a_seed_gives_the_same_clip_every_time():
    assert sample_clip(7) == sample_clip(7)
    assert sample_clip(7, "test") == sample_clip(7, "test")
    assert sample_clip(7) != sample_clip(8)


def test_the_splits_share_nothing_where_seeds_are_equal(training_clips, testing_clips):
    for train, test in zip(training_clips, testing_clips, strict=False):
        assert train.shots != test.shots
    train_seeds, test_seeds = (
        {shot.backdrop.seed for shot in shots_of(side) if shot.backdrop.kind in ("texture", "photo")}
        for side in (training_clips, testing_clips)
    )
    assert not train_seeds & test_seeds


@settings(max_examples=25)
@given(seed=st.integers(0, 2**63 - 1), split=st.sampled_from(["train", "test"]))
def test_any_seed_gives_a_clip_of_the_promised_form(seed, split):
    clip = sample_clip(seed, split)
    assert 1 <= len(clip.shots) <= 4
    assert 2 - 1e-6 <= clip.duration_s <= 30 + 1e-6
    assert min(clip.width, clip.height) >= 96
    assert 9 / 16 - 0.02 <= clip.width / clip.height <= 16 / 9 + 0.02
    assert 8 <= clip.fps <= 30


def test_shots_follow_each_other_on_whole_frames_and_last_two_seconds(clips):
    for clip in clips:
        edges = [0.0, *(shot.end_s for shot in clip.shots)]
        assert [shot.start_s for shot in clip.shots] == edges[:-1]
        for shot in clip.shots:
            assert shot.end_s - shot.start_s >= 2 - 1e-6
            assert shot.end_s * clip.fps == pytest.approx(round(shot.end_s * clip.fps), abs=1e-6)


def test_training_never_shows_a_held_out_combination_and_tests_often_do(training_clips, testing_clips):
    assert not any(is_held_out(thing) for clip in training_clips for thing in clip.objects)
    shown = [is_held_out(thing) for clip in testing_clips for thing in clip.objects]
    assert 0.2 < np.mean(shown) < 0.5


def test_no_two_objects_of_a_clip_share_colour_and_shape(clips):
    for clip in clips:
        named = [(thing.colour, thing.shape) for thing in clip.objects]
        assert len(set(named)) == len(named)


def test_shades_lie_within_their_names(clips):
    for clip in clips:
        assert all(is_shade(thing.rgb, thing.colour) for thing in clip.objects)
        for backdrop in (shot.backdrop for shot in clip.shots):
            assert all(map(is_shade, backdrop.rgbs, backdrop.colours))
            assert len(backdrop.colours) == {"plain": 1, "gradient": 2}.get(backdrop.kind, 0)


def test_sizes_keep_their_classes(clips):
    for clip, _, thing in staged_objects(clips):
        low, high = {"small": (1 / 10, 1 / 6), "large": (1 / 4, 2 / 5)}[thing.size]
        assert low <= thing.extent <= high
        assert thing.extent * min(clip.width, clip.height) >= 14


def test_actions_are_as_long_and_as_large_as_promised(clips):
    for _, shot, thing in staged_objects(clips):
        action = thing.action
        length = action.end_s - action.start_s
        if action.kind == "stays still":
            assert (action.start_s, action.end_s) == (shot.start_s, shot.end_s)
            continue
        assert 0.79 <= length <= 4.01
        if action.kind.startswith("moves"):
            assert action.amount >= 0.25
        elif action.kind in ("grows", "shrinks"):
            assert max(action.amount, 1 / action.amount) >= 1.6
            assert (action.amount > 1) == (action.kind == "grows")
        elif action.kind == "spins":
            fastest = 1.5 if action.easing == "smooth" else 1.0
            assert thing.shape not in ("circle", "ring")
            assert abs(action.amount) >= 0.5
            assert abs(action.amount) * fastest / length <= 1.0
        elif action.kind == "blinks":
            assert action.amount >= 3
            assert length / (2 * action.amount - 1) >= 0.25
        else:
            assert 0.7 <= length <= 1.3


def test_events_keep_clear_of_cuts_fades_and_the_edge_of_simultaneity(clips):
    for clip in clips:
        for shot in clip.shots:
            fade_in = shot.light_amount if shot.light == "fades in" else 0
            fade_out = shot.light_amount if shot.light == "fades out" else 0
            acting = [thing.action for thing in shot.objects if thing.action.kind != "stays still"]
            for action in acting:
                assert action.start_s >= shot.start_s + fade_in + 0.3
                assert action.end_s <= shot.end_s - fade_out - 0.3
            for first, second in itertools.combinations(acting, 2):
                gap = abs(first.start_s - second.start_s)
                assert gap <= 0.3 or gap >= 0.75


def boxes_over_time(clip, shot, thing, moments=25):
    """Bounding boxes (moments, 4) of an object on screen, in pixels."""
    outline, _ = pixel_outline(thing, min(clip.width, clip.height))
    boxes = []
    for time_s in np.linspace(shot.start_s, shot.end_s, moments):
        pose, view = motion.pose(thing, time_s), motion.view(shot, time_s)
        corners = shapes.turned(outline, pose.turns) * pose.scale * view.scale
        corners = corners + screen_centre(pose, view) * (clip.width, clip.height)
        boxes.append([*corners.min(axis=0), *corners.max(axis=0)])
    return np.array(boxes)


def test_objects_stay_inside_the_frame_and_apart(clips):
    for clip in clips:
        for shot in clip.shots:
            paths = [boxes_over_time(clip, shot, thing) for thing in shot.objects]
            for path in paths:
                assert path[:, :2].min() >= 0
                assert (path[:, 2:].max(axis=0) <= (clip.width, clip.height)).all()
            for first, second in itertools.combinations(paths, 2):
                apart = (first[:, 2:] < second[:, :2]) | (second[:, 2:] < first[:, :2])
                assert apart.any(axis=1).all()


def test_dark_and_bright_shots_are_empty_and_never_plain(clips):
    for shot in shots_of(clips):
        if shot.light in ("dark", "bright"):
            assert not shot.objects
            assert shot.backdrop.kind != "plain"


def test_black_and_white_shots_hold_what_keeps_its_name_over_what_had_colour(clips):
    for shot in shots_of(clips):
        if shot.tone == "in black and white":
            assert shot.backdrop.kind in ("texture", "photo")
            assert {thing.colour for thing in shot.objects} <= ACHROMATIC


def test_cameras_move_only_where_the_move_can_be_seen(clips):
    for shot in shots_of(clips):
        if shot.camera == "is static":
            continue
        axes = {"pans": "x", "tilts": "y", "zooms": "xy"}[shot.camera.split()[0]]
        assert shot.backdrop.kind == "photo" or axes in TEXTURES[shot.backdrop.texture].moves
        assert shot.camera_amount >= (1.3 if axes == "xy" else 0.25)
        assert {thing.action.kind for thing in shot.objects} <= {"stays still"}


def test_fades_last_one_to_two_seconds_and_at_most_half_the_shot(clips):
    for shot in shots_of(clips):
        if shot.light.startswith("fades"):
            assert 1 <= shot.light_amount <= min(2, (shot.end_s - shot.start_s) / 2 + 1e-3)


def test_a_cut_never_joins_black_to_black(clips):
    for clip in clips:
        for before, after in itertools.pairwise(clip.shots):
            ends_black = before.light == "fades out" or before.backdrop.colours == ("black",)
            starts_black = after.light == "fades in" or after.backdrop.colours == ("black",)
            assert not (ends_black and starts_black)


def test_photographs_are_split_by_file(training_clips, testing_clips):
    assert not set(photo_names("train")) & set(photo_names("test"))
    for split, side in (("train", training_clips), ("test", testing_clips)):
        shown = {shot.backdrop.photo for shot in shots_of(side) if shot.backdrop.kind == "photo"}
        assert shown
        assert shown <= set(photo_names(split))


def test_everything_the_world_can_show_occurs(training_clips):
    shots = shots_of(training_clips)
    things = [thing for shot in shots for thing in shot.objects]
    assert {shot.backdrop.kind for shot in shots} == set(BACKDROPS)
    assert len({shot.backdrop.texture for shot in shots}) >= 10
    assert {shot.camera for shot in shots} == set(CAMERAS)
    assert {shot.light for shot in shots} == set(LIGHTS)
    assert {shot.tone for shot in shots} == set(TONES)
    assert {len(shot.objects) for shot in shots} == {0, 1, 2, 3}
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.size for thing in things} == set(SIZES)
    assert {thing.action.kind for thing in things} == set(ACTIONS)
    assert {len(clip.shots) for clip in training_clips} == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("wish", "seen"),
    [
        ({"camera": "zooms out"}, lambda shot: shot.camera == "zooms out"),
        ({"light": "dark"}, lambda shot: shot.light == "dark"),
        ({"light": "fades in"}, lambda shot: shot.light == "fades in"),
        ({"tone": "in black and white"}, lambda shot: shot.tone == "in black and white"),
        ({"backdrop": "gradient"}, lambda shot: shot.backdrop.kind == "gradient"),
        ({"objects": 2}, lambda shot: len(shot.objects) == 2),
        ({"objects": 0}, lambda shot: not shot.objects),
    ],
)
def test_wishes_are_kept_in_nearly_every_shot(wish, seen):
    shots = shots_of([sample_clip(seed, **wish) for seed in range(12)])
    assert np.mean([seen(shot) for shot in shots]) >= 0.9


def test_number_of_shots_duration_and_size_are_kept_exactly():
    clip = sample_clip(3, shots=3, duration_s=(8, 9), max_short_side=100)
    assert len(clip.shots) == 3
    assert 8 <= clip.duration_s <= 9
    assert min(clip.width, clip.height) <= 100


@pytest.mark.parametrize("wrong", [{"split": "valid"}, {"shots": 4, "duration_s": (2, 7)}])
def test_impossible_wishes_are_refused_in_one_line(wrong):
    with pytest.raises(ConfigError) as refused:
        sample_clip(0, **wrong)
    assert "\n" not in str(refused.value)
