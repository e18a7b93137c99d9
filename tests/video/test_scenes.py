"""Cuts are found on few frames; moves, fades and what happens in a shot are none."""

import numpy as np
import pytest

from videollm.model.settings import VideoSettings
from videollm.synthetic.reading import read_clip
from videollm.synthetic.sampling import sample_clip
from videollm.video.scenes import find_cuts


def texture(seed, side=96):
    """A picture with large and small parts."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (6, 6, 3)).repeat(side // 6, axis=0).repeat(side // 6, axis=1)
    return np.clip(coarse + rng.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8)


def lit(picture, gains):
    return np.stack([(picture * gain).astype(np.uint8) for gain in gains])


def test_a_cut_is_where_another_picture_begins():
    first, second, third = (np.stack([texture(seed)] * 4) for seed in range(3))
    assert find_cuts(np.concatenate([first, second, third])) == (4, 8)
    assert find_cuts(np.concatenate([first, first])) == ()
    assert find_cuts(first[:1]) == ()


def test_plain_pictures_that_differ_in_light_or_colour_are_cut():
    gray, darker, red = (
        np.full((4, 48, 64, 3), colour, np.uint8) for colour in ((150,) * 3, (90,) * 3, (200, 30, 30))
    )
    assert find_cuts(np.concatenate([gray, darker, red])) == (4, 8)


@pytest.mark.parametrize(("down", "right"), [(0, 5), (4, 0), (-3, -3)])
def test_a_moving_camera_is_no_cut(down, right):
    wide = texture(3, side=240)
    frames = [
        wide[80 + down * step : 176 + down * step, 80 + right * step : 176 + right * step]
        for step in range(10)
    ]
    assert find_cuts(np.stack(frames)) == ()


def test_fades_are_no_cuts_and_a_cut_behind_one_is():
    picture, other = texture(4), texture(5)
    fade = np.linspace(1, 0, 6)
    assert find_cuts(lit(picture, [1, 1, *fade])) == ()
    assert find_cuts(lit(picture, [*fade[::-1], 1, 1])) == ()
    assert find_cuts(np.concatenate([lit(picture, [1, 1, *fade]), lit(other, [1, 1, 1])])) == (8,)


def test_noise_and_darkness_are_no_cuts():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 8, (12, 48, 64, 3)).astype(np.uint8)
    assert find_cuts(dark) == ()


def test_shots_of_clips_that_were_never_looked_at_are_told_apart():
    """With whatever happens in them: things that blink and spin, moves, fades, codecs' sizes."""
    video = VideoSettings(fps=3.0, max_frames=90)
    found = right = there = 0
    for seed in range(30_000, 30_040):
        clip = sample_clip(seed, "test", max_short_side=160)
        frames, plan = read_clip(clip, video)
        seconds = [plan.times_s[cut] for cut in find_cuts(frames)]
        cuts = [shot.start_s for shot in clip.shots[1:]]
        right += sum(any(0 <= second - cut < 0.5 for second in seconds) for cut in cuts)
        found, there = found + len(seconds), there + len(cuts)
    assert there > 20
    assert right / there > 0.95
    assert right / found > 0.85
