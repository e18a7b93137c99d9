"""What is rendered shows, in its pixels, what the clip says."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from videollm.synthetic.colours import luma_of
from videollm.synthetic.rendering import ClipRenderer, render_frame, render_frames
from videollm.synthetic.sampling import sample_clip
from videollm.synthetic.scenes import SHAPES, Action, Backdrop, Clip, Shot


def mask_of(clip, time_s):
    """Where the staged red object is seen."""
    return render_frame(clip, time_s)[..., 1] < 130


def centre_of(mask):
    rows, columns = np.nonzero(mask)
    return columns.mean() / mask.shape[1], rows.mean() / mask.shape[0]


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return np.ptp(columns) + 1, np.ptp(rows) + 1


def textured(**changes):
    backdrop = Backdrop("texture", rgbs=((20, 30, 90), (230, 200, 90)), texture="noise", seed=5)
    shot = Shot(0.0, 4.0, backdrop, **changes)
    return Clip(0, "train", 160, 120, 10.0, (shot,))


@pytest.mark.parametrize(
    ("kind", "step"),
    [("moves left", (-0.3, 0)), ("moves right", (0.3, 0)), ("moves up", (0, -0.3)), ("moves down", (0, 0.3))],
)
def test_a_move_goes_its_way_between_its_start_and_end(staged, kind, step):
    clip = staged(kind, amount=0.3)
    before, start, middle, end, after = (centre_of(mask_of(clip, t)) for t in (0, 1, 2, 3, 3.9))
    assert before == start
    assert end == after
    assert np.subtract(end, start) == pytest.approx(step, abs=0.01)
    assert np.subtract(middle, start) == pytest.approx(np.multiply(step, 0.5), abs=0.01)


@pytest.mark.parametrize(("kind", "factor"), [("grows", 2.0), ("shrinks", 0.5)])
def test_growing_and_shrinking_change_the_size_by_their_factor(staged, kind, factor):
    clip = staged(kind, amount=factor)
    first, last = (box_of(mask_of(clip, t))[0] for t in (0.5, 3.5))
    assert last / first == pytest.approx(factor, rel=0.06)


def test_a_spin_turns_the_shape_clockwise_by_its_amount(staged):
    clip = staged("spins", shape="triangle", amount=0.25, extent=0.5)
    upright, turned = (mask_of(clip, t) for t in (0.5, 3.5))
    centre_column = round(0.5 * upright.shape[1])
    square = slice(centre_column - 60, centre_column + 60)
    expected = np.rot90(upright[:, square], -1)
    assert (expected == turned[:, square]).mean() > 0.98


def test_a_blinking_object_goes_off_as_often_as_promised(staged):
    clip = staged("blinks", amount=4)
    seen = [bool(mask_of(clip, t).any()) for t in np.arange(0, 4, 0.02)]
    switched_off = sum(before and not after for before, after in itertools.pairwise(seen))
    assert switched_off == 4
    assert seen[0]
    assert seen[-1]
    assert not seen[int(1.05 / 0.02)]
    assert seen[int(3.05 / 0.02)]


@pytest.mark.parametrize(("kind", "ends"), [("appears", (0, 1)), ("disappears", (1, 0))])
def test_appearing_and_disappearing_fade_between_nothing_and_all(staged, kind, ends):
    frames = render_frames(staged(kind), [0.5, 2.0, 3.5]).astype(float)
    shown = (250 - frames[:, 60, 100, 1]) / 230
    assert shown == pytest.approx([ends[0], 0.5, ends[1]], abs=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("proportion", [0.0, 1.0])
def test_the_longer_side_on_screen_is_the_extent_of_the_shorter_frame_side(staged, shape, proportion):
    clip = staged(shape=shape, extent=0.35, proportion=proportion, angle_turns=0.015)
    assert max(box_of(mask_of(clip, 0))) == pytest.approx(0.35 * 120, abs=1.6)


def test_shapes_can_be_told_apart_by_their_pixels(staged):
    masks = {shape: mask_of(staged(shape=shape, extent=0.4), 0) for shape in SHAPES}
    filled = {shape: mask.sum() / np.prod(box_of(mask)) for shape, mask in masks.items()}
    assert filled["square"] > 0.98
    assert filled["circle"] == pytest.approx(np.pi / 4, abs=0.03)
    assert not masks["ring"][60, 100]
    assert masks["circle"][60, 100]
    assert filled["cross"] < 0.55
    width, height = box_of(masks["diamond"])
    assert width < 0.8 * height
    top, bottom = (masks["triangle"][row].sum() for row in (42, 72))
    assert top < bottom / 2


def shift_between(first, second):
    """Columns and rows by which the content moves from the first to the second frame, by phase correlation."""
    spectra = [np.fft.fft2(luma_of(frame) - luma_of(frame).mean()) for frame in (first, second)]
    product = np.conj(spectra[0]) * spectra[1]
    peak = np.fft.ifft2(product / np.maximum(np.abs(product), 1e-9)).real
    row, column = np.unravel_index(np.argmax(peak), peak.shape)
    return [int(k - n if k > n // 2 else k) for k, n in ((column, peak.shape[1]), (row, peak.shape[0]))]


@pytest.mark.parametrize(
    ("camera", "shift"),
    [("pans right", (-8, 0)), ("pans left", (8, 0)), ("tilts down", (0, -6)), ("tilts up", (0, 6))],
)
def test_the_content_moves_against_the_camera(camera, shift):
    clip = textured(camera=camera, camera_amount=0.4)
    first, second = render_frames(clip, [1.0, 1.5])
    assert shift_between(first, second) == pytest.approx(shift, abs=1)


@pytest.mark.parametrize(("camera", "wide", "narrow"), [("zooms in", 0.0, 4.0), ("zooms out", 4.0, 0.0)])
def test_a_zoom_scales_the_picture_about_its_middle(camera, wide, narrow):
    clip = textured(camera=camera, camera_amount=2.0)
    overview, detail = (render_frame(clip, time_s).astype(float) for time_s in (wide, narrow))
    middle = overview[30:90, 40:120]
    halved = detail.reshape(60, 2, 80, 2, 3).mean(axis=(1, 3))
    assert np.abs(middle - halved).mean() < 12
    assert np.abs(overview[:60, :80] - halved).mean() > 25


def test_objects_under_a_moving_camera_move_with_the_content(staged):
    clip = staged(x=0.7)
    shot = dataclasses.replace(
        clip.shots[0],
        backdrop=Backdrop("texture", rgbs=((180, 220, 200), (240, 250, 250)), texture="noise", seed=1),
        camera="pans right",
        camera_amount=0.4,
    )
    panned = dataclasses.replace(clip, shots=(shot,))
    first, last = (centre_of(mask_of(panned, t)) for t in (0, 4))
    assert np.subtract(last, first) == pytest.approx((-0.4, 0), abs=0.01)


@pytest.mark.parametrize(("light", "dark_at", "full_at"), [("fades in", 0.0, 1.5), ("fades out", 4.0, 2.5)])
def test_fades_are_black_at_their_end_and_gone_beyond_it(light, dark_at, full_at):
    clip = textured(light=light, light_amount=1.5)
    assert render_frame(clip, dark_at).max() == 0
    assert (render_frame(clip, full_at) == render_frame(textured(), full_at)).all()
    half = render_frame(clip, (dark_at + full_at) / 2).mean()
    assert half == pytest.approx(render_frame(textured(), 0).mean() / 2, rel=0.03)


def test_black_and_white_has_no_chroma_and_keeps_the_luma():
    noisy = dataclasses.replace(textured(tone="in black and white"), noise=5.0)
    assert np.ptp(render_frame(noisy, 1.0), axis=2).max() == 0
    gray = render_frame(textured(tone="in black and white"), 1.0)[..., 0]
    assert np.abs(gray - luma_of(render_frame(textured(), 1.0))).max() <= 1


@pytest.mark.parametrize("curve", ["gain", "gamma", "lift"])
def test_bright_is_brighter_and_dark_is_darker(curve):
    plain = render_frame(textured(), 0).mean()
    assert render_frame(textured(light="bright", light_amount=2.0, light_curve=curve), 0).mean() > plain + 30
    if curve != "lift":
        assert (
            render_frame(textured(light="dark", light_amount=0.3, light_curve=curve), 0).mean() < plain - 30
        )


def test_dark_normal_and_bright_shots_lie_apart_in_luma(clips):
    means = {"dark": [], "normal": [], "bright": []}
    for clip in clips:
        for shot in clip.shots:
            if shot.light in means and shot.backdrop.kind in ("texture", "photo"):
                middle = (shot.start_s + shot.end_s) / 2
                means[shot.light].append(luma_of(render_frame(clip, middle, height=48, width=64)).mean())
    assert np.percentile(means["dark"], 95) < np.percentile(means["normal"], 5)
    assert np.percentile(means["normal"], 95) < np.percentile(means["bright"], 5)


def test_objects_are_painted_in_their_shade(clips):
    for clip in clips[:60]:
        quiet = dataclasses.replace(clip, noise=0.0)
        for shot in quiet.shots:
            for thing in shot.objects:
                if thing.shape != "ring" and shot.light != "fades in" and thing.action.kind != "appears":
                    frame = render_frame(quiet, shot.start_s)
                    pixel = frame[int(thing.y * clip.height), int(thing.x * clip.width)]
                    assert tuple(pixel) == thing.rgb


def test_objects_stand_out_in_luma_from_what_is_behind_them(clips):
    lit = [(clip, shot) for clip in clips for shot in clip.shots if shot.objects and shot.light == "normal"]
    for clip, shot in lit[:80]:
        empty = dataclasses.replace(clip, noise=0.0, shots=(dataclasses.replace(shot, objects=()),))
        full = dataclasses.replace(empty, shots=(shot,))
        times = [
            *np.linspace(shot.start_s, shot.end_s - 0.01, 3),
            *(thing.action.end_s for thing in shot.objects),
        ]
        for behind, seen in zip(render_frames(empty, times), render_frames(full, times), strict=True):
            for thing in shot.objects:
                covered = (seen == thing.rgb).all(axis=2) & (behind != thing.rgb).any(axis=2)
                contrast = np.abs(luma_of(seen) - luma_of(behind))[covered]
                assert not contrast.size or np.mean(contrast < 20) < 0.1


def test_a_clip_shows_the_same_at_any_size():
    for seed in range(12):
        clip = dataclasses.replace(sample_clip(seed, max_short_side=160), noise=0.0)
        full = render_frame(clip, clip.duration_s / 3)
        height, width = full.shape[0] // 2, full.shape[1] // 2
        half = render_frame(clip, clip.duration_s / 3, height=height, width=width).astype(float)
        shrunk = full[: height * 2, : width * 2].reshape(height, 2, width, 2, 3).mean(axis=(1, 3))
        assert np.abs(half - shrunk).mean() < 12


def test_frames_are_the_same_one_by_one_together_and_again():
    clip = sample_clip(5)
    times = [0.0, 0.7, clip.duration_s / 2, clip.duration_s, clip.duration_s + 1]
    together = render_frames(clip, times)
    assert together.dtype == np.uint8
    assert together.shape == (5, clip.height, clip.width, 3)
    assert (together == np.stack([render_frame(clip, time_s) for time_s in times])).all()
    assert (together[::-1] == np.stack([ClipRenderer(clip).frame(time_s) for time_s in times[::-1]])).all()


def test_a_cut_falls_exactly_on_its_second():
    shots = tuple(
        Shot(start, start + 2.0, Backdrop("plain", (colour,), (rgb,)))
        for start, colour, rgb in ((0.0, "red", (220, 20, 20)), (2.0, "blue", (20, 40, 220)))
    )
    clip = Clip(0, "train", 96, 96, 8.0, shots)
    before, after = render_frames(clip, [1.999, 2.0])[:, 0, 0]
    assert tuple(before) == (220, 20, 20)
    assert tuple(after) == (20, 40, 220)


def test_noise_changes_from_frame_to_frame_and_keeps_its_strength():
    clip = Clip(
        3, "train", 120, 96, 10.0, (Shot(0.0, 2.0, Backdrop("plain", ("gray",), ((130, 130, 130),))),), 4.0
    )
    first, second = render_frames(clip, [0.5, 0.6]).astype(float)
    assert (first != second).mean() > 0.5
    assert first.std() == pytest.approx(4.0, rel=0.1)


def test_an_action_that_stays_still_needs_no_duration_of_its_own(staged):
    clip = staged()
    assert clip.shots[0].objects[0].action == Action("stays still", 0.0, 4.0)
    assert (render_frame(clip, 0.0) == render_frame(clip, 3.9)).all()
