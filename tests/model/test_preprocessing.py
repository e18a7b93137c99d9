"""Frames are letterboxed and normalised with the numbers of CLIP's own image processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPImageProcessorPil

from videollm.errors import DataError
from videollm.model.preprocessing import letterbox, prepare_frames, shrink_frames
from videollm.model.settings import ImageSettings


def smooth_picture(height, width):
    """A picture with gradients and edges, as photographs have them."""
    rows, columns = np.mgrid[0:height, 0:width]
    bands = [
        np.sin(rows / 9) * 90 + 120,
        np.cos(columns / 7) * 80 + 100,
        ((rows + columns) // 13 % 2) * 200 + 20,
    ]
    return np.stack(bands, axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("side", "size"), [(97, 32), (160, 96), (64, 64), (40, 56)])
def test_a_square_picture_gets_what_clips_own_processor_gives(side, size):
    picture = smooth_picture(side, side)
    reference = CLIPImageProcessorPil(
        size={"height": size, "width": size}, crop_size={"height": size, "width": size}, do_center_crop=False
    )
    expected = reference(picture, return_tensors="pt")["pixel_values"]
    ours = prepare_frames(picture[None], ImageSettings(size=size))
    one_level = 1 / 255 / min(ImageSettings().std)
    torch.testing.assert_close(ours, expected, atol=1.01 * one_level, rtol=0)
    assert (ours - expected).abs().mean() < one_level / 10


@pytest.mark.parametrize(("height", "width"), [(97, 61), (50, 120), (30, 31)])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_other_fits_are_those_of_published_models(height, width, fit):
    picture = smooth_picture(height, width)
    if fit == "crop":
        reference = CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40})
    else:
        reference = CLIPImageProcessorPil(size={"height": 40, "width": 40}, do_center_crop=False)
    expected = reference(picture, return_tensors="pt")["pixel_values"]
    ours = prepare_frames(picture[None], ImageSettings(size=40, fit=fit))
    one_level = 1 / 255 / min(ImageSettings().std)
    torch.testing.assert_close(ours, expected, atol=1.01 * one_level, rtol=0)
    assert (ours - expected).abs().mean() < one_level / 10


@settings(max_examples=60)
@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.integers(1, 64))
def test_a_letterboxed_picture_keeps_its_aspect_and_touches_two_sides(height, width, size):
    top, left, high, wide = letterbox(height, width, size)
    assert max(high, wide) == size
    assert min(high, wide) == max(1, round(min(height, width) * size / max(height, width)))
    assert 0 <= top <= (size - high + 1) // 2
    assert 0 <= left <= (size - wide + 1) // 2


def test_bars_have_the_fill_colour_and_a_wide_picture_lies_between_them():
    white = np.full((2, 10, 40, 3), 255, np.uint8)
    image = ImageSettings(size=20, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0), fill=(0.5, 0.0, 1.0))
    prepared = prepare_frames(white, image)
    assert prepared.shape == (2, 3, 20, 20)
    assert prepared.dtype == torch.float32
    bar, inside = prepared[1, :, 0, 0], prepared[1, :, 10, 10]
    torch.testing.assert_close(bar, torch.tensor([0.0, -1.0, 0.5]))
    torch.testing.assert_close(inside, torch.tensor([2.0, 1.0, 0.5]))
    assert (prepared[:, :, 8:12] == inside.view(3, 1, 1)).all()
    assert (prepared[:, :, :7] == bar.view(3, 1, 1)).all()


def test_a_portrait_picture_has_its_bars_left_and_right():
    prepared = prepare_frames(np.zeros((1, 40, 10, 3), np.uint8), ImageSettings(size=20, fill=(1, 1, 1)))
    assert (prepared[..., 10] < 0).all()
    assert (prepared[..., [0, 19]] > 0).all()


def test_many_frames_give_what_each_gives_alone(noise):
    frames = noise(11).movedim(1, -1)
    together = prepare_frames(frames, ImageSettings(size=24))
    alone = torch.cat([prepare_frames(frame[None], ImageSettings(size=24)) for frame in frames])
    torch.testing.assert_close(together, alone)


def test_a_picture_of_the_right_size_is_not_resampled():
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    prepared = prepare_frames(picture, ImageSettings(size=16, mean=(0, 0, 0), std=(1, 1, 1)))
    assert (prepared.movedim(1, -1) * 255).round().to(torch.uint8).equal(torch.from_numpy(picture))


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.float32),
        np.zeros((0, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(frames):
    with pytest.raises(DataError, match="frames must be uint8 of shape"):
        prepare_frames(frames, ImageSettings(size=8))


@pytest.mark.parametrize("size", [(90, 160), (161, 97), (48, 48), (300, 20)])
def test_frames_that_were_shrunk_are_prepared_to_the_same(size):
    frames_THW3 = np.random.default_rng(3).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    settings = ImageSettings(size=48)
    shrunk = shrink_frames(frames_THW3, 48)
    assert max(shrunk.shape[1:3]) == 48
    assert torch.equal(prepare_frames(shrunk, settings), prepare_frames(frames_THW3, settings))
