"""Still and moving images are read like films of one or a few frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videollm.errors import UnreadableVideoError
from videollm.video import DecodeLimits, decode_frames, plan_frames, probe


def two_halves() -> Image.Image:
    pixels = np.zeros((30, 50, 3), np.uint8)
    pixels[:15], pixels[15:] = (200, 30, 30), (30, 30, 200)
    return Image.fromarray(pixels)


def read(path: Path, **settings: int) -> np.ndarray:
    return decode_frames(path, plan_frames(probe(path), fps=99, max_frames=99), **settings).frames_THW3


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif", "ppm"])
def test_a_still_image_is_one_frame(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    two_halves().save(path, quality=95)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.duration_s, info.frame_count) == ("image", 50, 30, 0, 1)
    got = decode_frames(path, plan_frames(info, fps=1, max_frames=8))
    assert got.plan.times_s == (0.0,)
    assert got.plan.kind == "image"
    assert got.backend == "pillow"
    assert got.frames_THW3[0, 5, 25].astype(int) == pytest.approx((200, 30, 30), abs=8)
    assert got.frames_THW3[0, 25, 25].astype(int) == pytest.approx((30, 30, 200), abs=8)


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "image.mp4"
    two_halves().save(path, format="PNG")
    assert probe(path).kind == "image"


def test_a_photo_is_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    path, exif = tmp_path / "held.jpg", Image.Exif()
    exif[0x0112] = 6
    two_halves().save(path, exif=exif, quality=95)
    info, frames = probe(path), read(path)
    assert frames.shape == (1, info.height, info.width, 3) == (1, 50, 30, 3)
    assert frames[0, 25, 5].astype(int) == pytest.approx((30, 30, 200), abs=8)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16", "F"])
def test_every_colour_model_becomes_rgb(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tiff"
    if mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16))
    else:
        image = two_halves().convert("L").convert("F") if mode == "F" else two_halves().convert(mode)
    image.save(path)
    frames = read(path)
    assert frames.dtype == np.uint8
    assert frames.shape[3] == 3
    assert frames.max() > 60


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_transparency_is_laid_over_black(suffix: str, tmp_path: Path) -> None:
    image = two_halves().convert("RGBA")
    image.putalpha(128)
    path = tmp_path / f"glass.{suffix}"
    image.save(path, lossless=True)
    assert read(path)[0, 5, 25].astype(int) == pytest.approx((100, 15, 15), abs=3)


def test_images_shrink_like_films(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    two_halves().save(path)
    assert read(path, max_side=25).shape == (1, 15, 25, 3)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_an_animation_is_a_film_with_true_times(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"moving.{suffix}"
    frames = [Image.fromarray(np.full((20, 30, 3), shade, np.uint8)) for shade in (20, 80, 140, 200)]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 200, 300, 400], **options)
    info = probe(path)
    assert (info.kind, info.frame_count, info.duration_s) == ("video", 4, pytest.approx(1.0))
    assert info.variable_frame_rate
    got = decode_frames(path, plan_frames(info, fps=20, max_frames=99), max_side=15)
    assert got.plan.times_s == pytest.approx((0, 0.1, 0.3, 0.6))
    assert got.frames_THW3[:, 5, 5, 0].tolist() == [20, 80, 140, 200]


def test_an_image_cut_short_is_shown_as_far_as_it_goes_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    got = decode_frames(path, plan_frames(probe(path), fps=1, max_frames=1))
    assert got.damage == ("the image file is cut short",)
    assert got.frames_THW3[0, :8].std() > 10


def test_an_image_beyond_the_pixel_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    two_halves().save(path)
    with pytest.raises(UnreadableVideoError, match="1000 pixels"):
        probe(path, limits=DecodeLimits(max_pixels=1000))
